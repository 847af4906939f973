"""A generator and a critic of convolutions, with residual blocks and without normalisation."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from benchmark.models.networks.dcgan import DCGAN

SLOPE = 0.2  # of the leaky ReLU below 0, Radford et al. 2016, section 3
_GAIN = math.sqrt(2 / (1 + SLOPE**2))
_FAINT = 0.1  # of the last layer, so that the first images are nearly grey


class GeneratorModule(nn.Module):
    """Makes an image of noise.

    Args:
        spec: options of the network.
        resolution: height and width of the images.
    """

    def __init__(self, spec: DCGAN, resolution: int) -> None:
        super().__init__()
        widths, self.patch = spec.channels, spec.patch
        self.latent, self.width, self.side = spec.latent, widths[-1], resolution // spec.multiple
        self.first = _scaled(nn.Linear(spec.latent, widths[-1] * self.side**2), 1.0)
        self.blocks = nn.ModuleList(map(ResidualBlock, reversed(widths)))
        self.narrow = nn.ModuleList(
            _scaled(nn.Conv2d(coarse, fine, 1), 1.0)
            for coarse, fine in itertools.pairwise(reversed(widths))
        )
        out = spec.image_channels * spec.patch**2
        self.out = _scaled(nn.Conv2d(widths[0], out, 3, padding=1), _FAINT)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Return images, B×C×H×W, of noise x of their shape; the condition, B, tells nothing."""
        z = x.flatten(1)[:, : self.latent]
        h = self.first(z).view(len(x), self.width, self.side, self.side)
        h = self.blocks[0](h)
        for narrow, block in zip(self.narrow, self.blocks[1:], strict=True):
            h = block(F.interpolate(narrow(h), scale_factor=2, mode="nearest"))
        return F.pixel_shuffle(self.out(F.leaky_relu(h, SLOPE)), self.patch)


class CriticModule(nn.Module):
    """Says of images how real they seem.

    Args:
        spec: options of the network.
        resolution: height and width of the images.
    """

    def __init__(self, spec: DCGAN, resolution: int) -> None:
        super().__init__()
        widths, self.patch = spec.channels, spec.patch
        channels = spec.image_channels * spec.patch**2
        self.first = _scaled(nn.Conv2d(channels, widths[0], 3, padding=1), 1.0)
        self.blocks = nn.ModuleList(map(ResidualBlock, widths))
        self.widen = nn.ModuleList(
            _scaled(nn.Conv2d(fine, coarse, 1), 1.0) for fine, coarse in itertools.pairwise(widths)
        )
        self.out = _scaled(nn.Linear(widths[-1] * (resolution // spec.multiple) ** 2, 1), 1.0)

    def forward(self, x: Tensor) -> Tensor:
        """Return numbers, B, of images x: B×C×H×W."""
        h = self.blocks[0](self.first(F.pixel_unshuffle(x, self.patch)))
        for widen, block in zip(self.widen, self.blocks[1:], strict=True):
            h = block(F.avg_pool2d(widen(h), 2))
        told: Tensor = self.out(F.leaky_relu(h, SLOPE).flatten(1))
        return told.squeeze(1)


class ResidualBlock(nn.Module):
    """Two convolutions of 3×3 pixels, which at first add nothing."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.one = _scaled(nn.Conv2d(channels, channels, 3, padding=1), _GAIN)
        self.two = _scaled(nn.Conv2d(channels, channels, 3, padding=1), 0.0)  # Fixup

    def forward(self, x: Tensor) -> Tensor:
        """Map B×C×H×W to the same shape."""
        h = self.one(F.leaky_relu(x, SLOPE))
        out: Tensor = x + self.two(F.leaky_relu(h, SLOPE))
        return out


def _scaled(layer: nn.Linear | nn.Conv2d, gain: float) -> nn.Linear | nn.Conv2d:
    """Let a layer keep the variance of its input times gain², at first; return it."""
    nn.init.normal_(layer.weight, std=gain / math.sqrt(layer.weight[0].numel()))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
