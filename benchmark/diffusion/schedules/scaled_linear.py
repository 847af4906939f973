"""The schedule of latent diffusion."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from benchmark.diffusion.processes.base import Array
from benchmark.diffusion.schedules.betas import RisingBetas


class ScaledLinear(RisingBetas):
    """√β rising linearly, as in latent diffusion (Rombach et al. 2022, code)."""

    paper = "[Rombach et al. 2022](https://arxiv.org/abs/2112.10752), code"
    kind: Literal["scaled-linear"] = "scaled-linear"
    beta_start: float = Field(default=0.00085, description="The least β")
    beta_end: float = Field(default=0.012, description="The largest β")

    def betas(self) -> Array:
        """Return β_t of shape (T,), whose roots are evenly spaced between those of its ends."""
        return np.asarray(np.linspace(self.beta_start**0.5, self.beta_end**0.5, self.T) ** 2)
