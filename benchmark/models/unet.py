"""The U-Net with group normalisation and attention of Ho et al. 2020 (appendix B).

Parameter names and results are those of diffusers' UNet2DModel, so its checkpoints load as they
are; this module needs torch alone, where importing diffusers costs every process seconds.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.models.specs import UNetSpec

FOURIER_SCALE = 16  # standard deviation of the random frequencies, Song et al. 2021, appendix C
MAX_PERIOD = 10_000  # of the positional embedding, Vaswani et al. 2017, section 3.5


class UNet(nn.Module):
    """A network that predicts an image from a noisy image and its time.

    Args:
        spec: the options; all of them have their defaults in `UNetSpec`.
    """

    def __init__(self, spec: UNetSpec) -> None:
        super().__init__()
        self.spec = spec
        pixels = spec.image_channels * spec.patch**2
        first, last = spec.channels[0], spec.channels[-1]
        self.time_proj = _time_projection(spec)
        self.time_embedding = TimeEmbedding(self.time_proj.width, 4 * first)
        self.conv_in = nn.Conv2d(pixels, first, 3, padding=1)
        self.down_blocks = nn.ModuleList(_down_levels(spec))
        self.mid_block = Middle(spec, last)
        self.up_blocks = nn.ModuleList(_up_levels(spec))
        self.conv_norm_out = nn.GroupNorm(spec.groups, first, spec.norm_eps)
        self.conv_out = nn.Conv2d(first, pixels, 3, padding=1)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Predict from x: B×C×H×W and t: B; H and W are multiples of `spec.multiple`."""
        emb = self.time_embedding(self.time_proj(t).to(x.dtype))  # (B, 4 channels[0])
        h = self.conv_in(F.pixel_unshuffle(x, self.spec.patch))
        skips = [h]
        for level in self.down_blocks:
            h, outputs = level(h, emb)
            skips += outputs
        h = self.mid_block(h, emb)
        for level in self.up_blocks:
            h = level(h, emb, skips)
        h = self.conv_out(F.silu(self.conv_norm_out(h)))
        h = F.pixel_shuffle(h, self.spec.patch)
        if self.spec.time_embedding == "fourier":
            return h / t.to(h.dtype)[:, None, None, None]
        return h


class PositionalEmbedding(nn.Module):
    """Sines and cosines of a time at geometric frequencies from 1 down to about 1/MAX_PERIOD."""

    def __init__(self, width: int, freq_shift: float, flip_sin_to_cos: bool) -> None:
        super().__init__()
        self.width = width
        self.freq_shift = freq_shift
        self.flip = flip_sin_to_cos

    def forward(self, t: Tensor) -> Tensor:
        """Embed t: B as B×width."""
        half = self.width // 2
        powers = torch.arange(half, device=t.device) / (half - self.freq_shift)
        angles = t[:, None].float() * torch.exp(-math.log(MAX_PERIOD) * powers)
        waves = [angles.cos(), angles.sin()] if self.flip else [angles.sin(), angles.cos()]
        return F.pad(torch.cat(waves, 1), (0, self.width % 2))


class FourierEmbedding(nn.Module):
    """Sines and cosines of log σ at random frequencies, Song et al. 2021, appendix C."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.width = 2 * channels
        self.weight = nn.Parameter(torch.randn(channels) * FOURIER_SCALE, requires_grad=False)

    def forward(self, sigma: Tensor) -> Tensor:
        """Embed sigma: B, positive, as B×width."""
        angles = sigma.log()[:, None] * self.weight * 2 * math.pi
        return torch.cat([angles.sin(), angles.cos()], 1)


class TimeEmbedding(nn.Module):
    """Two linear layers."""

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(width_in, width)
        self.linear_2 = nn.Linear(width, width)

    def forward(self, emb: Tensor) -> Tensor:
        """Map B×width_in to B×width."""
        return self.linear_2(F.silu(self.linear_1(emb)))  # type: ignore[no-any-return]


class Resnet(nn.Module):
    """Two convolutions around which the input is added, with the time in between."""

    def __init__(self, spec: UNetSpec, channels_in: int, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(spec.groups, channels_in, spec.norm_eps)
        self.conv1 = nn.Conv2d(channels_in, channels, 3, padding=1)
        self.time_emb_proj = nn.Linear(4 * spec.channels[0], channels)
        self.norm2 = nn.GroupNorm(spec.groups, channels, spec.norm_eps)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        same = channels_in == channels
        self.conv_shortcut = nn.Identity() if same else nn.Conv2d(channels_in, channels, 1)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """Map x: B×channels_in×H×W and emb: B×width to B×channels×H×W."""
        h = self.conv1(F.silu(self.norm1(x)))
        h = h + self.time_emb_proj(F.silu(emb))[:, :, None, None]
        h = self.conv2(F.silu(self.norm2(h)))
        return self.conv_shortcut(x) + h  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Self-attention over all pixels, added to its input."""

    def __init__(self, spec: UNetSpec, channels: int) -> None:
        super().__init__()
        self.heads = channels // (spec.head_channels or channels)
        self.group_norm = nn.GroupNorm(spec.groups, channels, spec.norm_eps)
        self.to_q = nn.Linear(channels, channels)
        self.to_k = nn.Linear(channels, channels)
        self.to_v = nn.Linear(channels, channels)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, x: Tensor) -> Tensor:
        """Map B×C×H×W to the same shape."""
        h = self.group_norm(x).flatten(2).transpose(1, 2)  # (B, HW, C)
        q, k, v = (self._split(layer(h)) for layer in (self.to_q, self.to_k, self.to_v))
        h = F.scaled_dot_product_attention(q, k, v)  # (B, heads, HW, C / heads)
        h = self.to_out[0](h.transpose(1, 2).flatten(2))  # (B, HW, C)
        return x + h.transpose(1, 2).unflatten(2, x.shape[2:])

    def _split(self, h: Tensor) -> Tensor:
        return h.unflatten(2, (self.heads, -1)).transpose(1, 2)


