"""Runs commands of this program by its code as it is and as it was at another revision."""

from __future__ import annotations

import io
import os
import re
import resource
import shutil
import subprocess
import sys
import tarfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import psutil

from benchmark.core.closure import CHECKOUT, HOME, PACKAGE
from benchmark.core.errors import BenchmarkError

# What the commands need of a checkout; rules name environment.yml.
PARTS = (PACKAGE, "config", "workflow", "Snakefile", "environment.yml")
INTERVAL = 0.02  # seconds between two looks at the memory of a command


class Memory(NamedTuple):
    """The memory of a command, summed over its processes, in megabytes.

    Attributes:
        resident: peak of what is resident, pages of mapped files among it, as the kernel keeps it.
        anonymous: the most that was seen without the pages of files, which the kernel can take back
            at any time.
    """

    resident: float = 0.0
    anonymous: float = 0.0


class CommandUse(NamedTuple):
    """What a whole command took, from the start of Python.

    Attributes:
        seconds: wall time.
        memory: its memory.
        processor: processor time of all its processes in seconds, which other work changes less.
        printed: what it printed on stdout.
    """

    seconds: float
    memory: Memory
    processor: float = 0.0
    printed: str = ""


@dataclass(frozen=True)
class Checkout:
    """A copy of this program's code at some revision.

    Attributes:
        name: what tables call it.
        root: the folder that contains the package.
    """

    name: str
    root: Path

    def run(self, *arguments: str) -> CommandUse:
        """Run `python -m benchmark` with these arguments, and measure it.

        Raises:
            BenchmarkError: the command fails; the message has the end of what it printed.
        """
        return self.run_module(PACKAGE, *arguments)

    def run_module(self, name: str, *arguments: str) -> CommandUse:
        """Run a module of Python in the folder of the code, and measure it.

        Raises:
            BenchmarkError: see `run`.
        """
        environment = {key: value for key, value in os.environ.items() if key != CHECKOUT}
        environment["PYTHONPATH"] = str(self.root)
        command = [sys.executable, "-m", name, *arguments]
        return measured(command, self.root, environment, self.name)


def measured(
    command: list[str], folder: Path, environment: dict[str, str], name: str
) -> CommandUse:
    """Run a command to its end, and return its wall time and memory.

    Args:
        command: the program and its arguments.
        folder: the folder to run it in.
        environment: its environment.
        name: what a message calls the command.

    Raises:
        BenchmarkError: its exit status is not 0.
    """
    before, start = _processor_time(), time.perf_counter()
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    watcher = _Watcher(process.pid)
    watcher.start()
    printed, told = (text.decode(errors="replace") for text in process.communicate())
    seconds, processor = time.perf_counter() - start, _processor_time() - before
    watcher.end()
    if process.returncode:
        said = " ".join(f"{printed} {told}".split())[-500:]
        raise BenchmarkError(f"{name}: {' '.join(command[1:4])} failed: {said}")
    return CommandUse(seconds, watcher.peak, processor, printed)


def _processor_time() -> float:
    """Return the processor time of all ended children of this process in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class _Watcher(threading.Thread):
    """Looks at the memory of a process and of those that it started, until `end`.

    Args:
        pid: id of the process.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.peak = Memory()
        self._pid = pid
        self._over = threading.Event()

    def run(self) -> None:
        """Keep the largest sums that are seen."""
        before: set[int] = set()
        while not self._over.wait(INTERVAL):
            children = set(_descendants(self._pid))
            # A new child is for a moment a copy of its parent, whose pages it does not need.
            each = [memory_of(pid) for pid in (self._pid, *(children & before))]
            before = children
            self.peak = Memory(
                max(self.peak.resident, sum(memory.resident for memory in each)),
                max(self.peak.anonymous, sum(memory.anonymous for memory in each)),
            )

    def end(self) -> None:
        """Stop looking."""
        self._over.set()
        self.join()


def memory_of(pid: int) -> Memory:
    """Return the memory of one process; zero where there is no /proc, or no such process."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return Memory()
    found = {
        key: int(kilobytes) for key, kilobytes in re.findall(r"^(\w+):\s+(\d+) kB", status, re.M)
    }
    return Memory(found.get("VmHWM", 0) * 1024 / 1e6, found.get("RssAnon", 0) * 1024 / 1e6)


def _descendants(pid: int) -> list[int]:
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.Error:  # it has ended
        return []


def copy_of_this(folder: Path) -> Checkout:
    """Copy the code as it is, with what is not committed, into a new folder, and compile it.

    Both sides then have their bytecode, and a file that is edited meanwhile changes nothing.
    """
    unwanted = shutil.ignore_patterns("__pycache__")
    for part in (HOME / name for name in PARTS):
        if part.is_dir():
            shutil.copytree(part, folder / part.name, ignore=unwanted)
        else:
            shutil.copy(part, folder)
    return _compiled("here", folder)


def copy_of_revision(revision: str, folder: Path, repository: Path = HOME) -> Checkout:
    """Write the code of another revision into a new folder, and compile it.

    Args:
        revision: what git knows as a commit, as HEAD~1 or a hash.
        folder: the folder to make.
        repository: a folder of the git repository.

    Raises:
        BenchmarkError: there is no repository or no such commit.
    """
    named = f"{revision}^{{commit}}"
    verify = ("rev-parse", "--verify", "--quiet", "--end-of-options", named)
    commit = _git(repository, revision, *verify).decode().strip()
    there = _git(repository, revision, "ls-tree", "--name-only", commit).decode().splitlines()
    parts = [part for part in PARTS if part in there]
    archive = _git(repository, revision, "archive", "--format=tar", commit, *parts)
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    return _compiled(revision, folder)


def _git(repository: Path, revision: str, *arguments: str) -> bytes:
    try:
        done = subprocess.run(["git", *arguments], cwd=repository, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        raise BenchmarkError(
            f"--against {revision}: git knows no such commit of this program: give one of a clone, "
            "as HEAD~1"
        ) from None
    return done.stdout


def _compiled(name: str, folder: Path) -> Checkout:
    """Write the bytecode of the package, which a user's environment may forbid commands to do."""
    command = [sys.executable, "-m", "compileall", "-q", str(folder / PACKAGE)]
    subprocess.run(command, check=True, capture_output=True)
    return Checkout(name, folder)
