"""Noise that belongs to a sample and not to its batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from benchmark.core.seeds import stream_seed

BLOCK_VALUES = 2**15  # drawn at once for a sample, so that small images need few calls


class NoiseStream:
    """Standard normal tensors; row i depends on the seed, on `indices[i]` and on the draw alone.

    Args:
        seed: of the whole set of samples.
        indices: the number of each sample of this batch within the set.
        shape: of one sample.
        device: where the noise is drawn; another kind of device draws other noise.
        dtype: floating-point type of the noise.
    """

    def __init__(
        self,
        seed: int,
        indices: Sequence[int],
        shape: Sequence[int],
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        # Successive seeds: a CPU generator keeps 32 bits, so hashed ones would collide in large
        # sets, where these differ for 2³² samples.
        first = stream_seed("noise", seed)
        self._generators = [torch.Generator(device).manual_seed(first + i) for i in indices]
        self._shape = tuple(shape)
        self._draws = 1  # of the next block: samplers without noise want x_T and no more
        self._options: dict[str, Any] = {"device": device, "dtype": dtype}
        self._block: list[Tensor] = []  # the draws to come, the next one last

    def __call__(self) -> Tensor:
        """Return the next draw: B×shape."""
        if not self._block:
            block = torch.empty((len(self._generators), self._draws, *self._shape), **self._options)
            for row, generator in zip(block, self._generators, strict=True):
                row.normal_(generator=generator)
            self._block = list(block.unbind(1))[::-1]
            self._draws = max(1, BLOCK_VALUES // max(1, math.prod(self._shape)))
        return self._block.pop()
