"""The transformer of Peebles and Xie 2023: tokens of patches, conditioned by adaLN-Zero."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.models.modules.embeddings import ClassEmbedding, PositionalEmbedding, TimeEmbedding

if TYPE_CHECKING:
    from benchmark.models.networks.dit import DiT

_TIME_WIDTH = 256  # number of sines and cosines of the time
LAYER_NORM_EPS = 1e-6


class DiTModule(nn.Module):
    """A network that predicts an image from a noisy image and its time.

    Gates, which start at 0, multiply all that a block adds, and the last layer starts at 0 too:
    before training the network predicts 0 (section 3.2, adaLN-Zero).

    Args:
        spec: options of the network.
    """

    def __init__(self, spec: DiT) -> None:
        super().__init__()
        self.patch = spec.patch
        pixels = spec.image_channels * spec.patch**2
        self.time_proj = PositionalEmbedding(_TIME_WIDTH, freq_shift=0, flip_sin_to_cos=True)
        self.time_embedding = TimeEmbedding(_TIME_WIDTH, spec.width)
        self.embed = nn.Linear(pixels, spec.width)
        self.blocks = nn.ModuleList(DiTBlock(spec) for _ in range(spec.depth))
        self.norm = nn.LayerNorm(spec.width, LAYER_NORM_EPS, elementwise_affine=False)
        self.modulation = nn.Linear(spec.width, 2 * spec.width)
        self.out = nn.Linear(spec.width, pixels)
        self._initialise()
        # Last, so that the other weights are those of a network without classes.
        self.class_embedding: ClassEmbedding | None = None
        if spec.classes is not None:
            self.class_embedding = ClassEmbedding(spec.classes + 1, spec.width)
            nn.init.normal_(self.class_embedding.weight, std=0.02)

    def forward(self, x: Tensor, t: Tensor, labels: Tensor | None = None) -> Tensor:
        """Predict from x: B×C×H×W and t: B; H and W are multiples of the patch.

        A network with classes takes their numbers, B; None: no class.
        """
        time = self.time_embedding(self.time_proj(t).to(x.dtype))  # (B, width)
        if self.class_embedding is not None:
            time = time + self.class_embedding.of(labels, time)
        time = F.silu(time)
        patches = F.pixel_unshuffle(x, self.patch)  # (B, C·patch², H/patch, W/patch)
        rows, columns = patches.shape[2:]
        tokens = self.embed(patches.flatten(2).transpose(1, 2))  # (B, N, width)
        tokens = tokens + position_embedding(rows, columns, tokens.shape[2]).to(tokens)
        for block in self.blocks:
            tokens = block(tokens, time)
        shift, scale = self.modulation(time)[:, None].chunk(2, 2)
        tokens = self.out(self.norm(tokens) * (1 + scale) + shift)
        patches = tokens.transpose(1, 2).unflatten(2, (rows, columns))
        return F.pixel_shuffle(patches, self.patch)

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        for layer in (self.time_embedding.linear_1, self.time_embedding.linear_2):
            nn.init.normal_(layer.weight, std=0.02)
        blocks = (module for module in self.modules() if isinstance(module, DiTBlock))
        for zero in (*(block.modulation for block in blocks), self.modulation, self.out):
            nn.init.zeros_(zero.weight)


class DiTBlock(nn.Module):
    """Attention and two linear layers, each scaled, shifted and gated by the time."""

    def __init__(self, spec: DiT) -> None:
        super().__init__()
        width, hidden = spec.width, spec.mlp_ratio * spec.width
        self.heads = spec.heads
        self.norm1 = nn.LayerNorm(width, LAYER_NORM_EPS, elementwise_affine=False)
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width, LAYER_NORM_EPS, elementwise_affine=False)
        self.mlp = nn.Sequential(
            nn.Linear(width, hidden), nn.GELU(approximate="tanh"), nn.Linear(hidden, width)
        )
        self.modulation = nn.Linear(width, 6 * width)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """Map tokens B×N×width and the time B×width to B×N×width."""
        parts = self.modulation(time)[:, None].chunk(6, 2)
        shift1, scale1, gate1, shift2, scale2, gate2 = parts
        x = x + gate1 * self._attend(self.norm1(x) * (1 + scale1) + shift1)
        out: Tensor = x + gate2 * self.mlp(self.norm2(x) * (1 + scale2) + shift2)
        return out

    def _attend(self, x: Tensor) -> Tensor:
        """Return tokens B×N×width after each has attended to all."""
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        out: Tensor = self.project(
            F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        )
        return out


def position_embedding(rows: int, columns: int, width: int) -> Tensor:
    """Return the embedding of the positions of tokens, N×width, in the order of the rows.

    One half has sines and cosines of the column, the other half those of the row, as in the code of
    He et al. 2022 (masked autoencoders), which the paper follows.
    """
    wave = PositionalEmbedding(width // 2, freq_shift=0, flip_sin_to_cos=False)
    of_rows, of_columns = wave(torch.arange(rows)), wave(torch.arange(columns))
    return torch.cat(
        [
            of_columns[None].expand(rows, -1, -1),
            of_rows[:, None].expand(-1, columns, -1),
        ],
        dim=2,
    ).flatten(0, 1)
