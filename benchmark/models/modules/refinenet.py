"""The network of NCSN: a dilated RefineNet with InstanceNorm++, Song and Ermon 2019, appendix A.

Parameter names and results are those of the authors' checkpoints, which differ from the paper in
details; where they do, this module follows the checkpoints.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.models.modules.embeddings import numbers

if TYPE_CHECKING:
    from benchmark.models.networks.refinenet import RefineNet


INSTANCE_NORM_EPS = 1e-5  # also added to the variance of the channels' means
POOL = 5  # side of the square of pixels that chained pooling averages


class RefineNetModule(nn.Module):
    """Four stages of residual blocks, and four refinements that combine their outputs.

    The second stage halves the resolution; the third and the fourth dilate instead.

    Args:
        spec: options of the network.
    """

    def __init__(self, spec: RefineNet) -> None:
        super().__init__()
        width, wide = spec.channels, 2 * spec.channels
        # Each class has normalisations of its own at each level, and so has no class.
        self.kinds = 1 if spec.classes is None else spec.classes + 1
        levels = spec.levels * self.kinds
        self.begin_conv = _conv(spec.image_channels, width)
        self.res1 = _stage(width, width, levels)
        self.res2 = _stage(width, wide, levels, halve=True)
        self.res3 = _stage(wide, wide, levels, dilation=2)
        self.res4 = _stage(wide, wide, levels, dilation=4)
        self.refine1 = Refinement([wide], wide, levels)
        self.refine2 = Refinement([wide, wide], wide, levels)
        self.refine3 = Refinement([wide, wide], width, levels)
        self.refine4 = Refinement([width, width], width, levels, blocks_out=3)
        self.normalizer = InstanceNormPlus(width, levels)
        self.end_conv = _conv(width, spec.image_channels)

    def forward(self, x: Tensor, level: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the score of x: B×C×H×W in [0, 1] plus noise, H and W even, at each level: B.

        Level 0 is that of the largest noise. A network with classes takes their numbers, B; None:
        no class.
        """
        level = level.long() * self.kinds
        if self.kinds > 1:
            level = level + numbers(labels, self.kinds, x)
        h = self.begin_conv(2 * x - 1)
        outputs = []
        for stage in (self.res1, self.res2, self.res3, self.res4):
            for block in stage:
                h = block(h, level)
            outputs.append(h)
        h = self.refine1(outputs[3:], level)
        h = self.refine2([outputs[2], h], level)
        h = self.refine3([outputs[1], h], level)
        h = self.refine4([outputs[0], h], level)
        out: Tensor = self.end_conv(F.elu(self.normalizer(h, level)))
        return out


