"""The program of a warm process: it imports what jobs need, then serves them."""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import sys
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from benchmark.cli import app
from benchmark.cli.options import module_of
from benchmark.config.loading import load_config
from benchmark.runtime.warm import NEEDED_LATER, SERVED, Server


def main() -> NoReturn:
    """Import what the jobs need, then serve."""
    path, number, config = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    for module in (*map(module_of, SERVED[path.name]), *NEEDED_LATER[path.name]):
        import_module(module)
    load_config(config)
    gc.collect()
    gc.freeze()  # a collection in a child would copy the pages that it shares with the others
    job = Server(socket.socket(fileno=number), sys.stdin.fileno()).serve()
    if job:
        job.run(app.main)
    path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # the other one is still there
        path.parent.rmdir()
    os._exit(0)  # as a job does


if __name__ == "__main__":
    main()
