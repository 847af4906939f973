"""The arrays of a subject, which is a cell or a control: its features, images and protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.data import load_dataset
from benchmark.records.record import Protocol, read_record
from benchmark.storage.arrays import open_array
from benchmark.storage.paths import Run

if TYPE_CHECKING:
    from benchmark.config.jobs.subject import Subject
    from benchmark.extractors import Extractor


def load_features(
    extractor: Extractor, subject: Subject, run: Run
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the features of a subject, n×d, and of the training images, m×d."""
    real = open_array(run.features(extractor.kind, subject.dataset))
    splits = load_dataset(run.data(subject.dataset)).manifest.splits
    if subject.is_held_out:
        own = real[splits.held_out.start : splits.held_out.stop]
    else:
        own = open_array(run.features(extractor.kind, subject.array))[subject.rows]
    return own, real[splits.train.start : splits.train.stop]


def train_labels(subject: Subject, run: Run) -> tuple[list[str], NDArray[np.integer]] | None:
    """Return names of classes, and the labels of the training images (m); None: there are none."""
    data = load_dataset(run.data(subject.dataset))
    if data.manifest.labels is None:
        return None
    assert data.train_labels is not None
    return list(data.manifest.labels.classes), data.train_labels


def load_labels(
    subject: Subject, run: Run
) -> tuple[list[str], NDArray[np.integer], NDArray[np.integer]] | None:
    """Return names of classes, labels of a subject (n) and of training images (m); None: none.

    Samples have those of which they were asked.
    """
    known = train_labels(subject, run)
    if known is None:
        return None
    names, of_train = known
    if subject.is_held_out:
        own = load_dataset(run.data(subject.dataset)).held_out_labels
        assert own is not None
        return names, own, of_train
    asked = read_record(run.record("sample", subject.name)).asked if subject.cell else None
    return None if asked is None else (names, np.array(asked.labels), of_train)


def load_images(subject: Subject, run: Run) -> NDArray[np.uint8]:
    """Return the images of a subject: uint8, n×H×W×C."""
    if subject.is_held_out:
        return load_dataset(run.data(subject.dataset), verify=True).held_out
    images: NDArray[np.uint8] = open_array(run.samples(subject.array))[subject.rows]
    return images


def protocol(extractor: Extractor, subject: Subject, run: Run, n_fake: int) -> Protocol:
    """Return what distances between a subject and the training images must share to be compared.

    Args:
        extractor: the extractor of the features.
        subject: the subject that is judged.
        run: the run that has the data set.
        n_fake: number of the subject's images.
    """
    train = load_dataset(run.data(subject.dataset)).manifest.splits.train
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
