"""Networks that someone else trained, with the process they were trained for."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.core.errors import BenchmarkError
from benchmark.models import build
from benchmark.models.choices import Choice
from benchmark.models.description import (
    Description,
    describe_ncsn,
    describe_own,
    describe_pipeline,
    zoo_file,
)
from benchmark.models.hub import (
    Finder,
    Pipeline,
    WeightFiles,
    read_pipeline,
    weight_files,
)
from benchmark.models.hub_cache import revision_of
from benchmark.models.specs import (
    DiffusersCheckpoint,
    NcsnCheckpoint,
    OwnCheckpoint,
    Pretrained,
    ZooCheckpoint,
)
from benchmark.models.tensors import check_sha256, fill, flat, read_shards, read_tensors
from benchmark.models.weights import load_weights

# Names of attention's layers in checkpoints of diffusers before 0.13, and since.
RENAMED = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


@dataclass(frozen=True, kw_only=True)
class Loaded(Description):
    """A network with its weights, ready to predict.

    Attributes:
        network: maps (x: B×C×H×W in the range of the process, condition: B) to a prediction.
        name: where the weights are from: an id on the hub, or the file's name.
        sha256: of the file of weights.
        facts: JSON for the record: revision on the hub, configuration.
    """

    network: nn.Module
    name: str
    sha256: str
    facts: dict[str, Any]


def load_pretrained(spec: Pretrained, cache: Path) -> Loaded:
    """Load a checkpoint on the CPU; what has to be fetched is kept below `cache`.

    Raises:
        BenchmarkError: a file cannot be fetched or read, is not the one that `spec.sha256` names,
            holds code, or does not fit what describes it.
    """
    if isinstance(spec, DiffusersCheckpoint):
        return _diffusers(spec, cache)
    if isinstance(spec, NcsnCheckpoint):
        return _ncsn(spec)
    if isinstance(spec, ZooCheckpoint):
        return _own(OwnCheckpoint(kind="own", path=zoo_file(spec.name)))
    return _own(spec)


def load_trained(path: Path) -> Loaded:
    """Load what a run of this checkout trained; of a custom network, its code is run.

    Raises:
        BenchmarkError: the file cannot be read, or does not fit what its header describes.
    """
    return _own(OwnCheckpoint(kind="own", path=path), trusted=True)


def diffusers_network(config: dict[str, Any], path: Path) -> nn.Module:
    """Return the network of diffusers that a config.json describes, with fresh weights.

    Args:
        config: the content of the file.
        path: of the file, for errors.

    Raises:
        BenchmarkError: diffusers cannot build it.
    """
    from diffusers import UNet2DModel

    try:
        network: nn.Module = UNet2DModel.from_config(config)  # type: ignore[no-untyped-call]
    except Exception as error:  # whatever a value leads to that diffusers does not check
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise BenchmarkError(f"{path}: diffusers builds no network of it: {reason}") from None
    return network


def _diffusers(spec: DiffusersCheckpoint, cache: Path) -> Loaded:
    find = Finder(spec, cache)
    pipeline = read_pipeline(find, spec.source)
    described = describe_pipeline(pipeline)
    files = weight_files(find, pipeline.folder, spec.source)
    sha256 = check_sha256(files, spec.sha256)
    facts = {
        "revision": revision_of(files.path),
        "file": f"{pipeline.folder}{files.path.name}",
        "network": pipeline.network,
        # Infinite numbers, which a file of diffusers may have, are none of JSON.
        "scheduler": json.loads(json.dumps(pipeline.scheduler), parse_constant=str),
    }
    network, choices = _unet(described, pipeline, files)
    return _loaded(described, network, spec.source, sha256, facts, find.choices + choices)


def _ncsn(spec: NcsnCheckpoint) -> Loaded:
    described = describe_ncsn(spec)
    sha256 = check_sha256(WeightFiles(spec.path, (spec.path,)), spec.sha256)
    states = read_tensors(spec.path)
    if not isinstance(states, list | tuple) or not states or not _is_weights(states[0]):
        raise BenchmarkError(
            f"{spec.path}: no checkpoint of ermongroup/ncsn, which is a list of the network's and "
            "the optimiser's state"
        )
    with torch.device("meta"):
        network = build(spec.network, spec.resolution)
    choices = fill(network, states[0], spec.path, "network")
    facts = {"network": spec.network.model_dump(mode="json")}
    return _loaded(described, network, spec.path.name, sha256, facts, choices)


def _own(spec: OwnCheckpoint, trusted: bool = False) -> Loaded:
    sha256 = check_sha256(WeightFiles(spec.path, (spec.path,)), spec.sha256)
    weights, trained = load_weights(spec.path)
    described = describe_own(spec.path, trained, trusted)
    assert described.spec is not None
    with torch.device("meta"):
        network = build(described.spec, described.resolution)
    choices = fill(network, weights, spec.path, "its header")
    return _loaded(described, network, spec.path.name, sha256, {"trained": trained}, choices)


def _loaded(
    described: Description,
    network: nn.Module,
    name: str,
    sha256: str,
    facts: dict[str, Any],
    choices: tuple[Choice, ...],
) -> Loaded:
    return Loaded(
        spec=described.spec,
        schedule=described.schedule,
        prediction=described.prediction,
        clip=described.clip,
        resolution=described.resolution,
        scheduler=described.scheduler,
        whole_times=described.whole_times,
        choices=described.choices + choices,
        network=network.eval(),
        name=name,
        sha256=sha256,
        facts=facts,
    )


class _Sample(nn.Module):
    """A UNet2DModel that returns a tensor, as all our networks do.

    Args:
        unet: of diffusers.
        whole_times: it looks its times up in a table, and wants them as integers.
    """

    def __init__(self, unet: nn.Module, whole_times: bool) -> None:
        super().__init__()
        self.unet = unet
        self.whole_times = whole_times

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Predict from x: B×C×H×W and t: B."""
        out: Tensor = self.unet(x, t.long() if self.whole_times else t).sample
        return out


def _unet(
    described: Description, pipeline: Pipeline, files: WeightFiles
) -> tuple[nn.Module, tuple[Choice, ...]]:
    """Return our U-Net where it can do what is configured, and diffusers' own where not."""
    content = read_shards(files)
    if not isinstance(content, dict):
        raise BenchmarkError(f"{files.path}: holds no dictionary of tensors: fetch the file again")
    weights = _as_today({_renamed(name): tensor for name, tensor in flat(content).items()})
    with torch.device("meta"):
        if described.spec is not None:
            network = build(described.spec, described.resolution)
        else:
            network = diffusers_network(pipeline.network, pipeline.network_path)
    choices = fill(network, weights, files.path, str(pipeline.network_path))
    if described.spec is None:
        network = _Sample(network, described.whole_times)
    return network, choices


def _as_today(weights: dict[str, Any]) -> dict[str, Any]:
    """Return weights without the second copy of a Fourier embedding that diffusers once wrote."""
    found = dict(weights)
    for name, tensor in weights.items():
        other = (
            weights.get(f"{name.removesuffix('W')}weight") if name.endswith("time_proj.W") else None
        )
        if isinstance(other, Tensor) and torch.equal(other, tensor):
            del found[name]
    return found


def _is_weights(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(v, Tensor) for v in value.values())


def _renamed(name: str) -> str:
    return re.sub(
        r"(attentions\.\d+)\.(query|key|value|proj_attn)\.",
        lambda match: f"{match[1]}.{RENAMED[match[2]]}.",
        name,
    )
