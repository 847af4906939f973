"""What the schedules share that are stated as β_t, the variances of the steps of a chain."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from pydantic import Field, model_validator

from benchmark.diffusion.processes.base import Array
from benchmark.diffusion.processes.discrete_vp import DiscreteVP
from benchmark.diffusion.schedules.base import Schedule


class Betas(Schedule):
    """β_t of T times, Ho et al. 2020, equation 2."""

    T: int = Field(default=1000, le=1_000_000, description="Number of times")
    zero_terminal_snr: bool = Field(
        default=False,
        description="Shift and scale √ᾱ so that the last time is noise alone, ᾱ = 0 (Lin et al. "
        "2024, algorithm 1); a network then predicts v or x0",
    )

    @model_validator(mode="after")
    def _check_terminal(self) -> Betas:
        if self.zero_terminal_snr and self.T < 2:
            raise ValueError(
                f"schedule: T = {self.T} and zero_terminal_snr make no schedule: T ≥ 2 would"
            )
        return self

    @abstractmethod
    def betas(self) -> Array:
        """Return β_t for t = 0 … T-1, of shape (T,), within (0, 1)."""

    def process(self) -> DiscreteVP:
        """Return the chain with ᾱ_t = Π (1 - β_s) over s ≤ t, Ho et al. 2020, equation 4."""
        alpha_bar = np.cumprod(1 - self.betas())
        if self.zero_terminal_snr:
            root = np.sqrt(alpha_bar)
            alpha_bar = ((root - root[-1]) * (root[0] / (root[0] - root[-1]))) ** 2
        return DiscreteVP(alpha_bar)


class RisingBetas(Betas):
    """β_t that rise from a least to a largest one."""

    beta_start: float = Field(default=1e-4, description="The least β")
    beta_end: float = Field(default=0.02, description="The largest β")

    @model_validator(mode="after")
    def _check_betas(self) -> RisingBetas:
        if self.T < 1 or not 0 < self.beta_start <= self.beta_end < 1:
            raise ValueError(
                f"schedule: T = {self.T}, beta_start = {self.beta_start} and beta_end = "
                f"{self.beta_end} make no schedule: T ≥ 1 and 0 < beta_start ≤ beta_end < 1 would"
            )
        return self
