"""The schedule of EDM."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from benchmark.diffusion.processes.edm import EDM
from benchmark.diffusion.schedules.base import Schedule, check_sigmas


class EDMSchedule(Schedule):
    """The noise levels of EDM, by default those of the paper's table 1."""

    paper = "[Karras et al. 2022](https://arxiv.org/abs/2206.00364), table 1"
    kind: Literal["edm"] = "edm"
    sigma_min: float = Field(default=0.002, le=1e6, description="The least noise of a sampler")
    sigma_max: float = Field(default=80.0, le=1e6, description="The most noise, where it starts")
    sigma_data: float = Field(
        default=0.5, gt=0, le=1e6, description="Standard deviation of pixels in [-1, 1]"
    )

    @model_validator(mode="after")
    def _check(self) -> EDMSchedule:
        check_sigmas(self.sigma_min, self.sigma_max)
        return self

    def process(self) -> EDM:
        """Return the process."""
        return EDM(self.sigma_min, self.sigma_max, self.sigma_data)
