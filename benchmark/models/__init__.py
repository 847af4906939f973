"""Networks: what a config says of them, and how they are built."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

from benchmark.core.closure import own_folders
from benchmark.core.errors import BenchmarkError
from benchmark.models.specs import CustomSpec, Network, UNetSpec

if TYPE_CHECKING:
    from torch import nn


def build(spec: Network, resolution: int) -> nn.Module:
    """Return the network of `spec` with fresh weights, drawn from torch's own generator.

    Its `forward(x, condition)` maps noisy images B×C×H×W, in the range of their process, and what
    they are conditioned on, B, to B×C×H×W.

    Raises:
        BenchmarkError: it does not work at this resolution, or a custom network cannot be made.
    """
    if isinstance(spec, CustomSpec):
        return _custom(spec, resolution)
    if resolution % spec.multiple:
        raise BenchmarkError(
            f"networks: this {spec.kind} needs a resolution that is a multiple of {spec.multiple}, "
            f"not {resolution}: choose another, or fewer levels"
        )
    if isinstance(spec, UNetSpec):
        from benchmark.models.unet import UNet

        return UNet(spec)
    from benchmark.models.refinenet import RefineNet

    return RefineNet(spec)


def _custom(spec: CustomSpec, resolution: int) -> nn.Module:
    from torch import nn

    module, name = spec.factory.split(":")
    folders = [str(folder) for folder in own_folders()]  # first, as where their code is compared
    sys.path[:] = [*folders, *(path for path in sys.path if path not in folders)]
    try:
        network = getattr(importlib.import_module(module), name)(resolution, **spec.options)
    except (ImportError, AttributeError, TypeError) as error:
        raise BenchmarkError(
            f"networks: factory {spec.factory} fails: {error}: give module:function of a function "
            "that takes the resolution and the options"
        ) from error
    if not isinstance(network, nn.Module):
        raise BenchmarkError(
            f"networks: factory {spec.factory} returns {type(network).__name__}, not a torch module"
        )
    return network
