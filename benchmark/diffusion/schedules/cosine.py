"""The cosine schedule of the improved DDPM."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from benchmark.diffusion.processes.base import Array
from benchmark.diffusion.schedules.betas import Betas


class Cosine(Betas):
    """ᾱ falling as a squared cosine, Nichol and Dhariwal 2021, equation 17."""

    paper = "[Nichol and Dhariwal 2021](https://arxiv.org/abs/2102.09672), equation 17"
    kind: Literal["cosine"] = "cosine"
    s: float = Field(default=0.008, le=1, description="Offset of the time at the least noise")
    beta_max: float = Field(default=0.999, description="What β is confined to near the end")

    @model_validator(mode="after")
    def _check(self) -> Cosine:
        if self.T < 1 or self.s < 0 or not 0 < self.beta_max < 1:
            raise ValueError(
                f"schedule: T = {self.T}, s = {self.s} and beta_max = {self.beta_max} make no "
                "cosine schedule: T ≥ 1, s ≥ 0 and 0 < beta_max < 1 would"
            )
        return self

    def betas(self) -> Array:
        """Return β_t = 1 - ᾱ_t/ᾱ_{t-1}, at most `beta_max`, of shape (T,)."""
        s = self.s
        alpha_bar = np.cos((np.linspace(0, 1, self.T + 1) + s) / (1 + s) * np.pi / 2) ** 2
        return np.asarray(np.minimum(1 - alpha_bar[1:] / alpha_bar[:-1], self.beta_max))
