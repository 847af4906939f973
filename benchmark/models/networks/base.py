"""The base class of networks."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import StrictModel
from benchmark.diffusion.processes.base import Process

if TYPE_CHECKING:
    from torch import nn


class Network(StrictModel):
    """The options of a network, as in a config; `kind` is its name.

    Configs are read without torch, so only `build` and `trained` may import it.

    Attributes:
        is_adversarial: whether it is a generator, which is trained against a critic.
    """

    is_adversarial: ClassVar[bool] = False
    kind: str
    classes: int | None = Field(
        default=None,
        ge=1,
        le=65_535,
        description="Classes of the data, each of which it learns, and beside them that there is "
        "none; null: it is told nothing of classes",
        examples=[10],
    )

    @model_serializer(mode="wrap")
    def _without_classes(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave `classes` out of a network without, whose headers and records had no such key."""
        content: dict[str, Any] = dump(self)
        if content.get("classes") is None:
            content.pop("classes", None)
        return content

    @abstractmethod
    def build(self, resolution: int) -> nn.Module:
        """Return the network with random weights, drawn from torch's global generator.

        Its `forward(x, condition)` maps noisy images B×C×H×W, in the range of their process, and
        their times or noise levels, B, to B×C×H×W. With classes it is `forward(x, condition,
        labels)`, with the numbers of their classes, int64 B, where `classes` stands for none.

        Args:
            resolution: height and width of the images.

        Raises:
            BenchmarkError: the network cannot have this resolution, or cannot be built.
        """

    def trained(self, resolution: int) -> nn.Module:
        """Return what a training changes, with random weights; see `build`.

        It is the network; of a generator it and its critic: see `benchmark.diffusion.adversarial`.
        """
        return self.build(resolution)

    @property
    def learns_variance(self) -> bool:
        """Tell whether `forward` returns B×2C×H×W, the second half for the variance of a step."""
        return False

    @property
    def multiple(self) -> int:
        """The number of which height and width must be multiples."""
        return 1

    def of_channels(self, channels: int) -> Self:
        """Return this network for images of so many channels, unless the config states its own."""
        known = "image_channels" in type(self).model_fields
        if not known or "image_channels" in self.model_fields_set:
            return self
        return self.model_copy(update={"image_channels": channels})

    @property
    def unstated(self) -> set[str]:
        """Return the options at their defaults that mean something else where they are stated."""
        return {"image_channels"} & set(type(self).model_fields) - self.model_fields_set

    def check_fits(self, at: str, resolution: int, channels: int = 3) -> None:
        """Refuse a network that cannot take images of a resolution and a number of channels.

        Args:
            at: config key of the network, with which the message begins.
            resolution: height and width of the images.
            channels: number of their channels.

        Raises:
            ValueError: it cannot; the message says what would fit.
        """
        if getattr(self, "image_channels", channels) != channels:
            raise ValueError(
                f"{at}: images have {channels} channels, image_channels is not {channels}"
            )
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
