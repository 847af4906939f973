"""The RefineNet of Song and Ermon 2019."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from benchmark.diffusion.processes.base import Process
from benchmark.models.networks.base import Network, check_channels

if TYPE_CHECKING:
    from torch import nn


class RefineNet(Network):
    """NCSN's dilated RefineNet (Song and Ermon 2019, appendix A), conditioned on a level."""

    kind: Literal["refinenet"] = "refinenet"
    channels: int = Field(
        default=128, ge=2, le=65_536, description="Feature channels of the finest stage"
    )
    levels: int = Field(
        default=10, ge=1, le=10_000, description="Noise levels, each with an embedding"
    )
    image_channels: int = Field(default=3, ge=1, description="Of the images that it is for")

    def build(self, resolution: int) -> nn.Module:
        """Return the RefineNet with fresh weights, for images of an even side."""
        from benchmark.models.modules.refinenet import RefineNetModule

        self.check_resolution(resolution)
        return RefineNetModule(self)

    @property
    def multiple(self) -> int:
        """The number of which height and width must be multiples."""
        return 2

    def check_fits(self, at: str, resolution: int) -> None:
        """Refuse images of other channels, or of an odd side."""
        check_channels(at, self.image_channels)
        super().check_fits(at, resolution)

    def check_process(self, at: str, schedule: str, process: Process) -> None:
        """Refuse a process that has not as many noise levels as the network has embeddings."""
        levels = process.length if process.conditioned_on == "level" else None
        if levels != self.levels:
            raise ValueError(
                f"{at}: a refinenet of {self.levels} levels cannot learn the schedule {schedule}: "
                "a geometric one of as many levels would do"
            )
