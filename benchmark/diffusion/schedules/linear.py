"""The linear schedule of DDPM."""

from __future__ import annotations

from typing import Literal

import numpy as np

from benchmark.diffusion.processes.base import Array
from benchmark.diffusion.schedules.betas import RisingBetas


class Linear(RisingBetas):
    """β rising linearly, Ho et al. 2020, section 4."""

    paper = "[Ho et al. 2020](https://arxiv.org/abs/2006.11239), section 4"
    kind: Literal["linear"] = "linear"

    def betas(self) -> Array:
        """Return β_t, evenly spaced from `beta_start` to `beta_end`, of shape (T,)."""
        return np.linspace(self.beta_start, self.beta_end, self.T)
