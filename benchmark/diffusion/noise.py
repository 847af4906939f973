"""Noise that belongs to a sample and not to its batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from benchmark.seeds import stream_seed

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
        self._block_shape = (max(1, BLOCK_VALUES // max(1, torch.Size(shape).numel())), *shape)
        self._dtype = dtype
        self._draws: list[Tensor] = []

    def __call__(self) -> Tensor:
        """Return the next draw: B×shape."""
        if not self._draws:
            blocks = [self._block(generator) for generator in self._generators]
            self._draws = list(torch.stack(blocks, dim=1).flip(0))
        return self._draws.pop()

    def _block(self, generator: torch.Generator) -> Tensor:
        return torch.randn(
            self._block_shape, generator=generator, device=generator.device, dtype=self._dtype
        )
