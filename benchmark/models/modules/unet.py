"""The U-Net with group normalisation and attention of Ho et al. 2020 (appendix B).

Names of parameters and results are those of diffusers' UNet2DModel, so its checkpoints can be
loaded. This module only needs torch, while importing diffusers takes each process some seconds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.models.modules.embeddings import (
    ClassEmbedding,
    FourierEmbedding,
    PositionalEmbedding,
    TimeEmbedding,
)

if TYPE_CHECKING:
    from benchmark.models.networks.unet import UNet


class UNetModule(nn.Module):
    """A network that predicts an image from a noisy image and its time.

    Args:
        spec: options of the network.
    """

    def __init__(self, spec: UNet) -> None:
        super().__init__()
        self.spec = spec
        pixels = spec.image_channels * spec.patch**2
        first, last = spec.channels[0], spec.channels[-1]
        self.time_proj = time_projection(spec)
        self.time_embedding = TimeEmbedding(self.time_proj.width, 4 * first)
        self.conv_in = nn.Conv2d(pixels, first, 3, padding=1)
        self.down_blocks = nn.ModuleList(down_levels(spec))
        self.mid_block = Middle(spec, last)
        self.up_blocks = nn.ModuleList(_up_levels(spec))
        self.conv_norm_out = nn.GroupNorm(spec.groups, first, spec.norm_eps)
        self.conv_out = nn.Conv2d(first, pixels * (1 + spec.learned_variance), 3, padding=1)
        if spec.output_gates:
            self.gates = nn.Linear(4 * first, 2 * pixels)
            self._start_as_identity()
        # Last, so that the other weights are those of a network without classes.
        if spec.classes is not None:
            self.class_embedding = ClassEmbedding(spec.classes + 1, 4 * first)

    def forward(self, x: Tensor, t: Tensor, labels: Tensor | None = None) -> Tensor:
        """Predict from x: B×C×H×W and t: B; H and W are multiples of `spec.multiple`.

        With `learned_variance` it is B×2C×H×W. A network with classes takes their numbers, B; None:
        no class.
        """
        if not t.stride(0):
            t = t[:1]  # the same for all images: it is embedded once
        emb = self.time_embedding(self.time_proj(t).to(x.dtype))  # (B or 1, 4 channels[0])
        if self.spec.classes is not None:
            emb = emb + self.class_embedding.of(labels, emb)
        x = F.pixel_unshuffle(scaled(self.spec, x, t), self.spec.patch)
        h = self.conv_in(x)
        skips = [h]
        for level in self.down_blocks:
            h, outputs = level(h, emb)
            skips += outputs
        h = self.mid_block(h, emb)
        for level in self.up_blocks:
            h = level(h, emb, skips)
        h = self.conv_out(F.silu(self.conv_norm_out(h)))
        if self.spec.output_gates:
            a, b = self.gates(F.silu(emb))[:, :, None, None].chunk(2, 1)
            h, *variance = h.split(x.shape[1], 1)
            h = torch.cat([a * h + b * x, *variance], 1) if variance else a * h + b * x
        h = F.pixel_shuffle(h, self.spec.patch)
        if self.spec.time_embedding == "fourier":
            return h / t.to(h.dtype)[:, None, None, None]
        return h

    def _start_as_identity(self) -> None:
        for parameter in (*self.conv_out.parameters(), self.gates.weight):
            nn.init.zeros_(parameter)
        # A fourier network predicts the score, which is -ε/σ and not ε.
        nn.init.constant_(self.gates.bias, -1 if self.spec.time_embedding == "fourier" else 1)


class Resnet(nn.Module):
    """Two convolutions with the time between them, to whose output the input is added.

    Args:
        spec: options of the network.
        channels_in: channels of the input.
        channels: channels of the output.
        resample: function that changes height and width, both before the convolutions and on the
            way around them.
    """

    def __init__(
        self,
        spec: UNet,
        channels_in: int,
        channels: int,
        resample: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.resample = resample
        self.scale_shift = spec.scale_shift
        self.divisor = _divisor(spec)
        self.norm1 = nn.GroupNorm(spec.groups, channels_in, spec.norm_eps)
        self.conv1 = nn.Conv2d(channels_in, channels, 3, padding=1)
        self.time_emb_proj = nn.Linear(4 * spec.channels[0], channels * (1 + spec.scale_shift))
        self.norm2 = nn.GroupNorm(spec.groups, channels, spec.norm_eps)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        same = channels_in == channels
        self.conv_shortcut = nn.Identity() if same else nn.Conv2d(channels_in, channels, 1)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """Map x: B×channels_in×H×W and emb: B×width to B×channels×H×W."""
        h = F.silu(self.norm1(x))
        if self.resample is not None:
            h, x = self.resample(h), self.resample(x)
        h = self.conv1(h)
        time = self.time_emb_proj(F.silu(emb))[:, :, None, None]
        if self.scale_shift:
            scale, shift = time.chunk(2, 1)
            h = self.norm2(h) * (1 + scale) + shift
        else:
            h = self.norm2(h + time)
        h = self.conv2(F.silu(h))
        out: Tensor = self.conv_shortcut(x) + h
        return out if self.divisor == 1 else out / self.divisor


class Attention(nn.Module):
    """Self-attention over all pixels, added to its input."""

    def __init__(self, spec: UNet, channels: int, is_normed: bool = True) -> None:
        super().__init__()
        self.heads = channels // (spec.head_channels or channels)
        self.divisor = _divisor(spec)
        norm = nn.GroupNorm(spec.groups, channels, spec.norm_eps)
        self.group_norm = norm if is_normed else nn.Identity()
        self.to_q = nn.Linear(channels, channels)
        self.to_k = nn.Linear(channels, channels)
        self.to_v = nn.Linear(channels, channels)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, x: Tensor) -> Tensor:
        """Map B×C×H×W to the same shape."""
        h: Tensor = self.group_norm(x).flatten(2).transpose(1, 2)  # (B, HW, C)
        q, k, v = (self._split(layer(h)) for layer in (self.to_q, self.to_k, self.to_v))
        h = F.scaled_dot_product_attention(q, k, v)  # (B, heads, HW, C / heads)
        h = self.to_out[0](h.transpose(1, 2).flatten(2))  # (B, HW, C)
        out = x + h.transpose(1, 2).reshape(x.shape)
        return out if self.divisor == 1 else out / self.divisor

    def _split(self, h: Tensor) -> Tensor:
        batch, pixels, channels = h.shape
        return h.view(batch, pixels, self.heads, channels // self.heads).transpose(1, 2)


class Downsample(nn.Module):
    """A convolution of stride 2, which ignores the time."""

    def __init__(self, spec: UNet, level: int) -> None:
        super().__init__()
        self.pad = (0, 1, 0, 1) if spec.downsample_padding == 0 else (1, 1, 1, 1)
        self.conv = nn.Conv2d(spec.channels[level], spec.channels[level], 3, stride=2)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """Halve the height and width of x: B×C×H×W."""
        out: Tensor = self.conv(F.pad(x, self.pad))
        return out


class Upsample(nn.Module):
    """Doubles height and width by repeating pixels, then a convolution; it ignores the time."""

    def __init__(self, spec: UNet, level: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(spec.channels[level], spec.channels[level], 3, padding=1)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """Double the height and width of x: B×C×H×W."""
        out: Tensor = self.conv(_doubled(x))
        return out


class Level(nn.Module):
    """Residual blocks at one resolution, each followed by attention where the level attends."""

    def __init__(self, spec: UNet, channels_in: list[int], level: int) -> None:
        super().__init__()
        channels = spec.channels[level]
        self.resnets = nn.ModuleList(Resnet(spec, width, channels) for width in channels_in)
        self.attentions = nn.ModuleList(
            Attention(spec, channels) if spec.attention[level] else nn.Identity()
            for _ in channels_in
        )


class DownLevel(Level):
    """A level on the way down; all but the coarsest end by halving the resolution."""

    def __init__(self, spec: UNet, channels_in: list[int], level: int) -> None:
        super().__init__(spec, channels_in, level)
        coarsest = level == len(spec.channels) - 1
        self.downsamplers = nn.ModuleList([] if coarsest else [_downsampler(spec, level)])

    def forward(self, x: Tensor, emb: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the level's last output, and all outputs for the way up."""
        outputs = []
        for resnet, attention in zip(self.resnets, self.attentions, strict=True):
            x = attention(resnet(x, emb))
            outputs.append(x)
        for downsample in self.downsamplers:
            x = downsample(x, emb)
            outputs.append(x)
        return x, outputs


