"""Reverse diffusion with Langevin correction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from benchmark.diffusion.processes.base import Array, Process
from benchmark.diffusion.samplers.base import SAMPLERS, blend, rows

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.diffusion.samplers.base import Callback, Model, Noise


@SAMPLERS.register("predictor-corrector", spacing="linspace", even_on_sdes=True)
def predictor_corrector(
    model: Model,
    process: Process,
    x_T: Tensor,
    timesteps: Array,
    noise: Noise,
    callback: Callback | None = None,
    *,
    snr: Annotated[float, Field(gt=0, le=100)] = 0.16,
    corrections: Annotated[int, Field(ge=0, le=1000)] = 1,
    order: Literal["corrector-first", "predictor-first"] = "corrector-first",
) -> Tensor:
    """Alternate Langevin steps and the reverse of the forward chain, Song et al. 2021.

    Algorithms 2 and 3 with the reverse diffusion predictor of equation 46; returns the mean of the
    last one. `snr` is r of algorithms 4 and 5, `corrections` their M. `corrector-first` is the
    order of the authors' code and of diffusers, `predictor-first` that of the paper: no correction
    before the first prediction, and none after the last, whose level is free of noise.
    """
    a, g = process.chain(timesteps)
    x = x_T
    for i, (t, keep, std) in enumerate(rows(timesteps, a, g)):
        if i > 0 or order == "corrector-first":
            for _ in range(corrections):
                x = _langevin_step(x, model(x, t).score, noise(), snr, keep**2)
        estimate = model(x, t)
        if callback:
            callback(i, t, x, estimate.x0)
        x = blend(2 - keep, x, std**2, estimate.score)
        if i < len(timesteps) - 1:
            x.add_(noise(), alpha=std)
    return x


def _langevin_step(x: Tensor, score: Tensor, z: Tensor, snr: float, alpha: float) -> Tensor:
    """Algorithms 4 (α = 1) and 5 (α = 1 - β, as in the authors' code).

    With norms of each image alone, so that no image sees its batch.
    """
    ratio = _norm(z) / _norm(score)  # (B, 1, 1, 1)
    step = 2 * alpha * (snr * ratio) ** 2
    return x.addcmul(step, score).addcmul_((2 * step) ** 0.5, z)


def _norm(x: Tensor) -> Tensor:
    axes = tuple(range(1, x.ndim))
    return x.square().sum(dim=axes, keepdim=True).sqrt()
