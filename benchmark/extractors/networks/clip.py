"""CLIP's vision transformer (Radford et al. 2021), up to the embedding of an image.

Jayasumana et al. (2024) propose the distance of its embeddings, CMMD. The preprocessing of images
is that of cmmd-pytorch.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, layer_norm, linear, normalize

from benchmark.extractors.networks.folding import State, read_state_dict
from benchmark.extractors.networks.transformer import Affine, Block, affine, normalised

SIDE = 336
PATCH = 14
_EPS = 1e-5
MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)


def load_clip(file: Path, device: torch.device) -> Clip:
    """Return the network from B×3×336×336 to the embedding of length 1, float32 B×d."""
    return Clip(read_state_dict(file, device))


def preprocess_cmmd(images: Tensor) -> Tensor:
    """Resize uint8 B×3×H×W to 336×336 by torch's bicubic, normalise as CLIP's authors do.

    The filter is not widened where an image shrinks, and what overshoots 0 and 255 stays.
    """
    x = interpolate(images.float(), (SIDE, SIDE), mode="bicubic", align_corners=False)
    return normalised(x, MEAN, DEVIATION)


def quick_gelu(x: Tensor) -> Tensor:
    """Return x·sigmoid(1.702·x) of a tensor of any shape, the authors' approximation of GELU."""
    return x * torch.sigmoid(1.702 * x)


class Clip:
    """The network, made from the state dict of its copy in transformers."""

    def __init__(self, state: State) -> None:
        tower = "vision_model"
        names = [key for key in state if key.startswith(f"{tower}.encoder.layers.")]
        depth = sum(key.endswith("layer_norm1.weight") for key in names)
        self.patches = state[f"{tower}.embeddings.patch_embedding.weight"]
        self.class_token = state[f"{tower}.embeddings.class_embedding"]
        self.positions = state[f"{tower}.embeddings.position_embedding.weight"]
        self.before = affine(state, f"{tower}.pre_layrnorm")  # the name has this misprint
        self.blocks = [_block(state, f"{tower}.encoder.layers.{i}") for i in range(depth)]
        self.after = affine(state, f"{tower}.post_layernorm")
        self.projection = state["visual_projection.weight"]

    def __call__(self, x: Tensor) -> Tensor:
        """Map normalised images, B×3×336×336, to embeddings of length 1, B×d."""
        tokens = conv2d(x, self.patches, stride=PATCH).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(len(x), 1, -1), tokens], 1) + self.positions
        x = layer_norm(x, x.shape[-1:], *self.before, _EPS)
        for block in self.blocks:
            x = block(x)
        x = layer_norm(x[:, 0], x.shape[-1:], *self.after, _EPS)
        return normalize(linear(x, self.projection), dim=1)


def _block(state: State, name: str) -> Block:
    parts = [affine(state, f"{name}.self_attn.{part}_proj") for part in "qkv"]
    return Block(
        norm1=affine(state, f"{name}.layer_norm1"),
        qkv=Affine(torch.cat([p.weight for p in parts]), torch.cat([p.bias for p in parts])),
        project=affine(state, f"{name}.self_attn.out_proj"),
        norm2=affine(state, f"{name}.layer_norm2"),
        expand=affine(state, f"{name}.mlp.fc1"),
        contract=affine(state, f"{name}.mlp.fc2"),
        activation=quick_gelu,
        eps=_EPS,
    )
