"""Networks that someone else trained, with the process they were trained for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from benchmark.diffusion.processes import Prediction
from benchmark.diffusion.schedules import SCHEDULES, make_process
from benchmark.errors import BenchmarkError
from benchmark.models import build
from benchmark.models.diffusers_config import image_resolution, schedule_of, unet_spec
from benchmark.models.hub import finder, first_of, read_json, revision_of
from benchmark.models.specs import (
    ZOO,
    CustomSpec,
    DiffusersCheckpoint,
    NcsnCheckpoint,
    Network,
    OwnCheckpoint,
    Pretrained,
    ZooCheckpoint,
    zoo_path,
)
from benchmark.models.tensors import check_sha256, fill, read_tensors
from benchmark.models.weights import load_weights
from benchmark.registry import Options
from benchmark.strict import explain, nearest

DIFFUSERS_WEIGHTS = [
    f"{folder}diffusion_pytorch_model{suffix}"
    for suffix in (".safetensors", ".bin")
    for folder in ("unet/", "")
]

# Names of attention's layers in checkpoints of diffusers before 0.13, and since.
RENAMED = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


@dataclass(frozen=True)
class Loaded:
    """A network with its weights, ready to predict.

    Attributes:
        network: maps (x: B×C×H×W in the range of the process, condition: B) to a prediction.
        schedule: the process that it was trained for, as in a config.
        prediction: what the network's output means.
        clip: whether samplers confine x_0 to the range of images.
        resolution: height and width of its images.
        name: where the weights are from: an id on the hub, or the file's name.
        sha256: of the file of weights.
        facts: JSON for the record: revision on the hub, configuration.
    """

    network: nn.Module
    schedule: Options
    prediction: Prediction
    clip: bool
    resolution: int
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
        return _zoo(spec)
    return _own(spec)


def load_trained(path: Path) -> Loaded:
    """Load what a run of this checkout trained; of a custom network, its code is run.

    Raises:
        BenchmarkError: the file cannot be read, or does not fit what its header describes.
    """
    return _own(OwnCheckpoint(kind="own", path=path), trusted=True)


def _diffusers(spec: DiffusersCheckpoint, cache: Path) -> Loaded:
    find = finder(spec, cache)
    config_path = first_of(find, ["unet/config.json", "config.json"], spec.source)
    config = read_json(config_path)
    scheduler_path = first_of(
        find, ["scheduler/scheduler_config.json", "scheduler_config.json"], spec.source
    )
    scheduler = read_json(scheduler_path)
    schedule, prediction = schedule_of(scheduler, scheduler_path)
    path = first_of(find, DIFFUSERS_WEIGHTS, spec.source)
    sha256 = check_sha256(path, spec.sha256)
    network = _unet(config, config_path, path)
    return Loaded(
        network=network.eval(),
        schedule=schedule,
        prediction=prediction,
        clip=make_process(schedule).clips and bool(scheduler.get("clip_sample", True)),
        resolution=image_resolution(config, config_path),
        name=spec.source,
        sha256=sha256,
        facts={
            "revision": revision_of(path),
            "file": path.name,
            "network": config,
            "scheduler": scheduler,
        },
    )


def _ncsn(spec: NcsnCheckpoint) -> Loaded:
    sha256 = check_sha256(spec.path, spec.sha256)
    states = read_tensors(spec.path)
    if not isinstance(states, list | tuple) or not states or not _is_weights(states[0]):
        raise BenchmarkError(
            f"{spec.path}: no checkpoint of ermongroup/ncsn, which is a list of the network's and "
            "the optimiser's state"
        )
    with torch.device("meta"):
        network = build(spec.network, spec.resolution)
    weights = {name.removeprefix("module."): tensor for name, tensor in states[0].items()}
    fill(network, weights, spec.path, "network")
    schedule = {
        "kind": "geometric",
        "levels": spec.network.levels,
        "sigma_min": spec.sigma_min,
        "sigma_max": spec.sigma_max,
    }
    return Loaded(
        network=network.eval(),
        schedule=_schedule(schedule),
        prediction="score",
        clip=False,
        resolution=spec.resolution,
        name=spec.path.name,
        sha256=sha256,
        facts={"network": spec.network.model_dump(mode="json")},
    )


def _own(spec: OwnCheckpoint, trusted: bool = False) -> Loaded:
    sha256 = check_sha256(spec.path, spec.sha256)
    weights, trained = load_weights(spec.path)
    try:
        network_spec = TypeAdapter[Network](Network).validate_python(trained["network"])
        schedule = _schedule(trained["schedule"])
        resolution = int(trained["data"]["resolution"])
        prediction = trained["training"].get("prediction")
    except (KeyError, TypeError, AttributeError) as error:
        raise BenchmarkError(f"{spec.path}: its header lacks {error}: train it again") from None
    except ValidationError as error:
        reason = explain(error, trained)
        raise BenchmarkError(f"{spec.path}: its header: {reason}: train it again") from None
    if isinstance(network_spec, CustomSpec) and not trusted:
        raise BenchmarkError(
            f"{spec.path}: its header names code, {network_spec.factory}, which is not run: "
            "only built-in networks are loaded"
        )
    with torch.device("meta"):
        network = build(network_spec, resolution)
    fill(network, weights, spec.path, "its header")
    process = make_process(schedule)
    return Loaded(
        network=network.eval(),
        schedule=schedule,
        prediction=prediction or process.prediction,
        clip=process.clips,
        resolution=resolution,
        name=spec.path.name,
        sha256=sha256,
        facts={"trained": trained},
    )


def _zoo(spec: ZooCheckpoint) -> Loaded:
    names = {path.stem for path in ZOO.glob("*.safetensors")}
    if spec.name not in names:
        raise BenchmarkError(
            f"weights.name: no {spec.name!r} in the zoo: {nearest(spec.name, names)}"
        )
    return _own(OwnCheckpoint(kind="own", path=zoo_path(spec.name)))


def _schedule(options: dict[str, Any]) -> Options:
    return SCHEDULES.options(options["kind"]).model_validate(options)


class _Sample(nn.Module):
    """A UNet2DModel that returns a tensor, as all our networks do."""

    def __init__(self, unet: nn.Module) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Predict from x: B×C×H×W and t: B."""
        out: Tensor = self.unet(x, t).sample
        return out


