"""Checks that a classifier fits its data, and the networks that it steers.

Each check raises a ValueError whose text begins with the key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.config.checks import known
from benchmark.diffusion.schedules import SCHEDULES
from benchmark.models.networks.unet import UNet

if TYPE_CHECKING:
    from benchmark.config.grid import Grid
    from benchmark.config.schema import Entry


def check_classifier(config: Grid, name: str) -> None:
    """Refuse a classifier whose data, schedule, network and training do not fit together."""
    at, spec = f"classifiers.{name}", config.classifiers[name]
    known(f"{at}.data", spec.data, config.data)
    known(f"{at}.schedule", spec.schedule, config.schedules, SCHEDULES.names())
    known(f"{at}.network", spec.network, config.networks)
    known(f"{at}.training", spec.training, config.training)
    if name in config.trainings:
        raise ValueError(f"{at}: a training of the grid has this name: choose another")
    if not config.classes_of(spec.data):  # of a single one no source would have told
        raise ValueError(f"{at}.data: data.{spec.data} has no labels: choose data that have")
    _check_network(config, at, name)
    training = config.training[spec.training]
    stated = training.model_dump(include={"prediction", "loss"}, exclude_none=True)
    for option in training.loss_options() | stated:
        raise ValueError(
            f"training.{spec.training}.{option}: a classifier has no such option: give it a "
            "training of its own"
        )


def _check_network(config: Grid, at: str, name: str) -> None:
    """Refuse a network that is no U-Net, is told classes, or does not fit images or process."""
    spec = config.classifiers[name]
    named, network = f"networks.{spec.network}", config.networks[spec.network]
    if not isinstance(network, UNet):
        raise ValueError(
            f"{at}.network: {named} is a {network.kind}, and a classifier is the way down of a "
            "unet: choose one"
        )
    if network.classes is not None:
        raise ValueError(
            f"{at}.network: {named} is told the classes that a classifier is to find: choose a "
            "unet without classes"
        )
    source = config.data[spec.data]
    network.of_channels(source.channels).check_fits(named, source.resolution, source.channels)
    network.check_process(named, spec.schedule, config.schedule(spec.schedule).process())


def check_steered(config: Grid, at: str, entry: Entry) -> None:
    """Refuse a classifier that cannot steer the models of a block of the grid.

    Args:
        config: the config.
        at: key of the block.
        entry: the block, which names a classifier.
    """
    assert entry.classifier
    known(f"{at}.classifier", entry.classifier, config.classifiers)
    named, spec = f"classifiers.{entry.classifier}", config.classifiers[entry.classifier]
    if entry.task:
        raise ValueError(
            f"{at}.classifier: a task steers by what is given, and not by class: leave one of them "
            "out"
        )
    for model in entry.model:
        data = config.models[model].data
        if data != spec.data:
            raise ValueError(
                f"{at}.classifier: {named} knows the classes of data.{spec.data}, and models."
                f"{model} makes images of data.{data}: one of data.{data} would do"
            )
        if config.is_told(model):
            raise ValueError(
                f"{at}.classifier: models.{model} is told classes by itself: leave the classifier "
                "out, or choose a network without classes"
            )
        for schedule in entry.schedule:
            _check_schedule(config, at, entry.classifier, model, schedule)


def _check_schedule(config: Grid, at: str, classifier: str, model: str, schedule: str) -> None:
    """Refuse a classifier of another process than that of a model."""
    learnt = config.classifiers[classifier].schedule
    sampled, own = config.schedule_of(model, schedule), config.schedule(learnt)
    if own.model_dump() == sampled.model_dump():
        return
    raise ValueError(
        f"{at}.classifier: classifiers.{classifier} has learnt the noise of {own.model_dump()}, "
        f"and models.{model} has {sampled.model_dump()}: one of its schedule would do"
    )
