"""Measure features of samples, or of controls, against those of the training images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.arrays import open_array
from benchmark.config import Config, Subject
from benchmark.data import load as load_data
from benchmark.extractors import EXTRACTORS, Extractor
from benchmark.kept import kept
from benchmark.metrics import METRICS, takes_logits
from benchmark.metrics.frechet import GaussianStats, few, frechet_to, statistics
from benchmark.paths import CACHE, HELD_OUT, Run
from benchmark.records import Protocol, Record, Stopwatch, Value, provenance, spec_hash
from benchmark.registry import Options


def stage(config: Config, name: str, run: Run) -> list[Record]:
    """Compute every metric of the config for a cell, a control or all controls; write the records.

    Raises:
        BenchmarkError: a metric cannot be computed from these features.
    """
    records = [_evaluate(config, subject, run) for subject in config.judged(name)]
    for record in records:
        record.write(run.record("metrics", record.id))
    return records


def _evaluate(config: Config, subject: Subject, run: Run) -> Record:
    watch = Stopwatch()
    own, train = load_features(config, subject, run)
    # with many training images it takes longer than all else that a distance needs
    reference = kept(statistics, train, run.kept, GaussianStats)
    metrics = config.evaluation.metrics
    extractor = EXTRACTORS[config.evaluation.extractor]

    def measure(options: Options, fake: NDArray[np.float32]) -> Value:
        if options.kind == "frechet":
            return frechet_to(fake, reference, **options.keywords())
        if takes_logits(options.kind):
            fake = extractor.logits(fake, run.root.parent / CACHE / "weights")
        return METRICS.get(options.kind)(fake, train, **options.keywords())

    [distance] = [options for options in metrics.values() if options.kind == "frechet"]
    spec = config.evaluate_spec(subject)
    return Record(
        kind="metrics",
        id=subject.name,
        spec=spec,
        spec_hash=spec_hash(spec),
        values={name: measure(options, own) for name, options in metrics.items()},
        sized={size: measure(distance, own[:size]) for size in config.sizes(subject)},
        provenance=provenance(watch),
        cell=subject.cell,
        control=subject.control,
        protocol=protocol(extractor, subject, run, n_fake=len(own)),
        facts={
            "dataset": subject.dataset,
            "few": config.evaluation.few or few(extractor.dimension),
        },
    )


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
        extractor=extractor.name,
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
