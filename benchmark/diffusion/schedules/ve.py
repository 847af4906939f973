"""The schedule of the VE SDE."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from benchmark.diffusion.processes.ve import VE
from benchmark.diffusion.schedules.base import Schedule, check_end, check_sigmas


class VESchedule(Schedule):
    """The VE SDE, Song et al. 2021, appendix C, by default as their code has it."""

    paper = "[Song et al. 2021](https://arxiv.org/abs/2011.13456), equation 30"
    kind: Literal["ve"] = "ve"
    sigma_min: float = Field(default=0.01, le=1e6, description="σ at t = 0")
    sigma_max: float = Field(default=50.0, le=1e6, description="σ at t = 1")
    t_end: float = Field(default=1e-5, description="The time at which sampling ends")

    @model_validator(mode="after")
    def _check(self) -> VESchedule:
        check_sigmas(self.sigma_min, self.sigma_max)
        check_end(self.t_end)
        return self

    def process(self) -> VE:
        """Return the SDE."""
        return VE(self.sigma_min, self.sigma_max, self.t_end)
