"""The loss of flow matching."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from benchmark.diffusion.losses.weighted import Weighted
from benchmark.diffusion.processes.base import Process

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class FlowMatching(Weighted):
    """E ‖v_θ(x_t, t) - (ε - x_0)‖², Liu et al. 2023 (Rectified Flow), equation 1."""

    trains = "flow schedules"
    usual_space = "velocity"
    kind: Literal["flow-matching"] = "flow-matching"
    time_distribution: Literal["uniform", "logit-normal"] = Field(
        default="uniform",
        description="How the times of a flow's training are drawn, [Esser et al. "
        "2024](https://arxiv.org/abs/2403.03206), section 3.1",
    )
    logit_mean: float = Field(
        default=0.0, ge=-100, le=100, description="Mean of log t/(1-t) of logit-normal times"
    )
    logit_std: float = Field(
        default=1.0, gt=0, le=100, description="Its standard deviation, of logit-normal times"
    )

    @model_validator(mode="after")
    def _check_times(self) -> FlowMatching:
        for option in ("logit_mean", "logit_std"):
            if option in self.model_fields_set and self.time_distribution == "uniform":
                raise ValueError(
                    f"{option}: is of logit-normal times: set time_distribution: logit-normal"
                )
        return self

    def draw_times(self, process: Process, count: int, generator: torch.Generator) -> Tensor:
        """Return times of a flow, float64 in [0, 1], of shape (count,)."""
        import torch

        options = {"generator": generator, "device": generator.device, "dtype": torch.float64}
        if self.time_distribution == "uniform":
            return torch.rand(count, **options)  # type: ignore[call-overload, no-any-return]
        normal = torch.randn(count, **options)  # type: ignore[call-overload]
        return torch.sigmoid(self.logit_mean + self.logit_std * normal)
