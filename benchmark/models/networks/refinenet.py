"""The RefineNet of Song and Ermon 2019."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from benchmark.diffusion.processes.base import Process
from benchmark.models.networks.base import Network

if TYPE_CHECKING:
    from torch import nn


class RefineNet(Network):
    """The dilated RefineNet of NCSN (Song and Ermon 2019, appendix A), given a noise level."""

    kind: Literal["refinenet"] = "refinenet"
    channels: int = Field(
        default=128, ge=2, le=65_536, description="Feature channels of the finest stage"
    )
    levels: int = Field(
        default=10, ge=1, le=10_000, description="Noise levels, each with an embedding"
    )
    image_channels: int = Field(
        default=3, ge=1, description="Channels of the images; left out: as many as the data have"
    )

    def build(self, resolution: int) -> nn.Module:
        """Return the RefineNet with random weights, for images of even height and width."""
        from benchmark.models.modules.refinenet import RefineNetModule

        self.check_resolution(resolution)
        return RefineNetModule(self)

    @property
    def multiple(self) -> int:
        """The number of which height and width must be multiples."""
        return 2

    def check_process(self, at: str, schedule: str, process: Process) -> None:
        """Refuse a process whose number of noise levels is not that of the embeddings."""
        levels = process.length if process.conditioned_on == "level" else None
        if levels != self.levels:
            raise ValueError(
                f"{at}: a refinenet of {self.levels} levels cannot learn the schedule {schedule}: "
                "a geometric one of as many levels would do"
            )
