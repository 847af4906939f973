"""The schedule of the VP SDE."""

from __future__ import annotations

from typing import Literal

from benchmark.diffusion.processes.vp import VP
from benchmark.diffusion.schedules.linear_rate import LinearRate


class VPSchedule(LinearRate):
    """The VP SDE, by default as for sampling in Song et al. 2021, appendix C."""

    paper = "[Song et al. 2021](https://arxiv.org/abs/2011.13456), equation 32"
    kind: Literal["vp"] = "vp"

    def process(self) -> VP:
        """Return the SDE."""
        return VP(self.beta_min, self.beta_max, self.t_end)
