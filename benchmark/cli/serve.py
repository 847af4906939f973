"""The program of a warm process: it does what all jobs need first, then forks for each job."""

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
from benchmark.cli.options import keep_checked, module_of
from benchmark.records.provenance import look_up_machine
from benchmark.runtime.warm import NEEDED_LATER, SERVED, Server


def main() -> NoReturn:
    """Import and read what the jobs need, then do jobs until the workflow has ended.

    The command line has the path of the socket, its file descriptor, and the path of the config.
    """
    path, number, config = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    for module in (*map(module_of, SERVED[path.name]), *NEEDED_LATER[path.name]):
        import_module(module)
    keep_checked(config)
    look_up_machine()
    app.command()
    gc.collect()
    gc.freeze()  # a garbage collection in a child would copy the memory that it shares with others
    job = Server(socket.socket(fileno=number), sys.stdin.fileno()).serve()
    if job:
        job.run(app.main)
    path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # the socket of the other warm process is still there
        path.parent.rmdir()
    os._exit(0)  # unloading all that was imported would take long


if __name__ == "__main__":
    main()
