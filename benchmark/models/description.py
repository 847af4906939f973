"""What ready weights say of themselves in headers and configuration files; torch is not needed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open

from benchmark.core.errors import BenchmarkError
from benchmark.core.registry import Options
from benchmark.core.strict import explain, nearest_names
from benchmark.diffusion.processes.base import Array, Prediction, Process
from benchmark.diffusion.schedules import SCHEDULES, Schedule
from benchmark.models.choices import Choice
from benchmark.models.diffusers_config import image_resolution, schedule_of, unet_spec
from benchmark.models.hub import (
    Finder,
    Pipeline,
    check_pointer,
    read_pipeline,
    weight_files,
)
from benchmark.models.schedulers import Scheduler, choices_of, read_scheduler
from benchmark.models.specs import (
    ZOO,
    CustomSpec,
    DiffusersCheckpoint,
    NcsnCheckpoint,
    Network,
    OwnCheckpoint,
    Pretrained,
    zoo_path,
)

SPEC = "spec"  # the key of our header: network, schedule, data and training as in the config

_OTHER = "give a file that `train` or `export` of this version wrote"

# OWNER/NAME, or NAME alone: what else stands for a source can only be a folder.
HUB_ID = re.compile(r"(?!.*(?:--|\.\.))(?:\w[\w.-]*/)?\w[\w.-]*")


@dataclass(frozen=True)
class Description:
    """What is known of ready weights before they are read.

    Attributes:
        spec: of a network of ours; None: diffusers' own has to be built.
        schedule: the process that it was trained for, as in a config.
        prediction: what the network's output means.
        clip: whether samplers confine x_0 to the range of images.
        resolution: height and width of its images.
        scheduler: its own scheduler, where it comes with one.
        whole_times: whether the network knows no times between the T of the process.
        choices: what was chosen among its files.
    """

    spec: Network | None
    schedule: Schedule
    prediction: Prediction
    clip: bool
    resolution: int
    scheduler: Scheduler | None = None
    whole_times: bool = False
    choices: tuple[Choice, ...] = ()

    def check_times(self, timesteps: Array) -> None:
        """Refuse times that the network does not know.

        Raises:
            BenchmarkError: a time lies between two of those that it learnt.
        """
        if self.whole_times and (timesteps % 1).any():
            raise BenchmarkError(
                "sampler: its times lie between those that the network has learnt an embedding of: "
                "choose the spacing leading, linspace or trailing"
            )

    def choices_with(self, sampler: Options) -> list[Choice]:
        """Return all settings of the checkpoint that a sampler of the grid does not follow."""
        if self.scheduler is None:
            return [*self.choices]
        process = self.schedule.process()
        return [*self.choices, *choices_of(self.scheduler, sampler, process)]


def describe(weights: Pretrained) -> Description | None:
    """Return what ready weights say of themselves, or None where only their hub knows.

    The weights of an NCSN may be missing, as its config describes them.

    Raises:
        BenchmarkError: a file is missing or damaged, or describes nothing that can be sampled.
    """
    if isinstance(weights, DiffusersCheckpoint):
        return _describe_folder(weights)
    if isinstance(weights, NcsnCheckpoint):
        check_pointer(weights.path)
        return describe_ncsn(weights)
    if isinstance(weights, OwnCheckpoint):
        return describe_own(weights.path, read_header(weights.path))
    path = zoo_file(weights.name)
    return describe_own(path, read_header(path))


def describe_pipeline(pipeline: Pipeline) -> Description:
    """Return what the two configuration files of a diffusers pipeline say.

    Raises:
        BenchmarkError: the network or the schedule is none that can be sampled here.
    """
    scheduler = read_scheduler(pipeline.scheduler, pipeline.scheduler_path)
    schedule, prediction = schedule_of(scheduler)
    process = schedule.process()
    embedding = pipeline.network.get("time_embedding_type")
    if embedding == "fourier" and process.conditioned_on != "sigma":
        raise BenchmarkError(
            f"{pipeline.network_path}: a network with time_embedding_type fourier is told noise "
            f"levels, but the schedule {schedule.kind} tells times: ScoreSdeVeScheduler would be "
            "right"
        )
    return Description(
        spec=unet_spec(pipeline.network, pipeline.network_path),
        schedule=schedule,
        prediction=prediction,
        clip=process.clips and bool(scheduler.settings.get("clip_sample")),
        resolution=image_resolution(pipeline.network, pipeline.network_path),
        scheduler=scheduler,
        whole_times=_learns_times(pipeline, process),
        choices=pipeline.choices,
    )


def describe_ncsn(weights: NcsnCheckpoint) -> Description:
    """Return what a config says of a checkpoint of ermongroup/ncsn, which itself says nothing.

    Raises:
        BenchmarkError: its noise levels make no schedule.
    """
    options = {
        "kind": "geometric",
        "levels": weights.network.levels,
        "sigma_min": weights.sigma_min,
        "sigma_max": weights.sigma_max,
    }
    try:
        schedule = _schedule(options)
    except ValidationError as error:
        raise BenchmarkError(explain(error, options)) from None
    return Description(weights.network, schedule, "score", False, weights.resolution)


def describe_own(path: Path, header: Mapping[str, Any], trusted: bool = False) -> Description:
    """Return what the header of one of our own files says; `trusted`: it may name code.

    Raises:
        BenchmarkError: the header lacks something, or what it says cannot be used.
    """
    try:
        spec = TypeAdapter[Network](Network).validate_python(header["network"])
        # Older files name the start of annealed Langevin dynamics here. It is an option of that
        # sampler, and nothing that the network learnt.
        stated = {key: value for key, value in header["schedule"].items() if key != "start"}
        schedule = _schedule(stated)
        resolution = int(header["data"]["resolution"])
        prediction = header["training"].get("prediction")
        TypeAdapter[Prediction | None](Prediction | None).validate_python(prediction)
    except KeyError as error:
        raise BenchmarkError(f"{path}: its header lacks {error}: {_OTHER}") from None
    except (TypeError, AttributeError):
        raise BenchmarkError(f"{path}: its header is laid out otherwise: {_OTHER}") from None
    except ValidationError as error:
        raise BenchmarkError(f"{path}: its header: {explain(error, header)}: {_OTHER}") from None
    except ValueError as error:
        raise BenchmarkError(f"{path}: its header: {error}: {_OTHER}") from None
    if isinstance(spec, CustomSpec) and not trusted:
        raise BenchmarkError(
            f"{path}: its header names code, {spec.factory}, which is not run: only built-in "
            "networks are loaded"
        )
    process = schedule.process()
    return Description(spec, schedule, prediction or process.prediction, process.clips, resolution)


def read_header(path: Path) -> dict[str, Any]:
    """Return the specification that one of our own files keeps of its training.

    Raises:
        BenchmarkError: the file is missing, truncated, or not one of ours.
    """
    check_pointer(path)
    try:
        with safe_open(path, framework="numpy") as file:
            spec = json.loads((file.metadata() or {})[SPEC])
    except FileNotFoundError:
        raise BenchmarkError(
            f"{path}: no such file of weights: train the model first, or correct the path"
        ) from None
    except (SafetensorError, OSError) as error:
        raise BenchmarkError(
            f"{path}: damaged weights, or none ({error}): fetch or train them again"
        ) from None
    except (KeyError, ValueError):
        raise BenchmarkError(f"{path}: its header has no {SPEC!r}: {_OTHER}") from None
    if not isinstance(spec, dict):
        raise BenchmarkError(f"{path}: its header's {SPEC!r} is no mapping: {_OTHER}")
    return spec


def zoo_file(name: str) -> Path:
    """Return the file of a network of the zoo; raise BenchmarkError with the nearest right name."""
    names = {path.stem for path in ZOO.glob("*.safetensors")}
    if name not in names:
        raise BenchmarkError(f"no {name!r} in the zoo: {nearest_names(name, names)}")
    return zoo_path(name)


def missing_file(weights: Pretrained) -> Path | None:
    """Return the file that ready weights are read from, where it is described but not there."""
    if isinstance(weights, NcsnCheckpoint) and not weights.path.is_file():
        return weights.path
    return None


def _describe_folder(weights: DiffusersCheckpoint) -> Description | None:
    folder = Path(weights.source)
    if folder.is_dir():
        find = Finder(weights, folder)
        pipeline = read_pipeline(find, weights.source)
        for path in weight_files(find, pipeline.folder, weights.source).files:
            _check_header(path)
        return describe_pipeline(pipeline)
    if folder.exists() or not HUB_ID.fullmatch(weights.source):
        raise BenchmarkError(
            f"{weights.source}: no folder, nor an id on the Hugging Face hub: give the folder of a "
            "diffusers pipeline, or OWNER/NAME"
        )
    return None


def _check_header(path: Path) -> None:
    """Refuse a file of weights that is damaged, or holds integers, as far as its header tells.

    Raises:
        BenchmarkError: with the first of its weights that is none.
    """
    if path.suffix != ".safetensors":
        return
    try:
        with safe_open(path, framework="numpy") as file:
            kinds = {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise BenchmarkError(f"{path}: damaged weights ({error}): fetch the file again") from None
    for name, kind in kinds.items():
        if name.endswith(".weight") and kind.startswith(("I", "U", "BOOL")):
            raise BenchmarkError(
                f"{path}: {name} holds {kind}: weights that were quantised cannot be read; give "
                "those of before"
            )


def _learns_times(pipeline: Pipeline, process: Process) -> bool:
    """Tell whether a network has a table of embeddings, one for each time.

    Raises:
        BenchmarkError: it has none for some time of the process.
    """
    if pipeline.network.get("time_embedding_type") != "learned":
        return False
    known = pipeline.network.get("num_train_timesteps")
    if process.length is None or not isinstance(known, int) or known < process.length:
        raise BenchmarkError(
            f"{pipeline.network_path}: num_train_timesteps is {known!r}: a learned embedding of "
            f"all {process.length} times of the schedule would be right"
        )
    return True


def _schedule(options: dict[str, Any]) -> Schedule:
    return SCHEDULES.get(options["kind"]).model_validate(options)
