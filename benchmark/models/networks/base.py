"""What all networks share."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import StrictModel
from benchmark.diffusion.processes.base import Process

if TYPE_CHECKING:
    from torch import nn


class Network(StrictModel):
    """The options of a network, as they stand in a config; `kind` is its name.

    A config is read without torch, so that `build` alone imports it.
    """

    kind: str

    @abstractmethod
    def build(self, resolution: int) -> nn.Module:
        """Return the network with fresh weights, drawn from torch's own generator.

        Its `forward(x, condition)` maps noisy images B×C×H×W, in the range of their process, and
        what they are conditioned on, B, to B×C×H×W.

        Args:
            resolution: H and W.

        Raises:
            BenchmarkError: it does not work at this resolution, or cannot be made.
        """

    @property
    def multiple(self) -> int:
        """The number of which height and width must be multiples."""
        return 1

    def check_fits(self, at: str, resolution: int) -> None:
        """Refuse images, which have 3 channels, that the network cannot take.

        Args:
            at: the key of the network in the config, with which the message begins.
            resolution: height and width of the images.

        Raises:
            ValueError: with what would fit.
        """
        if resolution % self.multiple:
            raise ValueError(
                f"{at}: halves its images too often for resolution {resolution}: "
                f"choose a resolution that is a multiple of {self.multiple}"
            )

    def check_process(self, at: str, schedule: str, process: Process) -> None:
        """Refuse a process whose times the network cannot be told.

        Args:
            at: the key of the network in the config, with which the message begins.
            schedule: the name of the schedule.
            process: that it makes.

        Raises:
            ValueError: with the process or the option that would be right.
        """

    def check_resolution(self, resolution: int) -> None:
        """Refuse to be built for images of a resolution that the network cannot take.

        Raises:
            BenchmarkError: with the resolutions that it can take.
        """
        if resolution % self.multiple:
            raise BenchmarkError(
                f"networks: this {self.kind} needs a resolution that is a multiple of "
                f"{self.multiple}, not {resolution}: choose another, or fewer levels"
            )

    def users_code(self) -> str:
        """Return which code of the user's own is run, as MODULE:FUNCTION; empty: none."""
        return ""

    def modules(self, at: str) -> list[str]:
        """Return the names of the modules that make it.

        Args:
            at: the key of the network in the config, with which messages begin.

        Raises:
            BenchmarkError: a module of the user's is missing.
        """
        return [type(self).__module__]


def check_positional(at: str, schedule: str, process: Process) -> None:
    """Refuse a process that tells a network noise levels, where it embeds times.

    Raises:
        ValueError: with what would do.
    """
    if process.conditioned_on == "sigma":
        raise ValueError(
            f"{at}: it embeds times, and the schedule {schedule} tells noise levels: a unet with "
            "time_embedding: fourier would do"
        )


def check_channels(at: str, channels: int) -> None:
    """Refuse a network of the user's choice for anything but images of 3 channels."""
    if channels != 3:
        raise ValueError(f"{at}: images have 3 channels, image_channels is not 3")
