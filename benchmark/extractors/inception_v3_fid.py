"""The 2015 Inception-v3 of the Fréchet Inception Distance up to its pooled features.

Inception-v3 (Szegedy et al. 2016) as TensorFlow published it in 2015 and as Heusel et al. (2017)
used it. It differs from later Inceptions in that average pooling leaves out the padding and that
the last block pools by the maximum.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, interpolate, max_pool2d

from benchmark.extractors.folding import State, fold, load_state

if TYPE_CHECKING:
    from benchmark.extractors.base import Embed

SIDE = 299
UNPADDED = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_4a_3x3")


def build(file: Path, device: torch.device) -> Embed:
    """Return the function from uint8 B×3×H×W to the pool3 features, float32 B×2048."""
    network = InceptionV3(load_state(file, device))

    def embed(images: Tensor) -> Tensor:
        return network(preprocess(images))

    return embed


def preprocess(images: Tensor) -> Tensor:
    """Resize uint8 B×3×H×W to 299×299 as pytorch-fid does, and map to [-1, 1].

    The resize is bilinear without antialiasing, also where it shrinks.
    """
    x = (images.float() / 255).contiguous(memory_format=torch.channels_last)
    return 2 * interpolate(x, (SIDE, SIDE), mode="bilinear", align_corners=False) - 1


class InceptionV3:
    """The network from its published state dict."""

    def __init__(self, state: State) -> None:
        names = [key.removesuffix(".conv.weight") for key in state if key.endswith(".conv.weight")]
        self.layers = {name: fold(state, f"{name}.conv", f"{name}.bn") for name in names}

    def __call__(self, x: Tensor) -> Tensor:
        """Map B×3×299×299 in [-1, 1] to features, B×2048."""
        x = self._chain(x, "Conv2d_1a_3x3/2", "Conv2d_2a_3x3", "Conv2d_2b_3x3")
        x = max_pool2d(x, 3, 2)
        x = self._chain(x, "Conv2d_3b_1x1", "Conv2d_4a_3x3")
        x = max_pool2d(x, 3, 2)
        for name in ("Mixed_5b", "Mixed_5c", "Mixed_5d"):
            x = self._a(x, name)
        x = self._b(x, "Mixed_6a")
        for name in ("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"):
            x = self._c(x, name)
        x = self._d(x, "Mixed_7a")
        x = self._e(x, "Mixed_7b", _average)
        x = self._e(x, "Mixed_7c", _maximum)
        return x.mean((2, 3))

    def _chain(self, x: Tensor, *names: str) -> Tensor:
        """Apply convolutions with ReLU one after the other; `/2` after a name is its stride."""
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
            self._branch(_average(x), block, "branch_pool"),
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
            self._branch(_average(x), block, "branch_pool"),
        )
        return torch.cat(branches, 1)

    def _d(self, x: Tensor, block: str) -> Tensor:
        branches = (
            self._branch(x, block, "branch3x3_1", "branch3x3_2/2"),
            self._branch(x, block, *(f"branch7x7x3_{i}" for i in range(1, 4)), "branch7x7x3_4/2"),
            max_pool2d(x, 3, 2),
        )
        return torch.cat(branches, 1)

    def _e(self, x: Tensor, block: str, pool: Callable[[Tensor], Tensor]) -> Tensor:
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


def _average(x: Tensor) -> Tensor:
    return avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def _maximum(x: Tensor) -> Tensor:
    return max_pool2d(x, 3, 1, 1)
