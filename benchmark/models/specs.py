"""What a config says of a network. Reading it needs no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from benchmark.core.strict import Name, Sha256, Strict, UserPath, UserText, text

ZOO = Path(__file__).parent.parent / "zoo"
# Of a diffusers pipeline in a folder: what describes it and its parts, and all their weights.
PIPELINE_FILES = [
    f"{folder}{name}"
    for folder in ("", "*/")
    for name in (
        "model_index.json",
        "config.json",
        "scheduler_config.json",
        "diffusion_pytorch_model*",
    )
]


class UNetSpec(Strict):
    """The U-Net of Ho et al. 2020, with the options of diffusers' UNet2DModel.

    All sequences go from the finest level to the coarsest.
    """

    kind: Literal["unet"] = "unet"
    channels: tuple[Annotated[int, Field(ge=1, le=65_536)], ...] = Field(
        min_length=1, description="Feature channels of each level; each halves the resolution"
    )
    attention: tuple[bool, ...] = Field(description="Whether a level attends over its pixels")
    mid_attention: bool = Field(default=True, description="Attention between the two halves")
    layers: int = Field(
        default=2, ge=1, le=100, description="Residual blocks of a level on the way down"
    )
    patch: int = Field(
        default=1,
        ge=1,
        le=4096,
        description="Side of the pixel squares that are folded into channels",
    )
    output_gates: bool = Field(
        default=False,
        description="The output is a·U + b·x, of the network's U and its input x, with a and b "
        "learned functions of the time. Not in the paper: at large times the noise is nearly x, "
        "which a network that is trained for minutes then need not learn first",
    )
    head_channels: int | None = Field(
        default=None, ge=1, description="Channels of an attention head; null: one head"
    )
    groups: int = Field(
        default=32, ge=1, le=65_536, description="Groups of the group normalisation"
    )
    norm_eps: float = Field(default=1e-6, gt=0, le=1)
    time_embedding: Literal["positional", "fourier"] = Field(
        default="positional",
        description="positional: of a time up to about 1000; fourier: of a noise level σ > 0, by "
        "which the output is divided",
    )
    fourier_scale: float = Field(
        default=16,
        gt=0,
        le=1e4,
        description="Standard deviation of the random frequencies of log σ; the default is that of "
        "Song et al. 2021, appendix C",
    )
    sigma_data: float | None = Field(
        default=None,
        gt=0,
        le=1e4,
        description="Of a fourier network: its input is divided by √(σ² + sigma_data²), Karras et "
        "al. 2022, table 1; null: the input is taken as it is, as in Song et al. 2021",
    )
    freq_shift: float = Field(default=1, ge=0, description="Of the positional frequencies")
    flip_sin_to_cos: bool = Field(default=False, description="Cosines before sines")
    downsample_padding: Literal[0, 1] = Field(
        default=0, description="0 pads right and bottom alone, 1 pads all four sides"
    )
    image_channels: int = Field(default=3, ge=1)

    @model_validator(mode="after")
    def _check(self) -> UNetSpec:
        if len(self.attention) != len(self.channels):
            raise ValueError(
                f"attention has {len(self.attention)} entries and channels {len(self.channels)}: "
                "give one for each level"
            )
        for width in self.channels:
            if width % self.groups:
                raise ValueError(f"channels: {width} is not a multiple of groups, {self.groups}")
        for width in (*self._attended(), *([self.channels[-1]] if self.mid_attention else [])):
            if width % (self.head_channels or width):
                raise ValueError(
                    f"channels: {width} is not a multiple of head_channels, {self.head_channels}"
                )
        if self.sigma_data is not None and self.time_embedding != "fourier":
            raise ValueError(
                "sigma_data needs time_embedding: fourier, as other networks are not told σ"
            )
        if self.freq_shift >= self.channels[0] // 2:
            raise ValueError(
                f"freq_shift must be below half of channels.0, {self.channels[0] // 2}"
            )
        return self

    @property
    def multiple(self) -> int:
        """The number of which height and width must be multiples."""
        return self.patch << len(self.channels) - 1

    def _attended(self) -> list[int]:
        return [c for c, attends in zip(self.channels, self.attention, strict=True) if attends]


class RefineNetSpec(Strict):
    """NCSN's dilated RefineNet (Song and Ermon 2019, appendix A), conditioned on a level."""

    kind: Literal["refinenet"] = "refinenet"
    channels: int = Field(
        default=128, ge=2, le=65_536, description="Feature channels of the finest stage"
    )
    levels: int = Field(
        default=10, ge=1, le=10_000, description="Noise levels, each with an embedding"
    )
    image_channels: int = Field(default=3, ge=1)

    @property
    def multiple(self) -> int:
        """The number of which height and width must be multiples."""
        return 2