class UpLevel(Level):
    """A level on the way up; all but the finest end by doubling the resolution."""

    def __init__(self, spec: UNet, channels_in: list[int], level: int) -> None:
        super().__init__(spec, channels_in, level)
        self.upsamplers = nn.ModuleList([] if level == 0 else [_upsampler(spec, level)])

    def forward(self, x: Tensor, emb: Tensor, skips: list[Tensor]) -> Tensor:
        """Return the level's output; its inputs from the way down are removed from `skips`."""
        for resnet, attention in zip(self.resnets, self.attentions, strict=True):
            x = attention(resnet(torch.cat([x, skips.pop()], 1), emb))
        for upsample in self.upsamplers:
            x = upsample(x, emb)
        return x


class Middle(nn.Module):
    """Two residual blocks at the coarsest resolution with attention between them."""

    def __init__(self, spec: UNet, channels: int) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(Resnet(spec, channels, channels) for _ in range(2))
        # An attention that is not used must not be made: it would change the random numbers of
        # other weights.
        count = 1 if spec.mid_attention else 0
        self.attentions = nn.ModuleList(
            Attention(spec, channels, spec.mid_attention_norm) for _ in range(count)
        )

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """Map B×channels×H×W to the same shape."""
        x = self.resnets[0](x, emb)
        for attention in self.attentions:
            x = attention(x)
        out: Tensor = self.resnets[1](x, emb)
        return out


