"""The U-Net of Ho et al. 2020."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from benchmark.diffusion.processes.base import Process
from benchmark.models.networks.base import Network

if TYPE_CHECKING:
    from torch import nn


class UNet(Network):
    """The U-Net of Ho et al. 2020, with the options of diffusers' UNet2DModel.

    All sequences are ordered from the finest level to the coarsest.
    """

    kind: Literal["unet"] = "unet"
    channels: tuple[Annotated[int, Field(ge=1, le=65_536)], ...] = Field(
        min_length=1,
        description="Feature channels of each level; each halves the resolution",
        examples=[[32, 64, 64]],
    )
    attention: tuple[bool, ...] = Field(
        description="Whether a level has attention over its pixels", examples=[[False, False, True]]
    )
    mid_attention: bool = Field(default=True, description="Attention between the two halves")
    layers: int = Field(
        default=2, ge=1, le=100, description="Residual blocks of a level on the way down"
    )
    scale_shift: bool = Field(
        default=False,
        description="The time scales and shifts the normalised features (adaptive group "
        "normalisation, Dhariwal and Nichol 2021, equation 3); by default it is added before",
    )
    residual_sampling: bool = Field(
        default=False,
        description="Residual blocks halve and double the resolution, as those of BigGAN do (Brock "
        "et al. 2019), in place of a convolution",
    )
    rescale_skips: bool = Field(
        default=False,
        description="The sum of a block's result and its input is divided by √2 (Song et al. 2021, "
        "appendix H), so that its variance does not grow with the depth",
    )
    mid_attention_norm: bool = Field(
        default=True,
        description="Group normalisation of what the middle attends over; diffusers leaves it out "
        "where it has scale_shift",
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
        default=None,
        ge=1,
        description="Channels of an attention head; null: one head",
        examples=[32],
    )
    groups: int = Field(
        default=32, ge=1, le=65_536, description="Groups of the group normalisation"
    )
    norm_eps: float = Field(
        default=1e-6, gt=0, le=1, description="Added to the variance by the group normalisation"
    )
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
        examples=[0.5],
    )
    freq_shift: float = Field(
        default=1, ge=0, description="Shift of the positional frequencies, as in diffusers"
    )
    flip_sin_to_cos: bool = Field(default=False, description="Cosines before sines")
    downsample_padding: Literal[0, 1] = Field(
        default=0, description="0 pads right and bottom alone, 1 pads all four sides"
    )
    image_channels: int = Field(
        default=3, ge=1, description="Channels of the images; left out: as many as the data have"
    )
    learned_variance: bool = Field(
        default=False,
        description="Twice as many output channels, the second half for the variance of each step "
        "(Nichol and Dhariwal 2021, section 3.1); goes with learned_variance of a training",
    )

    @model_validator(mode="after")
    def _check(self) -> UNet:
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

    def build(self, resolution: int) -> nn.Module:
        """Return the U-Net with random weights, for a resolution that it can halve often enough."""
        from benchmark.models.modules.unet import UNetModule

        self.check_resolution(resolution)
        return UNetModule(self)

    @property
    def learns_variance(self) -> bool:
        """Tell whether the second half of the output channels is for the variance."""
        return self.learned_variance

    @property
    def multiple(self) -> int:
        """The number of which height and width must be multiples."""
        return self.patch << len(self.channels) - 1

    def check_process(self, at: str, schedule: str, process: Process) -> None:
        """Refuse a process with noise levels if the network embeds times, and the reverse."""
        if (self.time_embedding == "fourier") != (process.conditioned_on == "sigma"):
            raise ValueError(
                f"{at}.time_embedding: {self.time_embedding} cannot embed the times of the "
                f"schedule {schedule}: fourier is for ve, positional for all others"
            )

    def _attended(self) -> list[int]:
        return [c for c, attends in zip(self.channels, self.attention, strict=True) if attends]
