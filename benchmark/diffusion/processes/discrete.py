"""What the processes with a fixed number of times share."""

from __future__ import annotations

from abc import abstractmethod

from benchmark.diffusion.processes.base import Array, Process, exact_chain


class Discrete(Process):
    """A process that is defined at the times 0 … `length` - 1, from little noise to much."""

    @property
    @abstractmethod
    def length(self) -> int:
        """The number of its times."""

    @property
    def t_max(self) -> float:
        """The last of the times."""
        return self.length - 1

    @property
    def t_min(self) -> float:
        """The first of the times."""
        return 0

    def chain(self, timesteps: Array) -> tuple[Array, Array]:
        """Return the exact transitions between neighbouring times of the grid, shape (N,) each.

        Of a VP chain of which all times are visited they are √(1-β) and √β; of noise levels ones
        and √(σ_i² - σ_{i+1}²), Song et al. 2021, equation 8.
        """
        return exact_chain(self, timesteps)
