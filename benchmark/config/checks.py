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
    from benchmark.config.schema import Training

LEAST_IMAGES = 3  # the fewest images for which the interval of a distance can be estimated


def check_data(at: str, source: Source) -> None:
    """Refuse a data set with too few images for a distance in one of its sets."""
    for split in ("train", "held_out"):
        if getattr(source, split) < LEAST_IMAGES:
            raise ValueError(f"{at}.{split}: a distance needs at least {LEAST_IMAGES} images")


def check_loss(at: str, training: Training, schedule: str, process: Process) -> None:
    """Refuse a prediction and options of a training that do not suit its process."""
    try:
        check_prediction(training.prediction or process.prediction, process)
    except ValueError as error:
        raise ValueError(f"{at}.prediction: {error}") from None
    options = training.loss_options()
    for option in options.keys() - LOSSES.get(process.loss).model_fields:
        owners = [loss.trains for loss in LOSSES.classes.values() if option in loss.model_fields]
        raise ValueError(f"{at}.{option}: only {' and '.join(owners)} have it, not {schedule}")
    try:
        LOSSES.make(process.loss, **options)
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


def check_plan(
    schedule: Schedule,
    sampler: Sampler,
    steps: Iterable[int],
    at: str,
    weights: Description | None,
    network: Network | None,
) -> None:
    """Refuse a schedule, a sampler, steps, and weights or a network that do not fit together."""
    try:
        process = schedule.process()
        if network is not None:
            check_variance(sampler, network.learns_variance)
        for count in steps:
            times = sampler.plan(process, count)
            if weights is not None:
                weights.check_sampler(sampler, times)
    except BenchmarkError as error:
        raise ValueError(f"{at}.{error}") from None


def known(at: str, name: str, *named: Iterable[str]) -> None:
    """Refuse a name that is not among those that are `named`; the error has the nearest one."""
    names = set(itertools.chain(*named))
    if name not in names:
        raise ValueError(f"{at}: no {shown(name)}: {nearest_names(name, names)}")
