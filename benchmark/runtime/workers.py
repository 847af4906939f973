"""Worker processes, forked from a job on a CPU, which share the work on each of its batches.

The small convolutions of a network hardly get faster by threads: two processes of one thread draw
more images than one process of two threads.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Generic, NamedTuple, NoReturn, Self, TypeVar

import torch

from benchmark.core.errors import BenchmarkError
from benchmark.runtime.stopping import SIGNALS

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


def workers_for(device: torch.device, threads: int, batch: int, is_compiled: bool) -> int:
    """Return how many processes share each batch of a job; 1: the job does all by itself.

    Args:
        device: the device of the network; a GPU is used by one process.
        threads: number of threads that the job may use: as many workers have one thread each.
        batch: number of images in a batch.
        is_compiled: whether the network is compiled, which each worker would have to do anew.
    """
    return max(1, min(threads, batch)) if device.type == "cpu" and not is_compiled else 1


def shares(images: range, count: int) -> list[range]:
    """Split a batch into `count` parts whose sizes differ by one at most; none of them is empty."""
    ends = [len(images) * rank // count for rank in range(count + 1)]
    parts = [images[start:stop] for start, stop in itertools.pairwise(ends)]
    return [part for part in parts if part]


class _Step(NamedTuple):
    """A step of a task is done."""


class _Done(NamedTuple, Generic[_Result]):
    """The result of a task."""

    result: _Result


class _Failure(NamedTuple):
    """An error in a worker."""

    error: Exception


class Workers(Generic[_Task, _Result]):
    """Forks of this process, each of which works on one task at a time; a context manager.

    The forks happen when the block is entered, so that pages such as those of the weights are
    shared. At the end of the block, however it comes about, the workers are killed. They ignore
    signals, which this process handles; they end at once if this process is killed.

    Torch must be set to one thread before, since a fork cannot use the threads of its parent.

    Tasks and results go through pipes: arrays of NumPy, no tensors, which torch would share as
    files.

    Args:
        count: number of workers.
        work: does a task in a worker. It is given the task and a function to call after each step.
        title: begins the line about a worker that was killed.
    """

    def __init__(
        self, count: int, work: Callable[[_Task, Callable[[], None]], _Result], title: str
    ) -> None:
        self.count = count
        self._work = work
        self._title = title
        self._pids: list[int] = []
        self._connections: list[Connection] = []

    def __enter__(self) -> Self:
        # Only this process has the end for writing: when it ends, the workers read an end of file.
        self._lifeline = os.pipe()
        try:
            for _ in range(self.count):
                self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._end()

    def __call__(self, tasks: Sequence[_Task], tick: Callable[[], object]) -> list[_Result]:
        """Return the results of at most `count` tasks, which are done at the same time.

        Args:
            tasks: one for each worker.
            tick: called after each step of the first task.

        Raises:
            Exception: one that `work` has raised, when all tasks have ended.
            BenchmarkError: a worker was killed.
        """
        ranks = {self._connections[rank]: rank for rank in range(len(tasks))}
        found: dict[int, _Done[_Result] | _Failure] = {}
        for connection, rank in ranks.items():
            with contextlib.suppress(OSError):  # of a killed worker, which is noticed below
                connection.send(tasks[rank])
        while len(found) < len(tasks):
            for ready in wait([each for each, rank in ranks.items() if rank not in found]):
                rank = ranks[ready]  # type: ignore[index]
                message = self._receive(rank)
                if not isinstance(message, _Step):
                    found[rank] = message
                elif rank == 0:
                    tick()
        results = []
        for rank in range(len(tasks)):
            message = found[rank]
            if isinstance(message, _Failure):
                raise message.error
            results.append(message.result)
        return results

    def _receive(self, rank: int) -> _Step | _Done[_Result] | _Failure:
        try:
            return self._connections[rank].recv()  # type: ignore[no-any-return]
        except (EOFError, OSError):
            _, status = os.waitpid(self._pids[rank], 0)
            self._pids[rank] = 0
            code = os.waitstatus_to_exitcode(status)
            how = f"was killed by {signal.Signals(-code).name}" if code < 0 else "has ended"
            raise BenchmarkError(
                f"{self._title}: worker {rank} of {self.count} {how}: a lack of memory may be the "
                "reason: choose a smaller batch or fewer threads, and run the command again"
            ) from None

    def _start(self) -> None:
        """Fork a worker. Signals wait until it ignores them, and until its number is kept here."""
        here, there = Pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            with warnings.catch_warnings():
                # Python warns of threads. OpenBLAS ends its own before a fork; torch has none yet.
                warnings.simplefilter("ignore", DeprecationWarning)
                pid = os.fork()
            if pid == 0:
                self._serve(there, here)
            self._pids.append(pid)
            self._connections.append(here)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        there.close()

    def _serve(self, connection: Connection, other: Connection) -> NoReturn:
        """Do tasks until this process is killed: the life of a worker."""
        try:
            for number in SIGNALS:
                signal.signal(number, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            os.close(self._lifeline[1])
            for each in (*self._connections, other):
                each.close()
            lifeline = self._lifeline[0]
            threading.Thread(target=_end_with_parent, args=(lifeline,), daemon=True).start()
            while True:
                connection.send(self._outcome(connection.recv(), connection))
        finally:
            os._exit(1)

    def _outcome(self, task: _Task, connection: Connection) -> _Done[_Result] | _Failure:
        try:
            return _Done(self._work(task, lambda: connection.send(_Step())))
        except Exception as error:
            error.add_note(traceback.format_exc())  # since a pickled error has no traceback
            return _Failure(error)

    def _end(self) -> None:
        """Kill the workers, and wait until they have ended."""
        for pid in filter(None, self._pids):
            os.kill(pid, signal.SIGKILL)
        for pid in filter(None, self._pids):
            os.waitpid(pid, 0)
        for connection in self._connections:
            connection.close()
        for end in self._lifeline:
            os.close(end)


def _end_with_parent(lifeline: int) -> None:
    os.read(lifeline, 1)
    os._exit(1)
