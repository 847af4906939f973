"""What all noise schedules share."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from benchmark.core.strict_model import StrictModel
from benchmark.diffusion.processes.base import Process


class Schedule(StrictModel):
    """The options of a process, as they stand in a config; `kind` is the schedule's name.

    Options of which no process can be made are refused when the schedule is made.

    Attributes:
        paper: the paper that defines it, in Markdown.
    """

    paper: ClassVar[str] = "–"
    kind: str

    @abstractmethod
    def process(self) -> Process:
        """Return the process that these options describe."""


def check_sigmas(sigma_min: float, sigma_max: float) -> None:
    """Refuse noise levels that do not rise; raise ValueError with the ones that would do."""
    if not 0 < sigma_min < sigma_max:
        raise ValueError(
            f"schedule: sigma_min = {sigma_min} and sigma_max = {sigma_max} make no schedule: "
            "0 < sigma_min < sigma_max would"
        )


def check_end(t_end: float) -> None:
    """Refuse an end of sampling outside of (0, 1); raise ValueError with one that would do."""
    if not 0 < t_end < 1:
        raise ValueError(f"schedule: t_end = {t_end} makes no schedule: 0 < t_end < 1 would")
