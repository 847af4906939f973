"""The base class of networks."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import StrictModel
from benchmark.diffusion.processes.base import Process

if TYPE_CHECKING:
    from torch import nn


class Network(StrictModel):
    """The options of a network, as in a config; `kind` is its name.

    Configs are read without torch, so only `build` may import it.
    """

    kind: str

    @abstractmethod
    def build(self, resolution: int) -> nn.Module:
        """Return the network with random weights, drawn from torch's global generator.

        Its `forward(x, condition)` maps noisy images B×C×H×W, in the range of their process, and
        their times or noise levels, B, to B×C×H×W.

        Args:
            resolution: height and width of the images.

        Raises:
            BenchmarkError: the network cannot have this resolution, or cannot be built.
        """

    @property
    def learns_variance(self) -> bool:
        """Tell whether `forward` returns B×2C×H×W, the second half for the variance of a step."""
        return False

    @property
    def multiple(self) -> int:
        """The number of which height and width must be multiples."""
        return 1

    def check_fits(self, at: str, resolution: int) -> None:
        """Refuse a network that cannot take images of 3 channels at a resolution.

        Args:
            at: config key of the network, with which the message begins.
            resolution: height and width of the images.

        Raises:
            ValueError: it cannot; the message says what would fit.
        """
        if resolution % self.multiple:
            raise ValueError(
                f"{at}: halves its images too often for resolution {resolution}: "
                f"choose a resolution that is a multiple of {self.multiple}"
            )

    def check_process(self, at: str, schedule: str, process: Process) -> None:
        """Refuse a process whose times or noise levels the network cannot embed.

        Args:
            at: config key of the network, with which the message begins.
            schedule: name of the schedule.
            process: process of the schedule.

        Raises:
            ValueError: the network cannot; the message says which process or option would be right.
        """

    def check_resolution(self, resolution: int) -> None:
        """Refuse a resolution that the network cannot take when it is built.

        Raises:
            BenchmarkError: it cannot; the message says which resolutions it can take.
        """
        if resolution % self.multiple:
            raise BenchmarkError(
                f"networks: this {self.kind} needs a resolution that is a multiple of "
                f"{self.multiple}, not {resolution}: choose another, or fewer levels"
            )

    def users_code(self) -> str:
        """Return the user's function that builds the network, as MODULE:FUNCTION; empty: none."""
        return ""

    def modules(self, at: str) -> list[str]:
        """Return the names of the modules that define the network.

        Args:
            at: config key of the network, with which messages begin.

        Raises:
            BenchmarkError: a module of the user is missing.
        """
        return [type(self).__module__]


def check_positional(at: str, schedule: str, process: Process) -> None:
    """Refuse a process with noise levels for a network that embeds times.

    Raises:
        ValueError: the process has noise levels; the message says which network would do.
    """
    if process.conditioned_on == "sigma":
        raise ValueError(
            f"{at}: it embeds times, and the schedule {schedule} tells noise levels: a unet with "
            "time_embedding: fourier would do"
        )


def check_channels(at: str, channels: int) -> None:
    """Refuse a network for images that do not have 3 channels."""
    if channels != 3:
        raise ValueError(f"{at}: images have 3 channels, image_channels is not 3")
