"""Retry with smaller batches when a batch does not fit into memory."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

from benchmark.core.errors import BenchmarkError

_T = TypeVar("_T")

# Parts of the messages of failed allocations that torch raises as a plain RuntimeError: those of
# its allocator on a CPU, of the C++ library, and of cuBLAS and cuDNN.
ALLOCATIONS = ("can't allocate memory", "std::bad_alloc", "STATUS_ALLOC_FAILED")


def in_batches(parts: Sequence[range], work: Callable[[range], _T], title: str) -> Iterator[_T]:
    """Call `work` for each batch, and for smaller batches where one does not fit into memory.

    When a batch does not fit, a line on stderr says so, and from this batch on all batches have at
    most half as many images.

    Args:
        parts: the batches to begin with, as ranges of images.
        work: computes a batch; it may be called again for the images of a batch that failed.
        title: begins the line on stderr.

    Yields:
        What `work` returns for each batch.

    Raises:
        BenchmarkError: even one image does not fit.
    """
    most = max(map(len, parts), default=0)
    for part in parts:
        start = part.start
        while start < part.stop:
            batch = range(start, min(start + most, part.stop))
            try:
                found = work(batch)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                most = _half(title, len(batch))
                continue
            yield found
            start = batch.stop


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error means that memory, of a GPU or of this machine, is exhausted."""
    known = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return known or any(text in str(error) for text in ALLOCATIONS)


def _half(title: str, count: int) -> int:
    """Return the size of the batches after one of `count` images did not fit."""
    if count == 1:
        raise BenchmarkError(
            f"{title}: out of memory with one image at once: free some, or use a machine with more"
        ) from None
    half = count // 2
    line = f"{title}: out of memory with {count} images at once: going on with {half}"
    print(line, file=sys.stderr, flush=True)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()  # torch would keep the blocks of the larger batches
    return half
