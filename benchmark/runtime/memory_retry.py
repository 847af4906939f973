"""Work in batches that are halved where the memory is too small for them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

from benchmark.core.errors import BenchmarkError

_T = TypeVar("_T")

# How torch and the libraries below it say that an allocation failed, where they raise no error of
# its own kind: its allocator on a CPU, the C++ library, cuBLAS and cuDNN.
ALLOCATIONS = ("can't allocate memory", "std::bad_alloc", "STATUS_ALLOC_FAILED")


def in_batches(parts: Sequence[range], work: Callable[[range], _T], title: str) -> Iterator[_T]:
    """Do work for each part, or for smaller batches that together are the part.

    When a batch does not fit into memory, a line on stderr says so, and it and all further ones are
    of half the images.

    Args:
        parts: the batches that are tried first.
        work: does a batch; it may be called again for images of a batch that failed.
        title: begins the line.

    Yields:
        What `work` returns for each batch.

    Raises:
        BenchmarkError: a single image does not fit.
    """
    most = max(map(len, parts))
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
    """Tell whether an error means that memory of a GPU or of this machine could not be had."""
    known = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return known or any(text in str(error) for text in ALLOCATIONS)


def _half(title: str, count: int) -> int:
    if count == 1:
        raise BenchmarkError(
            f"{title}: out of memory with one image at once: free some, or use a machine with more"
        ) from None
    half = count // 2
    line = f"{title}: out of memory with {count} images at once: going on with {half}"
    print(line, file=sys.stderr, flush=True)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()  # blocks of the old size would stay
    return half
