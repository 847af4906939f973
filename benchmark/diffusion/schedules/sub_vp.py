"""The schedule of the sub-VP SDE."""

from __future__ import annotations

from typing import Literal

from benchmark.diffusion.processes.sub_vp import SubVP
from benchmark.diffusion.schedules.linear_rate import LinearRate


class SubVPSchedule(LinearRate):
    """The sub-VP SDE, by default as for sampling in Song et al. 2021, appendix C."""

    paper = "[Song et al. 2021](https://arxiv.org/abs/2011.13456), equations 12 and 29"
    kind: Literal["sub-vp"] = "sub-vp"

    def process(self) -> SubVP:
        """Return the SDE."""
        return SubVP(self.beta_min, self.beta_max, self.t_end)
