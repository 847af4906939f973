"""EfficientNet-Lite0 up to its pooled features, for fast inference.

The network is EfficientNet-B0 (Tan and Le 2019, table 1) without squeeze-and-excitation and with
ReLU6 in place of swish (Google's EfficientNet-Lite). Padding is TensorFlow's SAME.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import conv2d, hardtanh_, pad

from benchmark.extractors.networks.folding import State, fold, read_state_dict
from benchmark.extractors.networks.resizing import antialiased

_SIDE = 224
CPU_PART = 4  # images in one pass, whose activations fit into the cache: 1.5 times as fast as 64
# Stride and number of the blocks of each stage.
_STAGES = ((1, 1), (2, 2), (2, 2), (2, 3), (1, 3), (2, 4), (1, 1))


def load_efficientnet(file: Path, device: torch.device) -> Callable[[Tensor], Tensor]:
    """Return the network from B×3×224×224 to the pooled features, float32 B×1280."""
    network = EfficientNetLite0Network(read_state_dict(file, device))

    def forward(x: Tensor) -> Tensor:
        size = CPU_PART if device.type == "cpu" else len(x)
        return torch.cat([network(part) for part in torch.split(x, size)])

    return forward


def preprocess_efficientnet(images: Tensor) -> Tensor:
    """Resize uint8 B×3×H×W to 224×224, bilinearly and antialiased, and map to (x − 127)/128."""
    return (antialiased(images, _SIDE, "bilinear") - 127) / 128


class Convolution(NamedTuple):
    """A convolution whose weights contain the batch normalisation that follows it."""

    weight: Tensor
    bias: Tensor
    stride: int
    groups: int

    def __call__(self, x: Tensor) -> Tensor:
        """Convolve x, B×C×H×W, to B×C'×H/stride×W/stride."""
        padding = (self.weight.shape[-1] - 1) // 2
        return conv2d(x, self.weight, self.bias, self.stride, padding, groups=self.groups)


class _Block(NamedTuple):
    """An inverted residual block: expand (not in the first), filter each channel, project."""

    expand: Convolution | None
    depthwise: Convolution
    project: Convolution
    residual: bool

    def __call__(self, x: Tensor) -> Tensor:
        """Map x, B×C×H×W, to the output of the block."""
        y = x if self.expand is None else relu6(self.expand(x))
        y = self.project(relu6(self.depthwise(y)))
        return x + y if self.residual else y


class EfficientNetLite0Network:
    """The network, made from its published state dict."""

    def __init__(self, state: State) -> None:
        self.stem = _convolution(state, "_conv_stem", "_bn0", stride=2)
        strides = [s if i == 0 else 1 for s, count in _STAGES for i in range(count)]
        self.blocks = [_block(state, f"_blocks.{i}", stride) for i, stride in enumerate(strides)]
        self.head = _convolution(state, "_conv_head", "_bn1")

    def __call__(self, x: Tensor) -> Tensor:
        """Map B×3×224×224 in about [-1, 1] to features, B×1280."""
        x = relu6(self.stem(x))
        for block in self.blocks:
            x = block(x)
        return relu6(self.head(x)).mean((2, 3), dtype=torch.float32)


def relu6(x: Tensor) -> Tensor:
    """Clamp x, of any shape, to [0, 6] in place and return it."""
    return hardtanh_(x, 0, 6)


def _block(state: State, name: str, stride: int) -> _Block:
    expand = None
    if f"{name}._expand_conv.weight" in state:
        expand = _convolution(state, f"{name}._expand_conv", f"{name}._bn0")
    depthwise = _convolution(state, f"{name}._depthwise_conv", f"{name}._bn1", stride)
    project = _convolution(state, f"{name}._project_conv", f"{name}._bn2")
    outputs = project.weight.shape[0]
    inputs = depthwise.weight.shape[0] if expand is None else expand.weight.shape[1]
    return _Block(expand, depthwise, project, residual=stride == 1 and inputs == outputs)


def _convolution(state: State, name: str, norm: str, stride: int = 1) -> Convolution:
    weight, bias = fold(state, name, norm)
    groups = weight.shape[0] if weight.shape[1] == 1 else 1
    if stride == 2:
        # SAME pads an even image by one pixel more at the end than at the beginning. A kernel with
        # zeros at its beginning and equal padding gives the same result without a padded copy.
        weight = pad(weight, (1, 0, 1, 0)).contiguous(memory_format=torch.channels_last)
    return Convolution(weight, bias, stride, groups)