class InstanceNormPlus(nn.Module):
    """Instance normalisation that keeps the differences of the channels' means, appendix A.1.

    It computes γ (norm(x) + α m) + β, where each noise level has a γ, an α and a β.
    """

    def __init__(self, channels: int, levels: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(levels, 3 * channels)
        nn.init.normal_(self.embed.weight[:, : 2 * channels].detach(), 1, 0.02)
        nn.init.zeros_(self.embed.weight[:, 2 * channels :].detach())

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """Normalise B×C×H×W by each image and channel."""
        means = x.mean((2, 3), keepdim=True)  # (B, C, 1, 1)
        spread = (means.var(1, keepdim=True) + INSTANCE_NORM_EPS).sqrt()
        m = (means - means.mean(1, keepdim=True)) / spread
        gamma, alpha, beta = self.embed(level)[:, :, None, None].chunk(3, 1)
        out: Tensor = gamma * (F.instance_norm(x, eps=INSTANCE_NORM_EPS) + alpha * m) + beta
        return out


class Residual(nn.Module):
    """Two normalised convolutions, to whose output the input is added.

    Args:
        channels_in: channels of the input.
        channels: channels of the output.
        levels: number of noise levels.
        dilation: dilation of the 3×3 convolutions.
        shortcut: maps the input to the shape of the output; None: they have the same shape.
        halve: whether to average squares of 2×2 pixels at the end.
    """

    def __init__(
        self,
        channels_in: int,
        channels: int,
        levels: int,
        dilation: int = 1,
        shortcut: nn.Module | None = None,
        halve: bool = False,
    ) -> None:
        super().__init__()
        self.normalize1 = InstanceNormPlus(channels_in, levels)
        self.conv1 = _conv(channels_in, channels_in, dilation)
        self.normalize2 = InstanceNormPlus(channels_in, levels)
        conv2 = _conv(channels_in, channels, dilation)
        self.conv2 = MeanPooled(conv2) if halve else conv2
        self.shortcut = shortcut or nn.Identity()

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """Map B×channels_in×H×W to B×channels×H×W, or to half the height and width."""
        h = self.conv1(F.elu(self.normalize1(x, level)))
        h = self.conv2(F.elu(self.normalize2(h, level)))
        out: Tensor = self.shortcut(x) + h
        return out


class MeanPooled(nn.Module):
    """A convolution whose output is averaged over squares of 2×2 pixels."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        """Return x, B×C×H×W, convolved and averaged to B×C'×H/2×W/2."""
        return F.avg_pool2d(self.conv(x), 2)


class Refinement(nn.Module):
    """Adapt each input, fuse them at the resolution of the first, pool, and adapt once more.

    Args:
        channels_in: channels of each input, the finest first.
        channels: channels of the output.
        levels: number of noise levels.
        blocks_out: number of residual blocks at the end.
    """

    def __init__(
        self, channels_in: list[int], channels: int, levels: int, blocks_out: int = 1
    ) -> None:
        super().__init__()
        self.adapt_convs = nn.ModuleList(Adaptation(width, 2, levels) for width in channels_in)
        if len(channels_in) > 1:
            self.msf = Fusion(channels_in, channels, levels)
        self.crp = ChainedPooling(channels, levels)
        self.output_convs = Adaptation(channels, blocks_out, levels)

    def forward(self, xs: list[Tensor], level: Tensor) -> Tensor:
        """Map tensors B×channels_in×H×W, H and W their own, to B×channels×H×W of the first."""
        hs = [adapt(x, level) for adapt, x in zip(self.adapt_convs, xs, strict=True)]
        h = self.msf(hs, level) if len(hs) > 1 else hs[0]
        out: Tensor = self.output_convs(self.crp(h, level), level)
        return out


class Adaptation(nn.Module):
    """Residual blocks of two convolutions without bias."""

    def __init__(self, channels: int, blocks: int, levels: int) -> None:
        super().__init__()
        self.blocks = blocks
        for block in range(1, blocks + 1):
            for half in (1, 2):
                self.add_module(f"{block}_{half}_norm", InstanceNormPlus(channels, levels))
                self.add_module(f"{block}_{half}_conv", _conv(channels, channels, bias=False))

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """Map B×channels×H×W to the same shape."""
        for block in range(1, self.blocks + 1):
            h = x
            for half in (1, 2):
                norm = self.get_submodule(f"{block}_{half}_norm")
                h = self.get_submodule(f"{block}_{half}_conv")(F.elu(norm(h, level)))
            x = x + h
        return x


class Fusion(nn.Module):
    """The sum of all inputs, each normalised, convolved and resized to the first."""

    def __init__(self, channels_in: list[int], channels: int, levels: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(_conv(width, channels) for width in channels_in)
        self.norms = nn.ModuleList(InstanceNormPlus(width, levels) for width in channels_in)

    def forward(self, xs: list[Tensor], level: Tensor) -> Tensor:
        """Map tensors B×channels_in×H×W, H and W their own, to B×channels×H×W of the first."""
        hs = [
            conv(norm(x, level)) for conv, norm, x in zip(self.convs, self.norms, xs, strict=True)
        ]
        size = xs[0].shape[2:]
        resized = [F.interpolate(h, size=size, mode="bilinear", align_corners=True) for h in hs]
        return torch.stack(resized).sum(0)


class ChainedPooling(nn.Module):
    """Averages over ever larger neighbourhoods, each convolved and added."""

    def __init__(self, channels: int, levels: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(InstanceNormPlus(channels, levels) for _ in range(2))
        self.convs = nn.ModuleList(_conv(channels, channels, bias=False) for _ in range(2))

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """Map B×channels×H×W to the same shape."""
        h = x = F.elu(x)
        for norm, conv in zip(self.norms, self.convs, strict=True):
            h = conv(F.avg_pool2d(norm(h, level), POOL, stride=1, padding=POOL // 2))
            x = x + h
        return x


def _stage(
    channels_in: int, channels: int, levels: int, dilation: int = 1, halve: bool = False
) -> nn.ModuleList:
    shortcut: nn.Module | None = None
    if halve:
        shortcut = MeanPooled(nn.Conv2d(channels_in, channels, 1))
    elif dilation > 1:
        shortcut = _conv(channels_in, channels, dilation)
    first = Residual(channels_in, channels, levels, dilation, shortcut, halve)
    return nn.ModuleList([first, Residual(channels, channels, levels, dilation)])


def _conv(channels_in: int, channels: int, dilation: int = 1, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels, 3, padding=dilation, dilation=dilation, bias=bias)
