"""The device that a job runs on, and its clock."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from benchmark.errors import BenchmarkError


def resolve_device(name: str) -> torch.device:
    """Return the device of a config's `device`: `auto` takes a GPU where there is one.

    Raises:
        BenchmarkError: a GPU is asked for by name and there is none.
    """
    available = torch.cuda.is_available()
    if name == "auto":
        return torch.device("cuda" if available else "cpu")
    if name.startswith("cuda") and not available:
        raise BenchmarkError(f"device: {name} is asked for and torch finds no GPU: use auto or cpu")
    return torch.device(name)


def use_threads(count: int) -> None:
    """Let torch use `count` threads inside an operation."""
    torch.set_num_threads(max(1, count))


def synchronise(device: torch.device) -> None:
    """Wait until the device has done all that was asked of it, before a clock is read."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_memory(device: torch.device) -> int:
    """Return the peak bytes allocated on a GPU, or resident of this process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's own generator for the block, as layers draw their first weights from it."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
