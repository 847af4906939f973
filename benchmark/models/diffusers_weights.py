"""Networks of diffusers' pipelines, with their weights."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.core.errors import BenchmarkError
from benchmark.models.choices import Choice
from benchmark.models.description import Description
from benchmark.models.headers import WeightFiles
from benchmark.models.hub import Pipeline
from benchmark.models.tensors import fill, flat, read_shards

# Names of the layers of attention in checkpoints of diffusers before 0.13, and the names since
# then.
RENAMED = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


def load_pipeline_network(
    described: Description, pipeline: Pipeline, files: WeightFiles
) -> tuple[nn.Module, tuple[Choice, ...]]:
    """Return the network of a pipeline with its weights, and what was chosen among these.

    It is our U-Net if that can do what is configured, and else diffusers' own.

    Raises:
        BenchmarkError: the weights cannot be read, or do not fit the configuration.
    """
    content = read_shards(files)
    if not isinstance(content, dict):
        raise BenchmarkError(f"{files.path}: holds no dictionary of tensors: fetch the file again")
    weights = _without_second_copy(
        {_renamed(name): tensor for name, tensor in flat(content).items()}
    )
    with torch.device("meta"):
        network = fresh_network(described, pipeline)
    choices = fill(network, weights, files.path, str(pipeline.network_path))
    if described.spec is None:
        network = _Sample(network, described.whole_times)
    return network, choices


def fresh_network(described: Description, pipeline: Pipeline) -> nn.Module:
    """Return the network of a pipeline, ours or diffusers' own, with fresh weights.

    Raises:
        BenchmarkError: diffusers cannot build it.
    """
    if described.spec is not None:
        return described.spec.build(described.resolution)
    return _diffusers_network(pipeline.network, pipeline.network_path)


def _diffusers_network(config: dict[str, Any], path: Path) -> nn.Module:
    """Return the network of diffusers that a config.json describes, with fresh weights.

    Args:
        config: content of the file.
        path: path of the file, for errors.

    Raises:
        BenchmarkError: diffusers cannot build it.
    """
    from diffusers import UNet2DModel

    try:
        network: nn.Module = UNet2DModel.from_config(config)  # type: ignore[no-untyped-call]
    except (
        Exception
    ) as error:  # diffusers does not check values, so that these may lead to any error
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise BenchmarkError(f"{path}: diffusers builds no network of it: {reason}") from None
    return network


class _Sample(nn.Module):
    """A UNet2DModel that returns a tensor, as all networks of this package do.

    Args:
        unet: network of diffusers.
        whole_times: whether the network needs times as integers, since it looks them up in a table.
    """

    def __init__(self, unet: nn.Module, whole_times: bool) -> None:
        super().__init__()
        self.unet = unet
        self.whole_times = whole_times

    def forward(self, x: Tensor, t: Tensor, labels: Tensor | None = None) -> Tensor:
        """Predict from x: B×C×H×W and t: B, and from the numbers of classes, B, if it has any."""
        told = {} if labels is None else {"class_labels": labels}
        out: Tensor = self.unet(x, t.long() if self.whole_times else t, **told).sample
        return out


def _without_second_copy(weights: dict[str, Any]) -> dict[str, Any]:
    """Return weights without the second copy of a Fourier embedding that old diffusers wrote."""
    found = dict(weights)
    for name, tensor in weights.items():
        other = (
            weights.get(f"{name.removesuffix('W')}weight") if name.endswith("time_proj.W") else None
        )
        if isinstance(other, Tensor) and torch.equal(other, tensor):
            del found[name]
    return found


def _renamed(name: str) -> str:
    return re.sub(
        r"(attentions\.\d+)\.(query|key|value|proj_attn)\.",
        lambda match: f"{match[1]}.{RENAMED[match[2]]}.",
        name,
    )
