"""What is known of ready weights before and after they are read."""

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
        spec: options of a network of this package; None: the network is diffusers' own.
        schedule: schedule of the process for which it was trained, as in a config.
        prediction: what the network predicts.
        clip: whether samplers confine x_0 to the range of images.
        resolution: height and width of the images.
        channels: number of their channels.
        embeddings: number of classes that the network has learnt, of which the last may stand for
            no class; None: it knows no classes.
        scheduler: scheduler of the checkpoint, if it has one.
        whole_times: whether the network can only be given the T whole times of the process.
        choices: settings of the checkpoint that were not followed when its files were chosen.
        learns_variance: whether the network predicts the variance of a step, too.
    """

    spec: Network | None
    schedule: Schedule
    prediction: Prediction
    clip: bool
    resolution: int
    channels: int = 3
    embeddings: int | None = None
    scheduler: Scheduler | None = None
    whole_times: bool = False
    choices: tuple[Choice, ...] = ()
    learns_variance: bool = False

    def check_sampler(self, sampler: Sampler, timesteps: Array) -> None:
        """Refuse a sampler that needs times or a variance that the network does not know.

        Args:
            sampler: sampler of the grid.
            timesteps: times that it gives to the network, of shape (steps,).

        Raises:
            BenchmarkError: a time lies between two times that the network has learnt, or the
                network predicts no variance.
        """
        check_variance(sampler, self.learns_variance)
        if self.whole_times and sampler.leaves_its_times:
            raise BenchmarkError(
                f"sampler: {sampler.kind} evaluates the network between the times that it has "
                "learnt an embedding of: ddim or dpm-solver++ would do"
            )
        if self.whole_times and (timesteps % 1).any():
            raise BenchmarkError(
                "sampler: its times lie between those that the network has learnt an embedding of: "
                "choose the spacing leading, linspace or trailing"
            )

    def choices_with(self, sampler: Sampler) -> list[Choice]:
        """Return all settings of the checkpoint that are not followed with a sampler."""
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
        """Return this description with a network and the origin of its weights; see `Loaded`.

        Args:
            network: network with its weights.
            choices: settings that were not followed when the weights were read.
            name: an id on the hub, or the name of the file.
            sha256: hash of the file of weights.
            facts: what the record keeps of the origin.
        """
        known = {field.name: getattr(self, field.name) for field in fields(Description)}
        known["choices"] = self.choices + choices
        return Loaded(**known, network=network.eval(), name=name, sha256=sha256, facts=facts)


def check_variance(sampler: Sampler, is_learned: bool) -> None:
    """Refuse a sampler that needs the variance of a network that does not predict it.

    Raises:
        BenchmarkError: with what would do.
    """
    if sampler.needs_variance and not is_learned:
        raise BenchmarkError(
            f"sampler: {sampler.kind} needs a network that predicts its variance, in twice the "
            "channels of images, which this one does not: choose fixed_small or fixed_large"
        )


@dataclass(frozen=True, kw_only=True)
class Loaded(Description):
    """A network with its weights, ready to predict.

    Attributes:
        network: maps (x: B×C×H×W in the range of the process, condition: B) to a prediction.
        name: origin of the weights: an id on the hub, or the name of the file.
        sha256: hash of the file of weights.
        facts: what the record keeps, as JSON: the revision on the hub and the configuration.
    """

    network: nn.Module
    name: str
    sha256: str
    facts: dict[str, Any]


@dataclass(frozen=True)
class Architecture:
    """A network that can be built with random weights on the CPU.

    Attributes:
        build: function that builds it.
        trained: function that builds what a training changes: see `Network.trained`.
        schedule: schedule of its process.
        resolution: height and width of its images.
        key: text that is equal for networks of equal cost.
        origin: where the architecture is described.
        channels: number of channels of its images.
        embeddings: number of classes that it learns, as in `Description`.
    """

    build: Callable[[], nn.Module]
    trained: Callable[[], nn.Module]
    schedule: Schedule
    resolution: int
    key: str
    origin: str
    channels: int = 3
    embeddings: int | None = None

    @classmethod
    def of(
        cls,
        network: Network,
        schedule: Schedule,
        resolution: int,
        origin: str,
        channels: int = 3,
    ) -> Architecture:
        """Return the architecture of a network of this package."""
        key = canonical_json(network.model_dump(mode="json"))
        return cls(
            lambda: network.build(resolution),
            lambda: network.trained(resolution),
            schedule,
            resolution,
            key,
            origin,
            channels,
            None if network.classes is None else network.classes + 1,
        )
