"""The schedule of flow matching."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from benchmark.diffusion.processes.flow import Flow
from benchmark.diffusion.schedules.base import Schedule, check_end


class FlowSchedule(Schedule):
    """The straight path from images to noise."""

    paper = "[Liu et al. 2023](https://arxiv.org/abs/2209.03003), equation 1"
    kind: Literal["flow"] = "flow"
    t_end: float = Field(
        default=1e-3, description="The last time of the spacing linspace, before the clean image"
    )
    shift: float = Field(
        default=1.0,
        ge=1e-3,
        le=1000,
        description="By how much a sampler's even times are moved towards the noise, as t = s u/(1 "
        "+ (s-1) u), [Esser et al. 2024](https://arxiv.org/abs/2403.03206), equation 23",
    )

    @model_validator(mode="after")
    def _check(self) -> FlowSchedule:
        check_end(self.t_end)
        return self

    def process(self) -> Flow:
        """Return the process."""
        return Flow(self.t_end, self.shift)
