"""A generator, evaluated once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from benchmark.diffusion.processes.base import Array, Process
from benchmark.diffusion.samplers.base import Sampler

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.diffusion.samplers.base import Callback, Model, Noise


class Generator(Sampler):
    """x_0 = G(z) with z ~ N(0, I), Goodfellow et al. 2014, section 3: one evaluation an image."""

    paper = "[Goodfellow et al. 2014](https://arxiv.org/abs/1406.2661), section 3"
    families = ("latent",)
    takes_steps = False
    kind: Literal["generator"] = "generator"

    def sample(
        self,
        model: Model,
        process: Process,
        x_T: Tensor,
        timesteps: Array,
        noise: Noise,
        callback: Callback | None = None,
    ) -> Tensor:
        """Return x_0, B×C×H×W; see `Sampler.sample`. `noise` is never called."""
        [t] = timesteps.tolist()
        x_0 = model(x_T, t).x0
        if callback:
            callback(0, t, x_T, x_0)
        return x_0
