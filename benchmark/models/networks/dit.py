"""The diffusion transformer of Peebles and Xie 2023."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from benchmark.diffusion.processes.base import Process
from benchmark.models.networks.base import Network, check_positional

if TYPE_CHECKING:
    from torch import nn


class DiT(Network):
    """The diffusion transformer (Peebles and Xie 2023, section 3.2) with adaLN-Zero blocks.

    It works on pixels, while that of the paper works on latents.
    """

    kind: Literal["dit"] = "dit"
    patch: int = Field(
        default=2, ge=1, le=4096, description="Side of the pixel squares that become tokens"
    )
    width: int = Field(
        default=384, ge=4, le=65_536, description="Width of a token; the default is that of DiT-S"
    )
    depth: int = Field(default=12, ge=1, le=1000, description="Blocks")
    heads: int = Field(default=6, ge=1, le=65_536, description="Attention heads of a block")
    mlp_ratio: int = Field(default=4, ge=1, le=64, description="Hidden width of a block, in widths")
    image_channels: int = Field(
        default=3, ge=1, description="Channels of the images; left out: as many as the data have"
    )

    @model_validator(mode="after")
    def _check(self) -> DiT:
        if self.width % self.heads:
            raise ValueError(f"width: {self.width} is not a multiple of heads, {self.heads}")
        if self.width % 4:
            raise ValueError(
                f"width: {self.width} is not a multiple of 4: half of a token's position is that "
                "of its row and half that of its column, each in sines and cosines"
            )
        return self

    def build(self, resolution: int) -> nn.Module:
        """Return the transformer with random weights, for images that its patches divide."""
        from benchmark.models.modules.dit import DiTModule

        self.check_resolution(resolution)
        return DiTModule(self)

    @property
    def multiple(self) -> int:
        """The number of which height and width must be multiples."""
        return self.patch

    def check_fits(self, at: str, resolution: int, channels: int = 3) -> None:
        """Refuse images that patches do not divide, or of other channels."""
        if resolution % self.patch:
            raise ValueError(
                f"{at}: patch {self.patch} does not divide the resolution {resolution}: "
                "choose one that does"
            )
        super().check_fits(at, resolution, channels)

    def check_process(self, at: str, schedule: str, process: Process) -> None:
        """Refuse a process with noise levels, which a positional embedding cannot distinguish."""
        check_positional(at, schedule, process)
