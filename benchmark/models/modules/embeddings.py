"""Embeddings of times and noise levels, with diffusers' names of parameters and results."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MAX_PERIOD = 10_000  # as in Vaswani et al. 2017, section 3.5


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

    def __init__(self, channels: int, scale: float) -> None:
        super().__init__()
        self.width = 2 * channels
        self.weight = nn.Parameter(torch.randn(channels) * scale, requires_grad=False)

    def forward(self, sigma: Tensor) -> Tensor:
        """Embed sigma: B, positive, as B×width."""
        angles = sigma.log()[:, None] * self.weight * 2 * math.pi
        return torch.cat([angles.sin(), angles.cos()], 1)


class TimeEmbedding(nn.Module):
    """Two linear layers that follow an embedding of the time."""

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(width_in, width)
        self.linear_2 = nn.Linear(width, width)

    def forward(self, emb: Tensor) -> Tensor:
        """Map B×width_in to B×width."""
        out: Tensor = self.linear_2(F.silu(self.linear_1(emb)))
        return out


class ClassEmbedding(nn.Embedding):
    """A learned embedding of each class, and the last of no class."""

    def of(self, labels: Tensor | None, like: Tensor) -> Tensor:
        """Return the embeddings of labels: B, as B×width.

        Args:
            labels: numbers of classes, B; None: all are of no class.
            like: a tensor whose first axis is B, and whose type the embeddings get.
        """
        return self(numbers(labels, self.num_embeddings, like)).to(like.dtype)  # type: ignore[no-any-return]


def numbers(labels: Tensor | None, count: int, like: Tensor) -> Tensor:
    """Return labels (B); None stands for the last of `count` numbers, for all of a batch `like`."""
    if labels is not None:
        return labels
    return torch.full((len(like),), count - 1, device=like.device)
