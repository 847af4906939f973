"""Checks that single parts of a config fit together.

Each check raises a ValueError whose text begins with the key.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING

from pydantic import ValidationError

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import explain, nearest_names, shown
from benchmark.data.sources.base import Source
from benchmark.diffusion.losses import LOSSES
from benchmark.diffusion.processes.base import Process, check_prediction
from benchmark.diffusion.samplers import Sampler
from benchmark.diffusion.schedules import Schedule
from benchmark.models.description import Description, check_variance
from benchmark.models.networks import Network

if TYPE_CHECKING:
    from benchmark.config.training import Training

LEAST_IMAGES = 3  # the fewest images for which the interval of a distance can be estimated


def check_data(at: str, source: Source) -> None:
    """Refuse a data set with too few images for a distance in one of its sets."""
    for split in ("train", "held_out"):
        if getattr(source, split) < LEAST_IMAGES:
            raise ValueError(f"{at}.{split}: a distance needs at least {LEAST_IMAGES} images")


def check_loss(
    at: str, training: Training, schedule: str, process: Process, compiled: bool
) -> None:
    """Refuse a loss, a prediction and options of a training that do not suit its process."""
    try:
        check_prediction(training.prediction or process.prediction, process)
    except ValueError as error:
        raise ValueError(f"{at}.prediction: {error}") from None
    loss = training.loss_of(process)
    if not loss.is_defined_for(process):
        families = ", ".join(loss.families) or f"{loss.trains} alone"
        raise ValueError(
            f"{at}.loss: {training.loss} is not defined for {schedule}, a {process.family} "
            f"process: it is for {families}"
        )
    if loss.differentiates_twice and compiled:
        raise ValueError(
            f"{at}.loss: torch.compile has no second derivatives, which "
            f"{training.loss or process.loss} takes: compile: false would do"
        )
    options = training.loss_options()
    for option in options.keys() - loss.model_fields:
        owners = [loss.trains for loss in LOSSES.classes.values() if option in loss.model_fields]
        raise ValueError(f"{at}.{option}: only {' and '.join(owners)} have it, not {schedule}")
    try:
        loss(**options)
    except ValidationError as error:  # the message begins with the option
        raise ValueError(f"{at}.{explain(error, options)}") from None


def check_learned(at: str, training: Training, named: str, network: Network) -> None:
    """Refuse a network and a training of which one alone is of variances."""
    trained = bool(training.loss_options().get("learned_variance"))
    if trained and not network.learns_variance:
        raise ValueError(
            f"{at}.learned_variance: {named} has no output channels for the variance, only as many "
            "as images have: a unet with learned_variance: true would do"
        )
    if network.learns_variance and not trained:
        raise ValueError(
            f"{named}.learned_variance: nothing trains the variance: {at}.learned_variance: true "
            "would do"
        )


def check_adversary(
    at: str, training: Training, named: str, network: Network, schedule: str, process: Process
) -> None:
    """Refuse a generator where none is trained, another network where one is, and what it lacks."""
    is_adversarial = training.loss_of(process).is_adversarial
    if network.is_adversarial and not is_adversarial:
        raise ValueError(
            f"{named}: a {network.kind} makes images at once, and {schedule} is a path of noise: "
            "the schedule latent would do, or a unet"
        )
    if is_adversarial and not network.is_adversarial:
        raise ValueError(
            f"{named}: {schedule} trains a generator and its critic, and a {network.kind} has no "
            "critic: a dcgan would do"
        )
    if is_adversarial and training.held_out_points:
        raise ValueError(
            f"{at}.held_out_points: the loss of a generator and its critic tells nothing of "
            "held-out images: leave it out"
        )


def check_classes(at: str, classes: int, data: str, found: int) -> None:
    """Refuse a network with other classes than its data have.

    Args:
        at: config key of the network's classes.
        classes: their number.
        data: config key of the data.
        found: number of classes of the data; 0: they have no labels.
    """
    if not found:
        raise ValueError(
            f"{at}: {data} has no labels: choose data that have, or leave the classes out"
        )
    if classes != found:
        raise ValueError(f"{at}: {data} has {found} classes: {found} would be right, not {classes}")


def check_guidance(
    at: str, scales: Iterable[float], named: str, has_classes: bool, knows_none: bool, remedy: str
) -> None:
    """Refuse scales of guidance that a network cannot follow.

    Args:
        at: config key of the scales.
        scales: the scales.
        named: config key of the network.
        has_classes: whether the network is told classes.
        knows_none: whether it has learnt to do without one.
        remedy: what would make it learn that.
    """
    if not has_classes:
        raise ValueError(
            f"{at}: {named} is told no classes: leave it out, or give the network some"
        )
    if not knows_none and any(scale != 1 for scale in scales):
        raise ValueError(f"{at}: {named} has not learnt to do without a class: {remedy} would do")


def check_plan(
    schedule: Schedule,
    name: str,
    sampler: Sampler,
    steps: Iterable[int],
    at: str,
    weights: Description | None,
    network: Network | None,
) -> None:
    """Refuse a schedule, a sampler, steps, and weights or a network that do not fit together.

    The text begins with the key in the grid, or with that of an option of the sampler.
    """
    try:
        process = schedule.process()
        if network is not None:
            check_variance(sampler, network.learns_variance)
        for count in steps:
            times = sampler.plan(process, count)
            if weights is not None:
                weights.check_sampler(sampler, times)
    except BenchmarkError as error:
        key, _, _ = str(error).partition(":")
        owner = f"samplers.{name}" if key in type(sampler).model_fields else at
        raise ValueError(f"{owner}.{error}") from None


def known(at: str, name: str, *named: Iterable[str]) -> None:
    """Refuse a name that is not among those that are `named`; the error has the nearest one."""
    names = set(itertools.chain(*named))
    if name not in names:
        raise ValueError(f"{at}: no {shown(name)}: {nearest_names(name, names)}")
