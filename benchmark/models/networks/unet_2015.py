"""The first U-Net, of Ronneberger et al. 2015."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from benchmark.diffusion.processes.base import Process
from benchmark.models.networks.base import Network, check_positional

if TYPE_CHECKING:
    from torch import nn


class UNet2015(Network):
    """The U-Net of Ronneberger et al. 2015: no normalisation, no attention, no padding inside.

    Its convolutions lose the border, so the image is continued beyond its edges by mirroring it.
    The network of the paper has no time: here its embedding is added after the first convolution.
    """

    kind: Literal["unet-2015"] = "unet-2015"
    channels: tuple[Annotated[int, Field(ge=1, le=65_536)], ...] = Field(
        default=(64, 128, 256, 512, 1024),
        min_length=1,
        description="Feature channels of each level, the finest first; each halves the resolution",
        examples=[[32, 64, 64]],
    )
    image_channels: int = Field(
        default=3, ge=1, description="Channels of the images; left out: as many as the data have"
    )

    def build(self, resolution: int) -> nn.Module:
        """Return the U-Net with random weights, for images of any size."""
        from benchmark.models.modules.unet_2015 import UNet2015Module

        return UNet2015Module(self)

    def check_process(self, at: str, schedule: str, process: Process) -> None:
        """Refuse a process with noise levels, which a positional embedding cannot distinguish."""
        check_positional(at, schedule, process)
