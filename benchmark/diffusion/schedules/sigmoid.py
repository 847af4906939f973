"""The sigmoid schedule of GeoDiff."""

from __future__ import annotations

from typing import Literal

import numpy as np

from benchmark.diffusion.processes.base import Array
from benchmark.diffusion.schedules.betas import RisingBetas


class Sigmoid(RisingBetas):
    """β rising as a logistic function from -6 to 6, as in GeoDiff (Xu et al. 2022, code)."""

    paper = "[Xu et al. 2022](https://arxiv.org/abs/2203.02923), code"
    kind: Literal["sigmoid"] = "sigmoid"

    def betas(self) -> Array:
        """Return β_t of shape (T,); its ends differ from the options by about e^-6 of the rise."""
        rise = 1 / (1 + np.exp(-np.linspace(-6, 6, self.T)))
        return np.asarray(self.beta_start + (self.beta_end - self.beta_start) * rise)
