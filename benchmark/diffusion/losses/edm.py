"""The loss of EDM."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from benchmark.diffusion.losses.weighted import Weighted
from benchmark.diffusion.processes.base import Process

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class EDMLoss(Weighted):
    """E[λ(σ) ‖D_θ(x_0 + σ ε; σ) - x_0‖²], Karras et al. 2022, equation 2, the mean over pixels.

    λ(σ) is (σ² + σ_data²)/(σ σ_data)², and ln σ is normal, table 1.
    """

    trains = "edm schedules"
    usual_space = "x0"
    usual_weight = "edm"
    kind: Literal["edm"] = "edm"
    p_mean: float = Field(
        default=-1.2, ge=-100, le=100, description="Mean of ln σ in the training of an EDM"
    )
    p_std: float = Field(
        default=1.2, gt=0, le=100, description="Its standard deviation, in the training of an EDM"
    )

    def draw_times(self, process: Process, count: int, generator: torch.Generator) -> Tensor:
        """Return noise levels σ, float64 of shape (count,)."""
        import torch

        device = generator.device
        normal = torch.randn(count, generator=generator, device=device, dtype=torch.float64)
        return (self.p_mean + self.p_std * normal).exp()
