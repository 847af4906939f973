"""Annealed Langevin dynamics."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from benchmark.diffusion.processes.base import Array, Process, Spacing
from benchmark.diffusion.samplers.base import SPACING, Sampler, rows

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.diffusion.samplers.base import Callback, Model, Noise


class AnnealedLangevin(Sampler):
    """Takes one Langevin step at each time, Song and Ermon 2019, algorithm 1.

    The times hold every level as often as it is to be updated. Langevin dynamics forgets where it
    starts, as other samplers do not: by default it starts from uniform noise over the range of the
    data, as in the paper's section 5.
    """

    paper = "[Song and Ermon 2019](https://arxiv.org/abs/1907.05600), algorithm 1"
    families = ("ve-discrete",)
    takes_state = True
    stays_at_times = True
    kind: Literal["annealed-langevin"] = "annealed-langevin"
    # It alone may stay at a level.
    spacing: Spacing | None = Field(default="repeat", description=SPACING)  # type: ignore[assignment]
    step_size: float = Field(
        default=2e-5,
        gt=0,
        le=1,
        description="ε of the paper. The authors' code has ε where the algorithm has ε/2, so its "
        "2e-5 is 4e-5 here",
    )
    denoise: bool = Field(
        default=False,
        description="Return the expected clean image, one evaluation more, as in "
        "Jolicoeur-Martineau et al. 2021",
    )
    start: Literal["uniform", "normal"] = Field(
        default="uniform", description="normal: the noise from which other samplers start"
    )

    def sample(
        self,
        model: Model,
        process: Process,
        x_T: Tensor,
        timesteps: Array,
        noise: Noise,
        callback: Callback | None = None,
    ) -> Tensor:
        """Return x_0, B×C×H×W, by algorithm 1; see `Sampler.sample`."""
        sigma = process.sigma(timesteps)
        alpha = self.step_size * (sigma / process.sigma(0)) ** 2  # line 3: ε σ_i²/σ_L²
        x = _uniform(process, x_T) if self.start == "uniform" else x_T  # line 1
        for i, (t, alpha_i, std) in enumerate(rows(timesteps, alpha, np.sqrt(alpha))):
            estimate = model(x, t)
            if callback:
                callback(i, t, x, estimate.x0)
            x = estimate.x_t.add(estimate.score, alpha=alpha_i / 2)  # line 6
            x.add_(noise(), alpha=std)
        return model(x, 0.0).x0 if self.denoise else x


def _uniform(process: Process, x_T: Tensor) -> Tensor:
    """Return uniform noise over the data range, by the distribution function of the prior's."""
    low, high = process.data_range
    z = (x_T - (low + high) / 2) / float(process.sigma(process.t_max))
    return low + (high - low) / 2 * ((z / math.sqrt(2)).erf() + 1)
