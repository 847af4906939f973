"""What the processes in continuous time share: they solve a linear SDE."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from benchmark.diffusion.processes.base import Process


class SDE(Process):
    """A process in continuous time t ∈ (0, 1], dx = f(t) x dt + g(t) dw, Song et al. 2021."""

    loss = "continuous"
    spacings = ("linspace", "karras")
    t_end: float

    @property
    def t_max(self) -> float:
        """The end of the forward process."""
        return 1.0

    @property
    def t_min(self) -> float:
        """The time at which sampling ends, as the score grows without bound towards 0."""
        return self.t_end

    @abstractmethod
    def drift(self, t: Any) -> Any:
        """Return f(t), the factor of x in the drift."""

    @abstractmethod
    def diffusion(self, t: Any) -> Any:
        """Return g(t)."""
