"""What makes bfloat16 worth while on a CPU: norms in float32, and weights as its kernels want them.

oneDNN multiplies bfloat16 many times as fast as float32 where the processor can (AMX). In the small
convolutions of a U-Net that is soon a lesser part of the time than what is around them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def norms_in_float32(network: nn.Module) -> None:
    """Let group normalisation compute in float32, as autocast has it on a GPU.

    On a CPU autocast leaves it in bfloat16, in which torch 2.15 takes about five times as long for
    images in channels_last, conversions included.
    """
    for module in network.modules():
        if type(module) is nn.GroupNorm:  # a class of somebody else may have other inputs
            module.register_forward_pre_hook(_in_float32)


def _in_float32(norm: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    is_mixed = norm.weight is None or norm.weight.dtype == torch.float32
    return (inputs[0].float(),) if inputs and is_mixed else inputs


def pack_convolutions(network: nn.Module) -> None:
    """Let convolutions compute in bfloat16 with weights that oneDNN need not reorder in every call.

    That takes it a third of the time of a small convolution. The network then serves without
    gradients and on a CPU alone. Where oneDNN cannot compute in bfloat16, nothing is changed.

    Args:
        network: what its convolutions do is changed, in place; its weights stay.
    """
    if not torch._C._has_mkldnn or not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return
    for module in network.modules():
        if type(module) is nn.Conv2d and _is_plain(module):
            module.forward = PackedConvolution(module)  # type: ignore[assignment, method-assign]


def _is_plain(convolution: nn.Conv2d) -> bool:
    """Tell whether nothing makes the weights anew in every call, and both sides get equal zeros."""
    before, after = (convolution._reversed_padding_repeated_twice[side::2] for side in (0, 1))
    is_stored = "weight" in convolution._parameters  # `weight_norm` and its kind move it away
    return is_stored and convolution.padding_mode == "zeros" and before == after


class PackedConvolution:
    """What a convolution does, in bfloat16, with its weights in oneDNN's own layout.

    Args:
        convolution: its weights are copied.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        padding = convolution._reversed_padding_repeated_twice[::-2]  # numbers also for "same"
        self._how = (padding, convolution.stride, convolution.dilation, convolution.groups)
        self._weight = convolution.weight.detach().bfloat16()
        bias = convolution.bias
        self._bias = None if bias is None else bias.detach().bfloat16()
        self._is_packed = False

    def __call__(self, x: Tensor) -> Tensor:
        """Map B×C×H×W as the convolution does; the output is bfloat16."""
        x = x.bfloat16()
        if not self._is_packed:  # in the layout that suits the first batch; for others it is right
            self._weight = torch.ops.mkldnn._reorder_convolution_weight(
                self._weight, *self._how, x.shape
            )
            self._is_packed = True
        out: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, self._weight, self._bias, *self._how, "none", [], ""
        )
        return out
