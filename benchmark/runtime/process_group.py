"""Several processes that train one network: torch's launcher, and what each knows of the others."""

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
from benchmark.runtime import warm as server
from benchmark.runtime.stopping import AGAIN, SIGNALS, Stopped, is_told

_GRACE = 300  # seconds that the processes have to save once they are told to stop
ECHO = 3.0  # seconds in which the launcher ends the others when one process has died


class _Share(NamedTuple):
    """A process's part of a batch."""

    rows: slice
    weight: float  # of its mean in that of the batch


@dataclass(frozen=True)
class Team:
    """The processes that train one network together, each on its share of every batch.

    Attributes:
        rank: of this process.
        size: number of processes; one needs no others and nothing is sent.
        parent: process that has started this one, without which it stops.
    """

    rank: int = 0
    size: int = 1
    parent: int = 0

    def share(self, batch: int) -> _Share:
        """Return the share of a batch of so many images; shares differ by one image at most.

        A process without images takes the first with no weight, since all have to take part.
        """
        start, stop = (batch * rank // self.size for rank in (self.rank, self.rank + 1))
        if start == stop:
            return _Share(slice(1), 0.0)
        return _Share(slice(start, stop), (stop - start) / batch)

    def parallel(self, network: nn.Module) -> nn.Module:
        """Return the network, with gradients that are means over the processes."""
        if self.size == 1:
            return network
        # a network of a user's own may have weights that a step leaves out
        return nn.parallel.DistributedDataParallel(network, find_unused_parameters=True)

    def total(self, values: Tensor) -> Tensor:
        """Return the sum over the processes."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def agree(self, status: int) -> int:
        """Return the largest status of all processes, as all have to stop at the same step."""
        if self.size == 1:
            return status
        if os.getppid() != self.parent:  # nobody is left to tell it
            status = 128 + signal.SIGTERM
        largest = torch.tensor(status)
        dist.all_reduce(largest, dist.ReduceOp.MAX)
        return int(largest)

    def is_same(self, number: int) -> bool:
        """Return, when all processes have come here, whether they have told the same number."""
        if self.size == 1:
            return True
        ends = torch.tensor([number, -number])
        dist.all_reduce(ends, dist.ReduceOp.MAX)
        return int(ends[0]) == -int(ends[1])

    def wait(self) -> None:
        """Return when all processes have come here."""
        self.agree(0)


ALONE = Team()


def is_member() -> bool:
    """Return whether torch's launcher has started this process."""
    return dist.is_torchelastic_launched()


@contextlib.contextmanager
def joined(device: torch.device) -> Iterator[Team]:
    """Yield the team of this process, of one where no launcher has started it.

    Args:
        device: of this process.
    """
    if not is_member():
        yield ALONE
        return
    # the processor's is for what is no tensor of the network
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    rank = dist.get_rank()
    pids = [0] * dist.get_world_size()
    dist.all_gather_object(pids, os.getpid())
    try:
        yield Team(rank, len(pids), os.getppid())
    except Stopped as stop:  # the launcher is told, too
        raise Stopped(stop.status) from None
    except Exception as error:
        # What all have met is told once, and of a process that has died the launcher tells.
        if rank or isinstance(error, RuntimeError):
            with contextlib.suppress(Stopped):
                time.sleep(ECHO)
                if all(map(_is_alive, pids)):
                    raise
                if not is_told():
                    time.sleep(_GRACE)  # a busy launcher is late
            raise Stopped(128 + signal.SIGTERM) from None
        raise
    dist.destroy_process_group()


def own_device(device: torch.device) -> torch.device:
    """Return the GPU of this process, of those that are visible, where the network is on one."""
    if device.type != "cuda" or not is_member():
        return device
    own = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    torch.cuda.set_device(own)
    return own


def launch(
    arguments: Sequence[str], processes: int, device: torch.device, is_done: Callable[[], bool]
) -> None:
    """Have the command of this program done by several processes, and wait for their end.

    Args:
        arguments: of the command line.
        processes: how many.
        device: that a single process would have.
        is_done: whether their work is done, though this one is told to stop.

    Raises:
        BenchmarkError: there are fewer GPUs, or a process has died.
        Stopped: the processes have stopped, or one has told why it could not go on.
    """
    if device.type == "cuda" and processes > (count := torch.cuda.device_count()):
        raise BenchmarkError(f"--processes {processes}: torch finds {count} GPUs: give {count}")
    # Not at the top: a warm process imports this module and starts no threads.
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    os.environ.pop(server.FOLDER, None)  # a warm process would fork only one of them
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=f"benchmark-{os.getpid()}",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,  # who started the command starts it again
        logs_specs=DefaultLogsSpecs(os.devnull),
        signals_to_handle="SIGQUIT",  # the others have raised Stopped already
        shutdown_timeout=_GRACE,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "benchmark", *arguments)
    except ChildFailedError as error:
        codes = {failure.local_rank: failure.exitcode for failure in error.failures.values()}
        _explain(codes, processes)
    except Stopped as stop:  # of which the first process has told
        _end_children()
        # a second signal leaves threads that the end would wait for
        os._exit(0 if is_done() else stop.status)


def _explain(codes: dict[int, int], processes: int) -> None:
    """Raise what the ends of the processes mean; what a process could tell it has told."""
    for rank, code in codes.items():
        if code < 0 and -code not in SIGNALS:
            raise BenchmarkError(
                f"train: process {rank} of {processes} was killed by "
                f"{signal.Signals(-code).name}: run the command again to continue from the last "
                "state; a lack of memory may be the reason"
            )
    statuses = {code if code > 0 else 128 - code for code in codes.values()}
    stops = {AGAIN, *(128 + number for number in SIGNALS)}
    raise Stopped(min(statuses - stops or statuses))


def _is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _end_children() -> None:
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
