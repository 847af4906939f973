"""What makes a job run again: its parameters, its code, and the contents of the user's files."""

from __future__ import annotations

import functools
from pathlib import Path

from benchmark.config.jobs.base import Job
from benchmark.core.canonical import canonical_json
from benchmark.core.closure import digest, hashes, own_folders
from benchmark.storage.contents import contents


def code(job: Job) -> str:
    """Return one hash of all code that a job depends on.

    Raises:
        BenchmarkError: a module of the user is missing, or is not readable Python.
    """
    return digest(job.modules(), own_folders())


def code_by_module(job: Job) -> dict[str, str]:
    """Return a hash of each module that a job depends on, by its name; see `code`."""
    return hashes(job.modules(), own_folders())


def compared(job: Job, results: Path, **more: object) -> str:
    """Return all that a job depends on besides the outputs of other jobs, as one text of JSON.

    It is one text, since Snakemake compares parameters as a set of values, without their names and
    not with all types.

    Args:
        job: job of the workflow.
        results: folder of all runs, in which hashes of files are stored.
        more: further values on which the job depends.

    Raises:
        BenchmarkError: a file or a module of the user is missing.
    """
    code = _digest(tuple(job.modules()), tuple(own_folders()))
    files = job.files()
    held = {} if files is None else {"files": hashed(files[0], tuple(files[1]), results)}
    return canonical_json({"code": code, **job.compared(), **held, **more})


@functools.cache
def _digest(modules: tuple[str, ...], folders: tuple[Path, ...]) -> str:
    """Return one hash of all code that is reached from some modules; looked at once."""
    return digest(modules, folders)


@functools.cache
def hashed(folder: Path, files: tuple[str, ...], results: Path) -> str:
    """Return one hash of the contents of files, which may be too many for inputs of a rule.

    Each process computes it only once.
    """
    return contents(folder, files, results)
