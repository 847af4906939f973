"""Runs programs of Python whose imports were done once: each is a fork of a process that did them.

What such a program does is what `python -m MODULE` does, but for the second or two that it needs to
import other people's libraries, which tests of short programs would spend for the most part.
"""

from __future__ import annotations

import functools
import gc
import json
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# One thread, as a process of several cannot be forked.
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}
# What Snakemake and this project's workflow import of other people's libraries.
SNAKEMAKE = (
    *("snakemake.cli", "snakemake.report.html_reporter", "requests", "smart_open"),
    *("pydantic", "pandas", "psutil", "PIL.Image", "safetensors", "imageio_ffmpeg", "statistics"),
)
# What the stages of a run import of them; torch._dynamo is part of every optimiser.
STAGES = (
    *("torch", "torch._dynamo", "pydantic", "pandas", "psutil", "typer.rich_utils", "PIL.Image"),
    *("safetensors.torch", "imageio_ffmpeg", "scipy.linalg", "scipy.special", "scipy.ndimage"),
)
# Of this project too.
BENCHMARK = (
    *("benchmark.cli.app", "benchmark.config.loading", "benchmark.config.needs"),
    *("benchmark.config.dependencies", "benchmark.report.compare", "benchmark.report.bundle"),
    "typer.rich_utils",
)


def run(
    imported: tuple[str, ...],
    module: str,
    arguments: Sequence[str | Path],
    folder: Path,
    environment: Mapping[str, str],
) -> subprocess.CompletedProcess[str]:
    """Run `python -m MODULE ARGUMENTS` in a folder and wait for its end.

    Args:
        imported: modules that are imported before.
        module: the program, as `snakemake`.
        arguments: of its command line.
        folder: in which it runs.
        environment: all its variables.
    """
    server = _server(imported)
    assert server.stdin is not None
    assert server.stdout is not None
    with tempfile.TemporaryDirectory() as kept:
        files = [Path(kept) / name for name in ("stdout", "stderr")]
        asked = {
            "module": module,
            "arguments": [str(argument) for argument in arguments],
            "folder": str(folder),
            "environment": dict(environment),
            "files": [str(file) for file in files],
        }
        server.stdin.write(json.dumps(asked) + "\n")
        server.stdin.flush()
        status = int(server.stdout.readline())
        texts = [file.read_text() for file in files]
    return subprocess.CompletedProcess([module, *asked["arguments"]], status, *texts)


@functools.cache
def _server(imported: tuple[str, ...]) -> subprocess.Popen[str]:
    """The process that forks; it ends when this one does, which closes its pipe."""
    return subprocess.Popen(
        [sys.executable, __file__, *imported],
        cwd=Path(__file__).parents[1],
        env=os.environ | ONE_THREAD,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _serve() -> dict[str, Any]:
    """Return what is asked in each child; in the server, end when nobody can ask any more."""
    while line := sys.stdin.readline():
        if (child := os.fork()) == 0:
            asked: dict[str, Any] = json.loads(line)
            return asked
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    sys.exit()


def _become(asked: dict[str, Any]) -> None:
    """Have the place, the environment, the path and the files of the program that is asked for."""
    for target, file in enumerate([os.devnull, *asked["files"]]):
        opened = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        os.dup2(opened, target)
        os.close(opened)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    added = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    first = [] if os.environ.get("PYTHONSAFEPATH") else [asked["folder"]]
    sys.path[:] = [*first, *added, *PLAIN_PATH]
    sys.argv = [asked["module"], *asked["arguments"]]


if __name__ == "__main__":
    own = {str(Path(__file__).parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)}
    PLAIN_PATH = [path for path in sys.path if path not in own]
    sys.path[:] = [str(Path.cwd()), *PLAIN_PATH]  # in which this project lies
    for name in sys.argv[1:]:
        __import__(name)
    gc.freeze()  # what is there already, a child need not look through
    asked = _serve()
    _become(asked)
    runpy.run_module(asked["module"], run_name="__main__", alter_sys=True)
