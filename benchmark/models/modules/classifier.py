"""A classifier of noisy images: the way down of a U-Net, Dhariwal and Nichol 2021, section 4.2."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.models.modules.embeddings import TimeEmbedding
from benchmark.models.modules.unet import Middle, down_levels, scaled, time_projection

if TYPE_CHECKING:
    from benchmark.models.networks.unet import UNet


class ClassifierModule(nn.Module):
    """Says how probable each class is for a noisy image and its time.

    What the coarsest level makes of an image is averaged over its pixels, where the paper attends.

    Args:
        spec: options of the U-Net whose way down it is.
        classes: number of classes.
    """

    def __init__(self, spec: UNet, classes: int) -> None:
        super().__init__()
        self.spec = spec
        first, last = spec.channels[0], spec.channels[-1]
        self.time_proj = time_projection(spec)
        self.time_embedding = TimeEmbedding(self.time_proj.width, 4 * first)
        self.conv_in = nn.Conv2d(spec.image_channels * spec.patch**2, first, 3, padding=1)
        self.down_blocks = nn.ModuleList(down_levels(spec))
        self.mid_block = Middle(spec, last)
        self.norm_out = nn.GroupNorm(spec.groups, last, spec.norm_eps)
        self.head = nn.Linear(last, classes)

    def forward(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        """Return log p(labels | x, t), B, for x: B×C×H×W, t: B and labels: int64 B."""
        return self.log_probabilities(x, t).gather(1, labels[:, None])[:, 0]

    def log_probabilities(self, x: Tensor, t: Tensor) -> Tensor:
        """Return log p(class | x, t), B×classes, for x: B×C×H×W and t: B."""
        emb = self.time_embedding(self.time_proj(t).to(x.dtype))  # (B, 4 channels[0])
        h = self.conv_in(F.pixel_unshuffle(scaled(self.spec, x, t), self.spec.patch))
        for level in self.down_blocks:
            h, _ = level(h, emb)
        h = F.silu(self.norm_out(self.mid_block(h, emb)))
        return F.log_softmax(self.head(h.mean((2, 3))).float(), dim=1)
