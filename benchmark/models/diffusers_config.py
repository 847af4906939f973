"""What diffusers' configuration files say, in this project's vocabulary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from benchmark.diffusion.processes import Prediction
from benchmark.diffusion.schedules import SCHEDULES
from benchmark.errors import BenchmarkError
from benchmark.models.specs import UNetSpec
from benchmark.registry import Options
from benchmark.strict import explain

# Defaults of UNet2DModel, for keys that older files leave out; a test compares them.
UNET_DEFAULTS: dict[str, Any] = {
    "in_channels": 3,
    "out_channels": 3,
    "center_input_sample": False,
    "time_embedding_type": "positional",
    "time_embedding_dim": None,
    "freq_shift": 0,
    "flip_sin_to_cos": True,
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

# What `UNet` cannot be told: other values need diffusers' own network.
FIXED = (
    "center_input_sample",
    "time_embedding_dim",
    "mid_block_type",
    "mid_block_scale_factor",
    "downsample_type",
    "upsample_type",
    "dropout",
    "act_fn",
    "attn_norm_num_groups",
    "resnet_time_scale_shift",
)

BETA_SCHEDULES = {
    "linear": "linear",
    "scaled_linear": "scaled-linear",
    "squaredcos_cap_v2": "cosine",
    "sigmoid": "sigmoid",
}
# Schedulers whose samples are confined to [-1, 1] where their file says nothing; a test compares.
CLIPPING = ("DDIM", "DDIMInverse", "DDIMParallel", "DDPM", "DDPMParallel", "RePaint", "UnCLIP")
PREDICTIONS: dict[str, Prediction] = {"epsilon": "eps", "sample": "x0", "v_prediction": "v"}


def unet_spec(config: dict[str, Any], path: Path) -> UNetSpec | None:
    """Return the options of our U-Net that make a UNet2DModel, or None where none do.

    Args:
        config: the content of its config.json.
        path: of that file, for errors.

    Raises:
        BenchmarkError: it describes another network, or a conditional one.
    """
    config = UNET_DEFAULTS | config
    _check_unconditional(config, path)
    down = [str(kind) for kind in config.get("down_block_types") or []]
    attention = tuple(kind.startswith("Attn") for kind in down)
    ours = (
        all(config[key] == UNET_DEFAULTS[key] for key in FIXED)
        and down == [f"{'Attn' if attends else ''}DownBlock2D" for attends in attention]
        and config.get("up_block_types")
        == [f"{'Attn' if attends else ''}UpBlock2D" for attends in reversed(attention)]
        and config["time_embedding_type"] in ("positional", "fourier")
        and config["downsample_padding"] in (0, 1)
        and config["norm_num_groups"] is not None
    )
    if not ours:
        return None
    options = {
        "channels": config.get("block_out_channels"),
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
    }
    try:
        return UNetSpec.model_validate(options)
    except ValidationError as error:
        raise BenchmarkError(f"{path}: {explain(error, options)}") from None


def image_resolution(config: dict[str, Any], path: Path) -> int:
    """Return the height and width for which a UNet2DModel was trained.

    Raises:
        BenchmarkError: its config says nothing of it, or says that they differ.
    """
    size = config.get("sample_size")
    sides = size if isinstance(size, list) and size else [size]
    side = sides[0]
    if sides != [side] * len(sides) or type(side) is not int:
        raise BenchmarkError(
            f"{path}: sample_size is {size!r}: one number, the height and width, would be right"
        )
    return side


def schedule_of(config: dict[str, Any], path: Path) -> tuple[Options, Prediction]:
    """Return the schedule that a scheduler file describes, and what its network predicts.

    Args:
        config: the content of its scheduler_config.json.
        path: of that file, for errors.

    Raises:
        BenchmarkError: its process is none of ours.
    """
    kind = config.get("_class_name")
    if kind == "ScoreSdeVeScheduler":
        return _ve(config, path), "score"
    if "beta_schedule" not in config:
        raise BenchmarkError(
            f"{path}: {kind} has no beta_schedule: a scheduler of DDPM's kind or "
            "ScoreSdeVeScheduler would be right"
        )
    if str(config.get("variance_type")).startswith("learned"):
        raise BenchmarkError(
            f"{path}: variance_type is {config['variance_type']!r}: only networks that predict no "
            "variance are sampled"
        )
    for key in ("trained_betas", "rescale_betas_zero_snr"):
        if config.get(key):
            raise BenchmarkError(f"{path}: {key} is set: only {_known(BETA_SCHEDULES)} are read")
    name = _look_up(BETA_SCHEDULES, "beta_schedule", config["beta_schedule"], path)
    prediction = config.get("prediction_type", "epsilon")
    options = {"T": config.get("num_train_timesteps", 1000)}
    if name != "cosine":
        options |= {
            "beta_start": config.get("beta_start", 1e-4),
            "beta_end": config.get("beta_end", 0.02),
        }
    return (
        _schedule(name, options, path),
        _look_up(PREDICTIONS, "prediction_type", prediction, path),
    )


def clips(config: dict[str, Any], path: Path) -> bool:
    """Return whether a scheduler confines its estimates of x_0 to [-1, 1].

    Args:
        config: the content of its scheduler_config.json.
        path: of that file, for errors.

    Raises:
        BenchmarkError: it confines them to another range, or in another way.
    """
    default = config.get("_class_name") in [f"{name}Scheduler" for name in CLIPPING]
    clipped = bool(config.get("clip_sample", default))
    if config.get("thresholding"):
        raise BenchmarkError(
            f"{path}: thresholding is on: only clip_sample is done; set it to false"
        )
    if clipped and config.get("clip_sample_range", 1.0) != 1:
        raise BenchmarkError(
            f"{path}: clip_sample_range is {config['clip_sample_range']!r}: only 1 is done; set it "
            "to 1, or clip_sample to false"
        )
    return clipped


def _ve(config: dict[str, Any], path: Path) -> Options:
    names = {"sigma_min": "sigma_min", "sigma_max": "sigma_max", "t_end": "sampling_eps"}
    missing = sorted(set(names.values()) - set(config))
    if missing:
        raise BenchmarkError(f"{path}: has no {missing[0]}: fetch the file again")
    return _schedule("ve", {ours: config[theirs] for ours, theirs in names.items()}, path)


def _schedule(name: str, options: dict[str, Any], path: Path) -> Options:
    try:
        return SCHEDULES.options(name).model_validate({"kind": name, **options})
    except ValidationError as error:
        raise BenchmarkError(f"{path}: {explain(error, options)}") from None


def _check_unconditional(config: dict[str, Any], path: Path) -> None:
    kind = config.get("_class_name")
    if kind != "UNet2DModel":
        raise BenchmarkError(f"{path}: describes a {kind}: a UNet2DModel would be right")
    if config["class_embed_type"] is not None or config["num_class_embeds"] is not None:
        raise BenchmarkError(f"{path}: the network wants a class: an unconditional one would do")
    if config["in_channels"] != config["out_channels"]:
        raise BenchmarkError(
            f"{path}: makes {config['out_channels']} channels of {config['in_channels']}: as many "
            "would be right, since samplers want one prediction a pixel"
        )
    if config["in_channels"] != 3:
        raise BenchmarkError(
            f"{path}: makes images of {config['in_channels']} channels: 3 would be right"
        )


def _look_up(names: dict[str, Any], key: str, value: Any, path: Path) -> Any:
    if not isinstance(value, str) or value not in names:
        raise BenchmarkError(f"{path}: {key} is {value!r}: known are {_known(names)}")
    return names[value]


def _known(names: dict[str, Any]) -> str:
    return ", ".join(sorted(names))
