"""Measure features of samples, or of held-out images, against those of the training images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.config import Config
from benchmark.data import load as load_data
from benchmark.extractors import EXTRACTORS
from benchmark.metrics import METRICS
from benchmark.paths import HELD_OUT, Run
from benchmark.records import Protocol, Record, Stopwatch, provenance, spec_hash


def load_features(
    config: Config, subject: str, run: Run
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the features of a cell or of held-out images, n×d, and of the training images, m×d."""
    name = config.dataset_of(subject)
    real = np.load(run.features(config.evaluation.extractor, name), mmap_mode="r")
    splits = load_data(run.data(name)).manifest.splits
    if subject.startswith(HELD_OUT):
        own = real[splits.held_out.start : splits.held_out.stop]
    else:
        own = np.load(run.features(config.evaluation.extractor, subject))
    return own, real[splits.train.start : splits.train.stop]


def stage(config: Config, subject: str, run: Run) -> Record:
    """Compute every metric of the config for a subject and write the record.

    Raises:
        BenchmarkError: a metric cannot be computed from these features.
    """
    watch = Stopwatch()
    own, train = load_features(config, subject, run)
    dataset = config.dataset_of(subject)
    values = {
        name: METRICS.get(options.kind)(own, train, **options.keywords())
        for name, options in config.evaluation.metrics.items()
    }
    spec = config.evaluate_spec(subject)
    record = Record(
        kind="metrics",
        id=subject,
        spec=spec,
        spec_hash=spec_hash(spec),
        provenance=provenance(watch),
        cell=None if subject.startswith(HELD_OUT) else config.cell(subject),
        protocol=protocol(config, subject, run, n_fake=len(own)),
        values=values,
        facts={"dataset": dataset},
    )
    record.write(run.record("metrics", subject))
    return record


def protocol(config: Config, subject: str, run: Run, n_fake: int) -> Protocol:
    """Return how distances between a subject and the training images are measured."""
    extractor = EXTRACTORS[config.evaluation.extractor]
    train = load_data(run.data(config.dataset_of(subject))).manifest.splits.train
    return Protocol(
        extractor=extractor.name,
        label=extractor.label,
        weights_sha256=extractor.weights.sha256,
        preprocessing=extractor.preprocessing,
        dimension=extractor.dimension,
        n_real=train.stop - train.start,
        n_fake=n_fake,
        real_sha256=train.sha256,
    )
