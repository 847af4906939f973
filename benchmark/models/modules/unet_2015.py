"""The U-Net of Ronneberger et al. 2015, figure 1, with convolutions that pad nothing."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.models.modules.embeddings import ClassEmbedding, PositionalEmbedding, TimeEmbedding

if TYPE_CHECKING:
    from benchmark.models.networks.unet_2015 import UNet2015

LOST = 4  # pixels of height and width that the two convolutions of a block lose
_TIME_WIDTH = 128  # number of sines and cosines of the time


class UNet2015Module(nn.Module):
    """A network that predicts an image from a noisy image and its time.

    Args:
        spec: options of the network.
    """

    def __init__(self, spec: UNet2015) -> None:
        super().__init__()
        widths = spec.channels
        inputs = (spec.image_channels, *widths[:-1])
        self.time_proj = PositionalEmbedding(_TIME_WIDTH, freq_shift=0, flip_sin_to_cos=False)
        self.time_embedding = TimeEmbedding(_TIME_WIDTH, widths[0])
        self.down = nn.ModuleList(map(UNet2015Block, inputs, widths))
        self.enlarge = nn.ModuleList(
            nn.ConvTranspose2d(coarse, fine, 2, stride=2)
            for fine, coarse in itertools.pairwise(widths)
        )
        self.up = nn.ModuleList(UNet2015Block(2 * width, width) for width in widths[:-1])
        self.out = nn.Conv2d(widths[0], spec.image_channels, 1)
        # Last, so that the other weights are those of a network without classes.
        self.class_embedding: ClassEmbedding | None = None
        if spec.classes is not None:
            self.class_embedding = ClassEmbedding(spec.classes + 1, widths[0])

    def forward(self, x: Tensor, t: Tensor, labels: Tensor | None = None) -> Tensor:
        """Predict from x: B×C×H×W and t: B, of any H and W.

        A network with classes takes their numbers, B; None: no class.
        """
        height, width = x.shape[2:]
        h = mirrored(x, *(needed(side, len(self.down)) for side in (height, width)))
        time = self.time_embedding(self.time_proj(t).to(x.dtype))
        if self.class_embedding is not None:
            time = time + self.class_embedding.of(labels, time)
        skips = []
        for level, block in enumerate(self.down):
            h = block(h, time) if level == 0 else block(F.max_pool2d(h, 2))
            skips.append(h)
        skips.pop()
        for block, enlarge in zip(reversed(self.up), reversed(self.enlarge), strict=True):
            h = enlarge(h)
            h = block(torch.cat([cropped(skips.pop(), *h.shape[2:]), h], 1))
        return cropped(self.out(h), height, width)


class UNet2015Block(nn.Module):
    """Two convolutions of 3×3 pixels without padding, each followed by a ReLU."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels_in, channels, 3)
        self.second = nn.Conv2d(channels, channels, 3)
        for conv in (self.first, self.second):
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")  # section 3 of the paper
            if conv.bias is not None:
                nn.init.zeros_(conv.bias)

    def forward(self, x: Tensor, time: Tensor | None = None) -> Tensor:
        """Map B×channels_in×H×W, and the time as B×channels, to B×channels×(H−4)×(W−4)."""
        h = self.first(x)
        if time is not None:
            h = h + time[:, :, None, None]
        out: Tensor = F.relu(self.second(F.relu(h)))
        return out


def needed(side: int, levels: int) -> int:
    """Return the side of the input for which the output has at least `side` pixels.

    It is one for which every side that is halved is even (section 2 of the paper).
    """
    coarse = side
    for _ in range(levels - 1):
        coarse = -(-(coarse + LOST) // 2)
    seen = coarse + LOST
    for _ in range(levels - 1):
        seen = 2 * seen + LOST
    return seen


def mirrored(x: Tensor, height: int, width: int) -> Tensor:
    """Return B×C×H×W continued to B×C×height×width by mirroring it at its edges (figure 2)."""
    rows = _mirrored_indices(x.shape[2], height).to(x.device)
    columns = _mirrored_indices(x.shape[3], width).to(x.device)
    return x[:, :, rows][:, :, :, columns]


def _mirrored_indices(side: int, wanted: int) -> Tensor:
    """Return the indices that continue `side` pixels to `wanted` pixels on both sides."""
    place = torch.arange(wanted) - (wanted - side) // 2
    period = max(2 * (side - 1), 1)
    place = place.remainder(period)
    return torch.minimum(place, period - place) if side > 1 else torch.zeros_like(place)


def cropped(x: Tensor, height: int, width: int) -> Tensor:
    """Return the middle of B×C×H×W, B×C×height×width."""
    top, left = (x.shape[2] - height) // 2, (x.shape[3] - width) // 2
    return x[:, :, top : top + height, left : left + width]