class CustomSpec(Strict):
    """A network of the user's own."""

    kind: Literal["custom"]
    factory: Annotated[str, text(r"^\w+(\.\w+)*:\w+$", "MODULE:FUNCTION, as mine:network")] = Field(
        description="module:function, called with the resolution and the options, that returns a "
        "torch module",
    )
    options: dict[str, Any] = Field(default={}, description="Keyword arguments of the function")

    @model_validator(mode="after")
    def _check_options(self) -> CustomSpec:
        try:
            json.dumps(self.options, allow_nan=False)
        except ValueError:
            raise ValueError("options: finite numbers are needed, not NaN or infinity") from None
        return self


Network = Annotated[UNetSpec | RefineNetSpec | CustomSpec, Field(discriminator="kind")]


class _Checkpoint(Strict):
    """Weights that someone else trained."""

    sha256: Sha256 | None = Field(
        default=None,
        description="Of the file of weights, if it is known; of "
        "shards, of their bytes in the order of their names",
    )


class DiffusersCheckpoint(_Checkpoint):
    """An unconditional UNet2DModel with its scheduler, as diffusers' pipelines are saved."""

    kind: Literal["diffusers"]
    source: UserText = Field(min_length=1, description="A folder, or an id on the Hugging Face hub")
    revision: str = Field(
        default="main",
        min_length=1,
        description="Commit on the hub; of a branch, the record keeps the commit that was found",
    )


class NcsnCheckpoint(_Checkpoint):
    """A checkpoint of ermongroup/ncsn, which holds weights and nothing that describes them."""

    kind: Literal["ncsn"]
    path: UserPath = Field(description="checkpoint.pth")
    network: RefineNetSpec = RefineNetSpec()
    resolution: int = Field(default=32, ge=2, le=4096)
    sigma_min: float = Field(default=0.01, gt=0, le=1e6)
    sigma_max: float = Field(default=1.0, gt=0, le=1e6)


class ZooCheckpoint(Strict):
    """A network for the embedded data that comes with this package, with its model card."""

    kind: Literal["zoo"]
    name: Name = Field(description="A file of benchmark/zoo/")


class OwnCheckpoint(_Checkpoint):
    """A file that `train` or `export` wrote."""

    kind: Literal["own"]
    path: UserPath = Field(description="A .safetensors file")


Pretrained = Annotated[
    DiffusersCheckpoint | NcsnCheckpoint | OwnCheckpoint | ZooCheckpoint,
    Field(discriminator="kind"),
]


def local_files(spec: Pretrained) -> tuple[Path, list[str]]:
    """Return the folder of a checkpoint on this machine, and the files in it that may be read.

    Those in a hub's cache are not among them, nor what else lies in the folder of a pipeline.
    """
    if isinstance(spec, DiffusersCheckpoint):
        folder = Path(spec.source)
        found = {path for name in PIPELINE_FILES for path in folder.glob(name) if path.is_file()}
        return folder, sorted(path.relative_to(folder).as_posix() for path in found)
    path = zoo_path(spec.name) if isinstance(spec, ZooCheckpoint) else spec.path
    return path.parent, [path.name] if path.is_file() else []


def zoo_path(name: str) -> Path:
    """Return where a network of the zoo is kept."""
    return ZOO / f"{name}.safetensors"
