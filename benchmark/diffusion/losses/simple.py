"""The simplified loss of DDPM."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from benchmark.diffusion.losses.base import Loss
from benchmark.diffusion.processes.base import Process

if TYPE_CHECKING:
    from torch import Tensor


class Simple(Loss):
    """L_simple = E ‖ε - ε_θ(x_t, t)‖², Ho et al. 2020, equation 14."""

    trains = "discrete VP schedules"
    kind: Literal["simple"] = "simple"

    def weigh(self, error: Tensor, process: Process, t: Tensor, sigma: Tensor) -> Tensor:
        """Return the mean over images and pixels, so that w(t) = 1."""
        return error.mean()