class Downsample(nn.Module):
    """A convolution of stride 2."""

    def __init__(self, channels: int, padding: int) -> None:
        super().__init__()
        self.pad = (0, 1, 0, 1) if padding == 0 else (1, 1, 1, 1)
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Halve the height and width of B×C×H×W."""
        return self.conv(F.pad(x, self.pad))  # type: ignore[no-any-return]


class Upsample(nn.Module):
    """Every pixel twice in height and width, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Double the height and width of B×C×H×W."""
        return self.conv(F.interpolate(x, scale_factor=2.0))  # type: ignore[no-any-return]


class Level(nn.Module):
    """Residual blocks at one resolution, each followed by attention where the level attends."""

    def __init__(
        self, spec: UNetSpec, channels_in: list[int], channels: int, attends: bool
    ) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(Resnet(spec, width, channels) for width in channels_in)
        self.attentions = nn.ModuleList(
            Attention(spec, channels) if attends else nn.Identity() for _ in channels_in
        )


class DownLevel(Level):
    """A level on the way down; all but the last end by halving the resolution."""

    def __init__(
        self, spec: UNetSpec, channels_in: list[int], channels: int, attends: bool, last: bool
    ) -> None:
        super().__init__(spec, channels_in, channels, attends)
        self.downsamplers = nn.ModuleList(
            [] if last else [Downsample(channels, spec.downsample_padding)]
        )

    def forward(self, x: Tensor, emb: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the level's last output, and all outputs for the way up."""
        outputs = []
        for resnet, attention in zip(self.resnets, self.attentions, strict=True):
            x = attention(resnet(x, emb))
            outputs.append(x)
        for downsample in self.downsamplers:
            x = downsample(x)
            outputs.append(x)
        return x, outputs


class UpLevel(Level):
    """A level on the way up; all but the finest end by doubling the resolution."""

    def __init__(
        self, spec: UNetSpec, channels_in: list[int], channels: int, attends: bool, last: bool
    ) -> None:
        super().__init__(spec, channels_in, channels, attends)
        self.upsamplers = nn.ModuleList([] if last else [Upsample(channels)])

    def forward(self, x: Tensor, emb: Tensor, skips: list[Tensor]) -> Tensor:
        """Return the level's output; takes its skipped inputs from the end of `skips`."""
        for resnet, attention in zip(self.resnets, self.attentions, strict=True):
            x = attention(resnet(torch.cat([x, skips.pop()], 1), emb))
        for upsample in self.upsamplers:
            x = upsample(x)
        return x


class Middle(nn.Module):
    """Two residual blocks at the coarsest resolution with attention between them."""

    def __init__(self, spec: UNetSpec, channels: int) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(Resnet(spec, channels, channels) for _ in range(2))
        self.attentions = nn.ModuleList([Attention(spec, channels)] if spec.mid_attention else [])

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """Map B×channels×H×W to the same shape."""
        x = self.resnets[0](x, emb)
        for attention in self.attentions:
            x = attention(x)
        return self.resnets[1](x, emb)  # type: ignore[no-any-return]


def _time_projection(spec: UNetSpec) -> PositionalEmbedding | FourierEmbedding:
    if spec.time_embedding == "fourier":
        return FourierEmbedding(spec.channels[0])
    return PositionalEmbedding(spec.channels[0], spec.freq_shift, spec.flip_sin_to_cos)


def _skip_channels(spec: UNetSpec) -> list[int]:
    """Return the channels of all outputs on the way down, in their order."""
    skips = [spec.channels[0]]
    for index, width in enumerate(spec.channels):
        skips += [width] * (spec.layers + (index < len(spec.channels) - 1))
    return skips


def _down_levels(spec: UNetSpec) -> list[DownLevel]:
    last = len(spec.channels) - 1
    return [
        DownLevel(
            spec, [before] + [width] * (spec.layers - 1), width, spec.attention[i], last=i == last
        )
        for i, (before, width) in enumerate(pairwise([spec.channels[0], *spec.channels]))
    ]


def _up_levels(spec: UNetSpec) -> list[UpLevel]:
    """One layer more than on the way down, as every downsampled output is skipped as well."""
    levels = []
    skips = _skip_channels(spec)
    before = spec.channels[-1]
    for i in reversed(range(len(spec.channels))):
        width = spec.channels[i]
        mine = [skips.pop() for _ in range(spec.layers + 1)]
        inputs = [before, *[width] * spec.layers]
        channels_in = [a + b for a, b in zip(inputs, mine, strict=True)]
        levels.append(UpLevel(spec, channels_in, width, spec.attention[i], last=i == 0))
        before = width
    return levels