def _downsampler(spec: UNet, level: int) -> nn.Module:
    width = spec.channels[level]
    return (
        Resnet(spec, width, width, _halved) if spec.residual_sampling else Downsample(spec, level)
    )


def _upsampler(spec: UNet, level: int) -> nn.Module:
    width = spec.channels[level]
    return Resnet(spec, width, width, _doubled) if spec.residual_sampling else Upsample(spec, level)


def _halved(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 2)


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0)


def _divisor(spec: UNet) -> float:
    """Return the number by which the sum of a block and its input is divided."""
    return math.sqrt(2) if spec.rescale_skips else 1


def _skip_channels(spec: UNet) -> list[int]:
    """Return the numbers of channels of all outputs on the way down, in order."""
    levels = [[width] * (spec.layers + 1) for width in spec.channels]
    return [spec.channels[0], *itertools.chain(*levels)][:-1]  # the coarsest is not halved


def scaled(spec: UNet, x: Tensor, t: Tensor) -> Tensor:
    """Return x: B×C×H×W, divided by √(σ² + sigma_data²) if `sigma_data` is given and t: B is σ."""
    if spec.sigma_data is None:
        return x
    sigma = t.to(x.dtype)[:, None, None, None]
    return x / (sigma**2 + spec.sigma_data**2).sqrt()


def time_projection(spec: UNet) -> FourierEmbedding | PositionalEmbedding:
    """Return what turns times or noise levels into waves, of the first level's width."""
    if spec.time_embedding == "fourier":
        return FourierEmbedding(spec.channels[0], spec.fourier_scale)
    return PositionalEmbedding(spec.channels[0], spec.freq_shift, spec.flip_sin_to_cos)


def down_levels(spec: UNet) -> list[DownLevel]:
    """Return the levels on the way down, from the finest to the coarsest."""
    before = spec.channels[:1] + spec.channels
    return [
        DownLevel(spec, [before[level]] + [width] * (spec.layers - 1), level)
        for level, width in enumerate(spec.channels)
    ]


def _up_levels(spec: UNet) -> list[UpLevel]:
    """Return the levels from the coarsest to the finest.

    Each has one block more than on the way down, for the output with half the resolution.
    """
    skips = _skip_channels(spec)
    levels = []
    before = spec.channels[-1]
    for level, width in reversed(list(enumerate(spec.channels))):
        inputs = [before] + [width] * spec.layers
        levels.append(UpLevel(spec, [channels + skips.pop() for channels in inputs], level))
        before = width
    return levels