def _unet(config: dict[str, Any], config_path: Path, path: Path) -> nn.Module:
    """Return our U-Net where it can do what is configured, and diffusers' own where not."""
    weights = read_tensors(path)
    if not _is_weights(weights):
        raise BenchmarkError(f"{path}: holds no dictionary of tensors: fetch the file again")
    weights = {_renamed(name): tensor for name, tensor in weights.items()}
    spec = unet_spec(config, config_path)
    if spec is not None:
        with torch.device("meta"):
            ours = build(spec, image_resolution(config, config_path))
        fill(ours, weights, path, str(config_path))
        return ours
    theirs = _diffusers_network(config, config_path)
    fill(theirs, weights, path, str(config_path))
    return _Sample(theirs)


def _diffusers_network(config: dict[str, Any], path: Path) -> nn.Module:
    from diffusers import UNet2DModel

    try:
        with torch.device("meta"):
            network: nn.Module = UNet2DModel.from_config(config)  # type: ignore[no-untyped-call]
    except (ValueError, TypeError, KeyError) as error:
        reason = next(iter(str(error).splitlines()), "")
        raise BenchmarkError(f"{path}: diffusers builds no network of it: {reason}") from None
    return network


def _is_weights(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(v, Tensor) for v in value.values())


def _renamed(name: str) -> str:
    return re.sub(
        r"(attentions\.\d+)\.(query|key|value|proj_attn)\.",
        lambda match: f"{match[1]}.{RENAMED[match[2]]}.",
        name,
    )
