"""Translates diffusers' configuration files into networks and schedules of this package."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import explain, nearest_names
from benchmark.diffusion.processes.base import Prediction, Process, check_prediction
from benchmark.diffusion.schedules import SCHEDULES, Schedule
from benchmark.models.description import Description
from benchmark.models.hub import Pipeline
from benchmark.models.networks.unet import UNet
from benchmark.models.scheduler_settings import SCORE_SDE_VE
from benchmark.models.schedulers import Scheduler, read_scheduler

# Defaults of UNet2DModel, for keys that older files leave out; a test compares them with diffusers.
UNET_DEFAULTS: dict[str, Any] = {
    "sample_size": None,
    "in_channels": 3,
    "out_channels": 3,
    "center_input_sample": False,
    "time_embedding_type": "positional",
    "time_embedding_dim": None,
    "num_train_timesteps": None,
    "freq_shift": 0,
    "flip_sin_to_cos": True,
    "down_block_types": ["DownBlock2D", *["AttnDownBlock2D"] * 3],
    "up_block_types": [*["AttnUpBlock2D"] * 3, "UpBlock2D"],
    "block_out_channels": [224, 448, 672, 896],
    "mid_block_type": "UNetMidBlock2D",
    "mid_block_scale_factor": 1,
    "layers_per_block": 2,
    "downsample_padding": 1,
    "downsample_type": "conv",
    "upsample_type": "conv",
    "dropout": 0.0,
    "act_fn": "silu",
    "attention_head_dim": 8,
    "norm_num_groups": 32,
    "attn_norm_num_groups": None,
    "norm_eps": 1e-5,
    "resnet_time_scale_shift": "default",
    "add_attention": True,
    "class_embed_type": None,
    "num_class_embeds": None,
}

# Keys that diffusers adds to the file of a moving average: how the average was computed.
AVERAGING = {
    "decay",
    "min_decay",
    "optimization_step",
    "update_after_step",
    "use_ema_warmup",
    "inv_gamma",
    "power",
}

# Keys for which `UNet` has no option: other values than the defaults need diffusers' own network.
FIXED = (
    "center_input_sample",
    "time_embedding_dim",
    "mid_block_type",
    "mid_block_scale_factor",
    "dropout",
    "act_fn",
)
SCALE_SHIFT = {"default": False, "scale_shift": True}  # values of resnet_time_scale_shift

BETA_SCHEDULES = {
    "linear": "linear",
    "scaled_linear": "scaled-linear",
    "squaredcos_cap_v2": "cosine",
    "sigmoid": "sigmoid",
}
PREDICTIONS: dict[str, Prediction] = {
    "epsilon": "eps",
    "sample": "x0",
    "original_sample": "x0",
    "v_prediction": "v",
}
FLOW_PREDICTIONS: dict[str, Prediction] = {"flow_prediction": "velocity", "sample": "x0"}
EDM_PREDICTIONS: dict[str, Prediction] = {"epsilon": "edm"}  # for v_prediction, F has another sign
FLOW_TIMES = 1000  # by which networks of flow matching are told t


def describe_pipeline(pipeline: Pipeline) -> Description:
    """Return what the two configuration files of a diffusers pipeline say.

    Raises:
        BenchmarkError: the network or the schedule cannot be sampled here.
    """
    scheduler = read_scheduler(pipeline.scheduler, pipeline.scheduler_path)
    schedule, prediction = schedule_and_prediction(scheduler)
    process = schedule.process()
    try:
        check_prediction(prediction, process)
    except ValueError as error:
        at = f"{pipeline.scheduler_path}: rescale_betas_zero_snr"
        raise BenchmarkError(f"{at}: {error}") from None
    embedding = pipeline.network.get("time_embedding_type")
    if embedding == "fourier" and process.conditioned_on != "sigma":
        raise BenchmarkError(
            f"{pipeline.network_path}: a network with time_embedding_type fourier is told noise "
            f"levels, but the schedule {schedule.kind} tells times: ScoreSdeVeScheduler would be "
            "right"
        )
    return Description(
        spec=unet_spec(pipeline.network, pipeline.network_path, scheduler.learned_variance),
        schedule=schedule,
        prediction=prediction,
        clip=process.clips and bool(scheduler.settings.get("clip_sample")),
        resolution=image_resolution(pipeline.network, pipeline.network_path),
        channels=(UNET_DEFAULTS | pipeline.network)["in_channels"],
        embeddings=pipeline.network.get("num_class_embeds"),
        scheduler=scheduler,
        whole_times=_learns_times(pipeline, process),
        choices=pipeline.choices,
        learns_variance=scheduler.learned_variance,
    )


def unet_spec(config: dict[str, Any], path: Path, learned_variance: bool = False) -> UNet | None:
    """Return the options with which our U-Net equals a UNet2DModel, or None if no options do.

    Args:
        config: content of its config.json.
        path: path of that file, for errors.
        learned_variance: whether the network predicts the variance of a step, too.

    Raises:
        BenchmarkError: the file describes another network, or one of other conditions than classes.
    """
    _check_images_and_classes(UNET_DEFAULTS | config, path, learned_variance)
    _check_keys(config, path)
    config = UNET_DEFAULTS | config
    attention = tuple(str(kind).startswith("Attn") for kind in config["down_block_types"] or [])
    residual = _samples_by_blocks(config, attention)
    scale_shift = SCALE_SHIFT.get(config["resnet_time_scale_shift"])
    if residual is None or scale_shift is None or not _has_our_layers(config):
        return None
    options = {
        "scale_shift": scale_shift,
        "residual_sampling": residual,
        "mid_attention_norm": not scale_shift or config["attn_norm_num_groups"] is not None,
        "channels": config["block_out_channels"],
        "attention": attention,
        "mid_attention": config["add_attention"],
        "layers": config["layers_per_block"],
        "head_channels": config["attention_head_dim"],
        "groups": config["norm_num_groups"],
        "norm_eps": config["norm_eps"],
        "time_embedding": config["time_embedding_type"],
        "freq_shift": config["freq_shift"],
        "flip_sin_to_cos": config["flip_sin_to_cos"],
        "downsample_padding": config["downsample_padding"],
        "image_channels": config["in_channels"],
        "learned_variance": learned_variance,
        # Ours has one embedding more than classes, which here may be that of a class.
        "classes": config["num_class_embeds"] and config["num_class_embeds"] - 1,
    }
    try:
        return UNet.model_validate(options)
    except ValidationError as error:
        raise BenchmarkError(f"{path}: {explain(error, options)}") from None


def _has_our_layers(config: dict[str, Any]) -> bool:
    """Return whether each option that our U-Net lacks has the value that our U-Net is built for."""
    return (
        all(config[key] == UNET_DEFAULTS[key] for key in FIXED)
        and config["attn_norm_num_groups"] in (None, config["norm_num_groups"])
        and config["time_embedding_type"] in ("positional", "fourier")
        and config["downsample_padding"] in (0, 1)
        and config["norm_num_groups"] is not None
    )


def _samples_by_blocks(config: dict[str, Any], attention: Sequence[bool]) -> bool | None:
    """Tell whether residual blocks change the resolution; None: our U-Net cannot do the same.

    The keys downsample_type and upsample_type are only for levels with attention; the blocks of
    other levels say it by their names. The last level in each direction keeps the resolution.
    """
    found = set()
    for way, backwards in (("down", 1), ("up", -1)):
        kinds = config[f"{way}_block_types"]
        levels = list(attention)[::backwards]
        if not isinstance(kinds, list) or len(kinds) != len(levels):
            return None
        for index, (kind, attends) in enumerate(zip(kinds, levels, strict=True)):
            by_kind = {
                f"{way.title()}Block2D": "conv",
                f"Resnet{way.title()}sampleBlock2D": "resnet",
            }
            if attends:
                by_kind = {f"Attn{way.title()}Block2D": config[f"{way}sample_type"]}
            if kind not in by_kind:
                return None
            if index < len(levels) - 1:
                found.add(by_kind[kind])
    return {(): False, ("conv",): False, ("resnet",): True}.get(tuple(sorted(map(str, found))))


def image_resolution(config: dict[str, Any], path: Path) -> int:
    """Return the height and width for which a UNet2DModel was trained.

    Raises:
        BenchmarkError: the config does not give them, or they differ.
    """
    size = config.get("sample_size")
    sides = size if isinstance(size, list) and size else [size]
    side = sides[0]
    if sides != [side] * len(sides) or type(side) is not int:
        raise BenchmarkError(
            f"{path}: sample_size is {size!r}: one number, the height and width, would be right"
        )
    return side


def schedule_and_prediction(scheduler: Scheduler) -> tuple[Schedule, Prediction]:
    """Return the schedule of a scheduler, and what its network predicts.

    Raises:
        BenchmarkError: this package has no such process.
    """
    settings, path = scheduler.settings, scheduler.path
    if "sigma_data" in settings:
        names = ("sigma_min", "sigma_max", "sigma_data")
        schedule = _schedule("edm", {key: settings[key] for key in names}, path)
        return schedule, _prediction(EDM_PREDICTIONS, scheduler)
    if "shift" in settings or settings.get("use_flow_sigmas"):
        return _flow(scheduler), _prediction(FLOW_PREDICTIONS, scheduler, "flow_prediction")
    if scheduler.kind == SCORE_SDE_VE:
        renamed = {"sigma_min": "sigma_min", "sigma_max": "sigma_max", "t_end": "sampling_eps"}
        options = {ours: settings[theirs] for ours, theirs in renamed.items()}
        return _schedule("ve", options, path), "score"
    return _discrete(scheduler), _prediction(PREDICTIONS, scheduler)


def _discrete(scheduler: Scheduler) -> Schedule:
    settings, path = scheduler.settings, scheduler.path
    name = _look_up(BETA_SCHEDULES, "beta_schedule", settings["beta_schedule"], path)
    options = {
        "T": settings["num_train_timesteps"],
        "zero_terminal_snr": settings.get("rescale_betas_zero_snr", False),
    }
    if name != "cosine":
        options |= {key: settings[key] for key in ("beta_start", "beta_end")}
    return _schedule(name, options, path)


def _flow(scheduler: Scheduler) -> Schedule:
    """Return the schedule of flow matching, whose linspace has the ends of diffusers' own times.

    Solvers with `flow_shift` move the times between 1/1000 and 1. A FlowMatch scheduler first moves
    the ends, and then all times between them.
    """
    settings, path = scheduler.settings, scheduler.path
    if settings["num_train_timesteps"] != FLOW_TIMES:
        raise BenchmarkError(
            f"{path}: num_train_timesteps is {settings['num_train_timesteps']!r}: {FLOW_TIMES} "
            f"would be right, since networks of flow matching are told {FLOW_TIMES} t"
        )
    least = np.array([1 / FLOW_TIMES])
    if "shift" in settings:
        least = _schedule("flow", {"shift": settings["shift"]}, path).process().spread(least)
    shift = settings.get("shift", settings.get("flow_shift"))
    return _schedule("flow", {"shift": shift, "t_end": float(least[0])}, path)


def _prediction(
    names: dict[str, Prediction], scheduler: Scheduler, usual: str = "epsilon"
) -> Prediction:
    said = scheduler.settings.get("prediction_type", usual)
    found: Prediction = _look_up(names, "prediction_type", said, scheduler.path)
    return found


def _schedule(name: str, options: dict[str, Any], path: Path) -> Schedule:
    try:
        return SCHEDULES.make(name, **options)
    except ValidationError as error:
        raise BenchmarkError(f"{path}: {explain(error, options)}") from None


def _learns_times(pipeline: Pipeline, process: Process) -> bool:
    """Tell whether a network has a learned table of embeddings, one for each time.

    Raises:
        BenchmarkError: the table lacks a time of the process.
    """
    if pipeline.network.get("time_embedding_type") != "learned":
        return False
    known = pipeline.network.get("num_train_timesteps")
    if process.length is None:
        raise BenchmarkError(
            f"{pipeline.network_path}: a network with time_embedding_type learned is told whole "
            f"times, but those of the {process.family} process lie between: positional would be "
            "right"
        )
    if not isinstance(known, int) or known < process.length:
        raise BenchmarkError(
            f"{pipeline.network_path}: num_train_timesteps is {known!r}: a learned embedding of "
            f"all {process.length} times of the schedule would be right"
        )
    return True


def _check_keys(config: dict[str, Any], path: Path) -> None:
    for key in config:
        if key not in UNET_DEFAULTS and key not in AVERAGING and not key.startswith("_"):
            raise BenchmarkError(
                f"{path}: {key} is no setting of a UNet2DModel: remove it, if the network does not "
                f"depend on it; {nearest_names(key, UNET_DEFAULTS)}"
            )


def _check_images_and_classes(config: dict[str, Any], path: Path, learned_variance: bool) -> None:
    kind = config.get("_class_name")
    if kind != "UNet2DModel":
        raise BenchmarkError(f"{path}: describes a {kind}: a UNet2DModel would be right")
    if config["class_embed_type"] is not None:
        raise BenchmarkError(
            f"{path}: class_embed_type is {config['class_embed_type']!r}: null would be right, for "
            "a network that is told numbers of classes"
        )
    count = config["num_class_embeds"]
    if count is not None and (type(count) is not int or count < 2):
        raise BenchmarkError(f"{path}: num_class_embeds is {count!r}: 2 or more would be right")
    if learned_variance and config["out_channels"] != 2 * config["in_channels"]:
        raise BenchmarkError(
            f"{path}: makes {config['out_channels']} channels of {config['in_channels']}: twice as "
            "many would be right, as the scheduler's variance_type 'learned_range' says"
        )
    if not learned_variance and config["in_channels"] != config["out_channels"]:
        raise BenchmarkError(
            f"{path}: makes {config['out_channels']} channels of {config['in_channels']}: as many "
            "would be right, since samplers want one prediction a pixel"
        )
    if config["in_channels"] not in (1, 3):
        raise BenchmarkError(
            f"{path}: makes images of {config['in_channels']} channels: 1 or 3 would be right"
        )


def _look_up(names: dict[str, Any], key: str, value: Any, path: Path) -> Any:
    if not isinstance(value, str) or value not in names:
        raise BenchmarkError(f"{path}: {key} is {value!r}: known are {_known(names)}")
    return names[value]


def _known(names: dict[str, Any]) -> str:
    return ", ".join(sorted(names))
