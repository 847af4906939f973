"""What is judged, as arrays: the features and images of a cell or a control, and the protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.data import load as load_data
from benchmark.records.record import Protocol
from benchmark.storage.arrays import open_array
from benchmark.storage.paths import HELD_OUT, Run

if TYPE_CHECKING:
    from benchmark.config.config import Config
    from benchmark.config.schema import Subject
    from benchmark.extractors import Extractor


def load_features(
    config: Config, subject: Subject, run: Run
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the features of a subject, n×d, and of the training images, m×d."""
    extractor = config.evaluation.extractor
    real = open_array(run.features(extractor, subject.dataset))
    splits = load_data(run.data(subject.dataset)).manifest.splits
    if _is_held_out(subject):
        own = real[splits.held_out.start : splits.held_out.stop]
    else:
        name, rows = _place(config, subject)
        own = open_array(run.features(extractor, name))[rows]
    return own, real[splits.train.start : splits.train.stop]


def load_images(config: Config, subject: Subject, run: Run) -> NDArray[np.uint8]:
    """Return the images of a subject: uint8, n×H×W×3."""
    if _is_held_out(subject):
        return load_data(run.data(subject.dataset), verify=True).held_out
    name, rows = _place(config, subject)
    images: NDArray[np.uint8] = open_array(run.samples(name))[rows]
    return images


def protocol(extractor: Extractor, subject: Subject, run: Run, n_fake: int) -> Protocol:
    """Return how distances between a subject and the training images are measured."""
    train = load_data(run.data(subject.dataset)).manifest.splits.train
    return Protocol(
        extractor=extractor.kind,
        label=extractor.label,
        weights_sha256=extractor.weights.sha256,
        preprocessing=extractor.preprocessing,
        dimension=extractor.dimension,
        n_real=train.stop - train.start,
        n_fake=n_fake,
        real_sha256=train.sha256,
    )


def _is_held_out(subject: Subject) -> bool:
    return subject.control is not None and subject.control.kind == HELD_OUT


def _place(config: Config, subject: Subject) -> tuple[str, slice]:
    """Return the array in which a cell or a made control lies, by its name, and the rows of it."""
    if subject.control is None:
        return subject.name, slice(None)
    count = config.control_count(subject.dataset)
    first = config.evaluation.controls.index(subject.control.kind) * count
    return config.controls_of(subject.dataset), slice(first, first + count)
