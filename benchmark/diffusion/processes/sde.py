"""What the processes in continuous time share: they solve a linear SDE."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from benchmark.diffusion.processes.base import Process, Spacing

LEAST_TIME = 1e-5  # of training and of likelihoods, Song et al. 2021, code


class SDE(Process):
    """A process in continuous time, dx = f(t) x dt + g(t) dw, Song et al. 2021.

    One whose mean is no multiple of x alone adds k(t) x_0 to the drift. Time is reversed by
    dx = (f x + k x̂_0 - g² ∇ log p) dt + g dw̄, and the probability flow has ½ g² for g².
    """

    loss = "continuous"
    spacings: ClassVar[tuple[Spacing, ...]] = ("linspace", "karras")
    t_end: float

    @property
    def t_max(self) -> float:
        """The end of the forward process."""
        return 1.0

    @property
    def t_min(self) -> float:
        """The time at which sampling ends, as the score grows without bound towards 0."""
        return self.t_end

    @property
    def t_learnt(self) -> float:
        """The time at which training begins."""
        return min(self.t_min, LEAST_TIME)

    @abstractmethod
    def drift(self, t: Any) -> Any:
        """Return f(t), the factor of x in the drift."""

    def pull(self, t: Any) -> Any:
        """Return k(t), the factor of x_0 in the drift, shaped like t."""
        return t * 0.0

    @abstractmethod
    def diffusion(self, t: Any) -> Any:
        """Return g(t)."""
