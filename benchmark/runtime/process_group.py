"""Processes that train one network together: how they are launched, and how they communicate."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import psutil
import torch
import torch.distributed as dist
from torch import Tensor, nn

from benchmark.core.errors import BenchmarkError
from benchmark.runtime.stopping import EXIT_RUN_AGAIN, SIGNALS, Stopped, was_signalled
from benchmark.runtime.warm import FOLDER

_SAVE_SECONDS = 300  # within which the processes must save their state after a signal
PEERS_END_SECONDS = 3.0  # in which the launcher ends the other processes when one has died


class _Share(NamedTuple):
    """The part of a batch that one process computes.

    Attributes:
        rows: its images.
        weight: the weight of the mean over these images in the mean over the batch.
    """

    rows: slice
    weight: float


@dataclass(frozen=True)
class ProcessGroup:
    """The processes that train one network together, each on its share of every batch.

    Attributes:
        rank: rank of this process, from 0.
        size: number of processes; with one, nothing is communicated.
        parent: process id of the launcher; when it has ended, the training stops.
    """

    rank: int = 0
    size: int = 1
    parent: int = 0

    def share(self, batch: int) -> _Share:
        """Return this process's share of a batch of `batch` images; shares differ by one at most.

        If there are fewer images than processes, some have none. They compute the first image with
        weight 0, since all processes must take part in each step.
        """
        start, stop = (batch * rank // self.size for rank in (self.rank, self.rank + 1))
        if start == stop:
            return _Share(slice(1), 0.0)
        return _Share(slice(start, stop), (stop - start) / batch)

    def parallel(self, network: nn.Module) -> nn.Module:
        """Return the network such that its gradients are averaged over the processes."""
        if self.size == 1:
            return network
        # In a user's own network, a step may leave some weights unused.
        return nn.parallel.DistributedDataParallel(network, find_unused_parameters=True)

    def sum(self, values: Tensor) -> Tensor:
        """Return a tensor of any shape, (n) for n losses, summed over the processes in place."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def largest(self, status: int) -> int:
        """Return the largest of the exit statuses of all processes; 0 means to go on.

        All processes stop at the same step when one has to.
        """
        if self.size == 1:
            return status
        if os.getppid() != self.parent:  # the launcher, which passes signals on, has ended
            status = 128 + signal.SIGTERM
        largest = torch.tensor(status)
        dist.all_reduce(largest, dist.ReduceOp.MAX)
        return int(largest)

    def is_equal_on_all(self, number: int) -> bool:
        """Wait for all processes, and return whether they all have the same number."""
        if self.size == 1:
            return True
        ends = torch.tensor([number, -number])
        dist.all_reduce(ends, dist.ReduceOp.MAX)
        return int(ends[0]) == -int(ends[1])

    def barrier(self) -> None:
        """Wait until all processes have reached this call."""
        self.largest(0)


ONE_PROCESS = ProcessGroup()


def is_launched() -> bool:
    """Return whether torch's launcher has started this process, as one of several."""
    return dist.is_torchelastic_launched()


@contextlib.contextmanager
def join_group(device: torch.device) -> Iterator[ProcessGroup]:
    """Join the process group inside the block; a process that nobody launched is a group of one.

    Args:
        device: device of this process.

    Yields:
        The process group.

    Raises:
        Stopped: another process has stopped or died, and has said or will say why.
    """
    if not is_launched():
        yield ONE_PROCESS
        return
    # On GPUs, gloo is for the numbers that are not on a GPU, such as exit statuses.
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    rank = dist.get_rank()
    pids = [0] * dist.get_world_size()
    dist.all_gather_object(pids, os.getpid())
    try:
        yield ProcessGroup(rank, len(pids), os.getppid())
    except Stopped as stop:  # without its message, which each process would print
        raise Stopped(stop.status) from None
    except Exception as error:
        # An error that all processes meet is printed by the first one only. A RuntimeError may mean
        # that another process has died: then the launcher prints the error and ends this process.
        if rank or isinstance(error, RuntimeError):
            with contextlib.suppress(Stopped):
                time.sleep(PEERS_END_SECONDS)
                if all(map(_is_alive, pids)):
                    raise
                if not was_signalled():
                    time.sleep(_SAVE_SECONDS)  # a busy launcher may take longer to end this process
            raise Stopped(128 + signal.SIGTERM) from None
        raise
    dist.destroy_process_group()


def local_device(device: torch.device) -> torch.device:
    """Return the device of this process: each launched process has a GPU of its own.

    Args:
        device: the device that a single process would use; a CPU is returned unchanged.
    """
    if device.type != "cuda" or not is_launched():
        return device
    own = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    torch.cuda.set_device(own)
    return own


def launch(
    arguments: Sequence[str], processes: int, device: torch.device, is_done: Callable[[], bool]
) -> None:
    """Run a command line of this program in several processes, and wait until they end.

    Args:
        arguments: the arguments of the command line.
        processes: number of processes.
        device: the device that a single process would use.
        is_done: tells whether their work is done; asked when a signal has stopped this process.

    Raises:
        BenchmarkError: there are fewer GPUs than processes, or a process has died.
        Stopped: the processes have stopped, or one has printed an error.
    """
    if device.type == "cuda" and processes > (count := torch.cuda.device_count()):
        raise BenchmarkError(f"--processes {processes}: torch finds {count} GPUs: give {count}")
    # Not imported at the top: they start threads, and a warm process, which imports this module,
    # must have none.
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    os.environ.pop(FOLDER, None)  # the processes are not to be forks of a warm process
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=f"benchmark-{os.getpid()}",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,  # Snakemake, or the user, starts the command again
        logs_specs=DefaultLogsSpecs(os.devnull),
        signals_to_handle="SIGQUIT",  # the other signals raise Stopped
        shutdown_timeout=_SAVE_SECONDS,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "benchmark", *arguments)
    except ChildFailedError as error:
        codes = {failure.local_rank: failure.exitcode for failure in error.failures.values()}
        _explain(codes, processes)
    except Stopped as stop:  # the process of rank 0 has printed why
        _end_children()
        # After a second signal, threads may be left, for which a normal exit would wait.
        os._exit(0 if is_done() else stop.status)


def _explain(codes: dict[int, int], processes: int) -> None:
    """Raise the error that the exit codes of the failed processes mean.

    Args:
        codes: exit code by rank; −n for a process that signal n has killed.
        processes: number of processes.

    Raises:
        BenchmarkError: a signal that no process handles has killed one, so that it printed nothing.
        Stopped: the processes have stopped, or have printed an error.
    """
    for rank, code in codes.items():
        if code < 0 and -code not in SIGNALS:
            raise BenchmarkError(
                f"train: process {rank} of {processes} was killed by "
                f"{signal.Signals(-code).name}: run the command again to continue from the last "
                "state; a lack of memory may be the reason"
            )
    statuses = {code if code > 0 else 128 - code for code in codes.values()}
    stops = {EXIT_RUN_AGAIN, *(128 + number for number in SIGNALS)}
    raise Stopped(min(statuses - stops or statuses))


def _is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _end_children() -> None:
    """Kill all processes that this one has started, and those that they have started."""
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
