"""Inception-v3 (Szegedy et al. 2016) up to its pooled features, for fast inference.

The published networks have the same layers with the same names, and differ only in their pooling.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import conv2d, max_pool2d

from benchmark.extractors.networks.folding import State, fold

# Pooling of 3×3 pixels with stride 1, from B×C×H×W to the same shape.
Pool: TypeAlias = Callable[[Tensor], Tensor]

SIDE = 299
SPATIAL_CHANNELS = 7  # of guided-diffusion's sFID
UNPADDED = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_4a_3x3")
CONVOLUTION = ".conv.weight"
AUXILIARY = "AuxLogits."  # a second classifier, which only training uses


class InceptionV3:
    """The network, made from a published state dict.

    Args:
        state: parameters of the network.
        pool: pooling of the blocks that keep the resolution, except the last.
        last_pool: pooling of the last block.
    """

    def __init__(self, state: State, pool: Pool, last_pool: Pool) -> None:
        keys = [k for k in state if k.endswith(CONVOLUTION) and not k.startswith(AUXILIARY)]
        names = [key.removesuffix(CONVOLUTION) for key in keys]
        self.layers = {name: fold(state, f"{name}.conv", f"{name}.bn") for name in names}
        self.pool = pool
        self.last_pool = last_pool

    def __call__(self, x: Tensor) -> Tensor:
        """Map B×3×299×299 in [-1, 1] to features, B×2048."""
        x = self._to_17(x)
        for name in ("Mixed_6d", "Mixed_6e"):
            x = self._c(x, name)
        x = self._d(x, "Mixed_7a")
        x = self._e(x, "Mixed_7b", self.pool)
        x = self._e(x, "Mixed_7c", self.last_pool)
        return x.mean((2, 3), dtype=torch.float32)

    def spatial(self, x: Tensor) -> Tensor:
        """Map B×3×299×299 in [-1, 1] to 7 channels of 17×17 positions, B×2023, by position."""
        x = self._branch(self._to_17(x), "Mixed_6d", "branch1x1")[:, :SPATIAL_CHANNELS]
        return x.permute(0, 2, 3, 1).flatten(1)

    def _to_17(self, x: Tensor) -> Tensor:
        """Map B×3×299×299 to the input of the third block of 17×17 positions, B×768×17×17."""
        x = self._chain(x, "Conv2d_1a_3x3/2", "Conv2d_2a_3x3", "Conv2d_2b_3x3")
        x = max_pool2d(x, 3, 2)
        x = self._chain(x, "Conv2d_3b_1x1", "Conv2d_4a_3x3")
        x = max_pool2d(x, 3, 2)
        for name in ("Mixed_5b", "Mixed_5c", "Mixed_5d"):
            x = self._a(x, name)
        x = self._b(x, "Mixed_6a")
        for name in ("Mixed_6b", "Mixed_6c"):
            x = self._c(x, name)
        return x

    def _chain(self, x: Tensor, *names: str) -> Tensor:
        """Apply convolutions with ReLU in turn; a name that ends in `/2` stands for stride 2."""
        for entry in names:
            name, _, stride = entry.partition("/")
            weight, bias = self.layers[name]
            same = not stride and name not in UNPADDED
            padding = [side // 2 if same else 0 for side in weight.shape[2:]]
            x = conv2d(x, weight, bias, int(stride or 1), padding).relu_()
        return x

    def _branch(self, x: Tensor, block: str, *names: str) -> Tensor:
        return self._chain(x, *(f"{block}.{name}" for name in names))

    def _a(self, x: Tensor, block: str) -> Tensor:
        branches = (
            self._branch(x, block, "branch1x1"),
            self._branch(x, block, "branch5x5_1", "branch5x5_2"),
            self._branch(x, block, "branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"),
            self._branch(self.pool(x), block, "branch_pool"),
        )
        return torch.cat(branches, 1)

    def _b(self, x: Tensor, block: str) -> Tensor:
        branches = (
            self._branch(x, block, "branch3x3/2"),
            self._branch(x, block, "branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3/2"),
            max_pool2d(x, 3, 2),
        )
        return torch.cat(branches, 1)

    def _c(self, x: Tensor, block: str) -> Tensor:
        branches = (
            self._branch(x, block, "branch1x1"),
            self._branch(x, block, *(f"branch7x7_{i}" for i in range(1, 4))),
            self._branch(x, block, *(f"branch7x7dbl_{i}" for i in range(1, 6))),
            self._branch(self.pool(x), block, "branch_pool"),
        )
        return torch.cat(branches, 1)

    def _d(self, x: Tensor, block: str) -> Tensor:
        branches = (
            self._branch(x, block, "branch3x3_1", "branch3x3_2/2"),
            self._branch(x, block, *(f"branch7x7x3_{i}" for i in range(1, 4)), "branch7x7x3_4/2"),
            max_pool2d(x, 3, 2),
        )
        return torch.cat(branches, 1)

    def _e(self, x: Tensor, block: str, pool: Pool) -> Tensor:
        y = self._branch(x, block, "branch3x3_1")
        z = self._branch(x, block, "branch3x3dbl_1", "branch3x3dbl_2")
        branches = (
            self._branch(x, block, "branch1x1"),
            self._branch(y, block, "branch3x3_2a"),
            self._branch(y, block, "branch3x3_2b"),
            self._branch(z, block, "branch3x3dbl_3a"),
            self._branch(z, block, "branch3x3dbl_3b"),
            self._branch(pool(x), block, "branch_pool"),
        )
        return torch.cat(branches, 1)
