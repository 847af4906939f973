"""What the schedules of the VP and the sub-VP SDE share: β(t) that rises linearly."""

from __future__ import annotations

from pydantic import Field, model_validator

from benchmark.diffusion.schedules.base import Schedule, check_end


class LinearRate(Schedule):
    """β(t) = `beta_min` + (`beta_max` - `beta_min`) t, Song et al. 2021, appendix C."""

    beta_min: float = Field(default=0.1, le=1e4, description="β at t = 0")
    beta_max: float = Field(default=20.0, le=1e4, description="β at t = 1")
    t_end: float = Field(default=1e-3, description="The time at which sampling ends")

    @model_validator(mode="after")
    def _check(self) -> LinearRate:
        if not 0 < self.beta_min <= self.beta_max:
            raise ValueError(
                f"schedule: beta_min = {self.beta_min} and beta_max = {self.beta_max} make no "
                "schedule: 0 < beta_min ≤ beta_max would"
            )
        check_end(self.t_end)
        return self
