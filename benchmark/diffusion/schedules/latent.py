"""The schedule of networks that make an image of noise at once."""

from __future__ import annotations

from typing import Literal

from benchmark.diffusion.processes.latent import Latent
from benchmark.diffusion.schedules.base import Schedule


class LatentSchedule(Schedule):
    """No path: noise alone, of which a generator makes an image."""

    paper = "[Goodfellow et al. 2014](https://arxiv.org/abs/1406.2661), section 3"
    kind: Literal["latent"] = "latent"

    def process(self) -> Latent:
        """Return the process."""
        return Latent()
