"""The blocks of vision transformers (Dosovitskiy et al. 2021), normalised before each half."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor
from torch.nn.functional import layer_norm, linear, scaled_dot_product_attention

from benchmark.extractors.networks.folding import State

HEAD = 64  # width of an attention head in all published sizes


class Affine(NamedTuple):
    """The parameters of a linear layer, a convolution or a layer normalisation."""

    weight: Tensor
    bias: Tensor


class Block(NamedTuple):
    """A block: attention, then two linear layers, each added to its input.

    Attributes:
        norm1: the normalisation before the attention.
        qkv: the layer of queries, keys and values, in this order.
        project: the layer after the attention.
        norm2: the normalisation before the two layers.
        expand: the first of them.
        contract: the second.
        activation: the function between the two layers.
        eps: what the normalisations add to the variance.
    """

    norm1: Affine
    qkv: Affine
    project: Affine
    norm2: Affine
    expand: Affine
    contract: Affine
    activation: Callable[[Tensor], Tensor]
    eps: float

    def __call__(self, x: Tensor) -> Tensor:
        """Map tokens B×N×d to B×N×d."""
        x = x + self._attend(layer_norm(x, x.shape[-1:], *self.norm1, self.eps))
        y = linear(layer_norm(x, x.shape[-1:], *self.norm2, self.eps), *self.expand)
        return x + linear(self.activation(y), *self.contract)

    def _attend(self, x: Tensor) -> Tensor:
        heads = linear(x, *self.qkv).reshape(*x.shape[:2], 3, -1, HEAD)  # B×N×3×heads×64
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        attended = scaled_dot_product_attention(query, key, value)  # B×heads×N×64
        return linear(attended.transpose(1, 2).flatten(2), *self.project)


def affine(state: State, name: str, scale: str | None = None) -> Affine:
    """Return a layer's parameters, multiplied by a layer scale if one is named."""
    weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
    if scale is None:
        return Affine(weight, bias)
    return Affine(weight * state[scale][:, None], bias * state[scale])


def normalised(images: Tensor, mean: tuple[float, ...], deviation: tuple[float, ...]) -> Tensor:
    """Return images in [0, 255], B×3×H×W, of which mean and deviation of a channel are these.

    Args:
        images: float32.
        mean: of each channel, for images in [0, 1].
        deviation: of each channel, likewise.
    """
    x = images / 255
    shift, scale = (x.new_tensor(values)[:, None, None] for values in (mean, deviation))
    return (x - shift) / scale
