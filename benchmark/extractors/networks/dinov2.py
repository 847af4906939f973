"""DINOv2's vision transformer (Oquab et al. 2023; Dosovitskiy et al. 2021), up to the class token.

Stein et al. (2023) propose the Fréchet distance of its features, FD-DINOv2. The preprocessing of
images is the default of their program dgm-eval.
"""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import conv2d, gelu, interpolate, layer_norm

from benchmark.extractors.networks.folding import State, read_state_dict
from benchmark.extractors.networks.resizing import antialiased, pillow
from benchmark.extractors.networks.transformer import Block, affine, normalised

_SIDE = 224
PATCH = 14
GRID = _SIDE // PATCH
_EPS = 1e-6
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)


def load_dinov2(file: Path, device: torch.device) -> Dinov2:
    """Return the network from B×3×224×224 to the normalised class token, float32 B×d."""
    return Dinov2(read_state_dict(file, device))


def preprocess_dinov2(images: Tensor) -> Tensor:
    """Resize uint8 B×3×H×W to 224×224 with Pillow's bicubic filter, normalise as for ImageNet."""
    return normalised(pillow(images, _SIDE, _SIDE, Image.Resampling.BICUBIC), MEAN, DEVIATION)


def preprocess_edm2(images: Tensor) -> Tensor:
    """Resize uint8 B×3×H×W to 224×224 with torch's bicubic filter, normalise as for ImageNet.

    The filter is that of Pillow, but nothing is rounded, and what overshoots 0 and 255 stays.
    """
    return normalised(antialiased(images, _SIDE, "bicubic"), MEAN, DEVIATION)


class Dinov2:
    """The network, made from its published state dict."""

    def __init__(self, state: State) -> None:
        depth = sum(key.endswith("norm1.weight") for key in state)
        self.patches = affine(state, "patch_embed.proj")
        self.class_token = state["cls_token"]
        self.positions = resampled_positions(state["pos_embed"])
        self.blocks = [_block(state, f"blocks.{i}") for i in range(depth)]
        self.norm = affine(state, "norm")

    def __call__(self, x: Tensor) -> Tensor:
        """Map normalised images, B×3×224×224, to features, B×d."""
        tokens = conv2d(x, *self.patches, stride=PATCH).flatten(2).transpose(1, 2)
        first = self.class_token.expand(len(x), -1, -1)
        x = torch.cat([first, tokens], 1) + self.positions
        for block in self.blocks:
            x = block(x)
        return layer_norm(x[:, 0], x.shape[-1:], *self.norm, _EPS)


def resampled_positions(embedding: Tensor) -> Tensor:
    """Resample the position embedding, 1×(1 + side²)×d, from its training grid to 16×16.

    The scale is 16.1/side and not 16/side, as in the code of the authors.
    """
    first, rest = embedding[:, :1], embedding[:, 1:]
    side = round(rest.shape[1] ** 0.5)
    grid = rest.reshape(1, side, side, -1).permute(0, 3, 1, 2)
    scale = (GRID + 0.1) / side
    grid = interpolate(grid, scale_factor=(scale, scale), mode="bicubic", align_corners=False)
    return torch.cat([first, grid.flatten(2).transpose(1, 2)], 1)


def _block(state: State, name: str) -> Block:
    """Return a block, whose weights contain the layer scales."""
    return Block(
        norm1=affine(state, f"{name}.norm1"),
        qkv=affine(state, f"{name}.attn.qkv"),
        project=affine(state, f"{name}.attn.proj", f"{name}.ls1.gamma"),
        norm2=affine(state, f"{name}.norm2"),
        expand=affine(state, f"{name}.mlp.fc1"),
        contract=affine(state, f"{name}.mlp.fc2", f"{name}.ls2.gamma"),
        activation=gelu,
        eps=_EPS,
    )
