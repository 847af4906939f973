"""What is known of ready weights: before they are read, and once they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from benchmark.core.canonical import canonical_json
from benchmark.core.errors import BenchmarkError
from benchmark.diffusion.processes.base import Array, Prediction
from benchmark.diffusion.samplers import Sampler
from benchmark.diffusion.schedules import Schedule
from benchmark.models.choices import Choice
from benchmark.models.networks import Network

if TYPE_CHECKING:
    from torch import nn

    from benchmark.models.schedulers import Scheduler


@dataclass(frozen=True)
class Description:
    """What is known of ready weights before they are read.

    Attributes:
        spec: of a network of ours; None: diffusers' own has to be built.
        schedule: the process that it was trained for, as in a config.
        prediction: what the network's output means.
        clip: whether samplers confine x_0 to the range of images.
        resolution: height and width of its images.
        scheduler: its own scheduler, where it comes with one.
        whole_times: whether the network knows no times between the T of the process.
        choices: what was chosen among its files.
    """

    spec: Network | None
    schedule: Schedule
    prediction: Prediction
    clip: bool
    resolution: int
    scheduler: Scheduler | None = None
    whole_times: bool = False
    choices: tuple[Choice, ...] = ()

    def check_times(self, timesteps: Array) -> None:
        """Refuse times that the network does not know.

        Args:
            timesteps: what a sampler gives to the network, of shape (steps,).

        Raises:
            BenchmarkError: a time lies between two of those that the network has learnt.
        """
        if self.whole_times and (timesteps % 1).any():
            raise BenchmarkError(
                "sampler: its times lie between those that the network has learnt an embedding of: "
                "choose the spacing leading, linspace or trailing"
            )

    def choices_with(self, sampler: Sampler) -> list[Choice]:
        """Return all settings of the checkpoint that a sampler of the grid does not follow."""
        if self.scheduler is None:
            return [*self.choices]
        process = self.schedule.process()
        return [*self.choices, *self.scheduler.choices_with(sampler, process)]

    def loaded(
        self,
        network: nn.Module,
        choices: tuple[Choice, ...],
        *,
        name: str,
        sha256: str,
        facts: dict[str, Any],
    ) -> Loaded:
        """Return this with a network, and where its weights are from; see `Loaded`.

        Args:
            network: with its weights.
            choices: what was chosen when they were read.
            name: of where the weights are from.
            sha256: of the file of weights.
            facts: for the record.
        """
        known = {field.name: getattr(self, field.name) for field in fields(Description)}
        known["choices"] = self.choices + choices
        return Loaded(**known, network=network.eval(), name=name, sha256=sha256, facts=facts)


@dataclass(frozen=True, kw_only=True)
class Loaded(Description):
    """A network with its weights, ready to predict.

    Attributes:
        network: maps (x: B×C×H×W in the range of the process, condition: B) to a prediction.
        name: where the weights are from: an id on the hub, or the file's name.
        sha256: of the file of weights.
        facts: JSON for the record: revision on the hub, configuration.
    """

    network: nn.Module
    name: str
    sha256: str
    facts: dict[str, Any]


@dataclass(frozen=True)
class Architecture:
    """A network that can be built, with random weights, on the CPU.

    Attributes:
        build: makes it.
        schedule: of its process.
        resolution: height and width of its images.
        key: the same for networks of the same cost.
        origin: where this is known from.
    """

    build: Callable[[], nn.Module]
    schedule: Schedule
    resolution: int
    key: str
    origin: str

    @classmethod
    def of(cls, network: Network, schedule: Schedule, resolution: int, origin: str) -> Architecture:
        """Return that of a network of ours."""
        key = canonical_json(network.model_dump(mode="json"))
        return cls(lambda: network.build(resolution), schedule, resolution, key, origin)
