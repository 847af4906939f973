"""The noise levels of an NCSN."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from benchmark.diffusion.processes.discrete_ve import DiscreteVE
from benchmark.diffusion.schedules.base import Schedule, check_sigmas


class Geometric(Schedule):
    """Levels of a constant ratio, by default those of Song and Ermon 2019, section 5."""

    paper = "[Song and Ermon 2019](https://arxiv.org/abs/1907.05600), section 5"
    kind: Literal["geometric"] = "geometric"
    levels: int = Field(default=10, le=10_000, description="Number of noise levels")
    sigma_min: float = Field(default=0.01, le=1e6, description="The smallest level")
    sigma_max: float = Field(default=1.0, le=1e6, description="The largest level")

    @model_validator(mode="after")
    def _check(self) -> Geometric:
        check_sigmas(self.sigma_min, self.sigma_max)
        if self.levels < 2:
            raise ValueError(f"schedule: levels = {self.levels} make no schedule: levels ≥ 2 would")
        return self

    def process(self) -> DiscreteVE:
        """Return the process of these levels."""
        return DiscreteVE(np.geomspace(self.sigma_min, self.sigma_max, self.levels))
