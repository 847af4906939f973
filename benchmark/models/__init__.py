"""Networks: what a config says of them, and how they are built."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from benchmark.errors import BenchmarkError
from benchmark.models.specs import CustomSpec, Network, RefineNetSpec, UNetSpec

if TYPE_CHECKING:
    from torch import nn


def build(spec: Network, resolution: int) -> nn.Module:
    """Return the network of `spec` with fresh weights, drawn from torch's own generator.

    It maps images B×C×H×W in [-1, 1] and what they are conditioned on, B, to B×C×H×W.

    Raises:
        BenchmarkError: it does not work at this resolution, or a custom network has no factory.
    """
    if isinstance(spec, CustomSpec):
        return _custom(spec)
    if resolution % spec.multiple:
        raise BenchmarkError(
            f"network: {spec.kind} halves its images too often for resolution {resolution}: "
            f"choose a multiple of {spec.multiple}"
        )
    if isinstance(spec, UNetSpec):
        from benchmark.models.unet import UNet

        return UNet(spec)
    from benchmark.models.refinenet import RefineNet

    return RefineNet(spec)
