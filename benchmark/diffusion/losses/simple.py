"""The simplified loss of DDPM."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from benchmark.diffusion.losses.weighted import Weighted
from benchmark.diffusion.processes.base import Process

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.diffusion.denoiser import Estimate

VLB_WEIGHT = 0.001  # λ, Nichol and Dhariwal 2021, section 3.1


class Simple(Weighted):
    """L_simple = E ‖ε - ε_θ(x_t, t)‖², Ho et al. 2020, equation 14, the mean over pixels.

    With learned variances it is L_hybrid = L_simple + λ L_vlb, Nichol and Dhariwal 2021, equation
    16, where L_vlb, the sum over all T times, is in bits per pixel value, as in the authors' code.
    """

    trains = "discrete VP schedules"
    usual_space = "eps"
    kind: Literal["simple"] = "simple"
    learned_variance: bool = Field(
        default=False,
        description="The network predicts the variance of each step too, trained by 0.001 L_vlb "
        "(L_hybrid, Nichol and Dhariwal 2021, equation 16)",
    )

    def of_variance(self, process: Process, x_0: Tensor, estimate: Estimate, t: Tensor) -> Tensor:
        """Return λ L_vlb, of shape (), estimated from the times t; see `Loss.of_variance`."""
        from benchmark.diffusion.variational import bound

        if not self.learned_variance:
            return super().of_variance(process, x_0, estimate, t)
        return VLB_WEIGHT * (process.t_max + 1) * bound(process, x_0, estimate, t).mean()
