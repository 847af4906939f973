"""Compute the metrics of samples, or of controls, against the training images."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.core.values import Value
from benchmark.metrics.base import Features, Figures, Metric, check_pair
from benchmark.metrics.classes import Judge, trained_judge, with_labels
from benchmark.metrics.frechet import few
from benchmark.metrics.uncertainty import proportion
from benchmark.records.draft import Draft
from benchmark.records.record import Record, distance_at
from benchmark.records.sections import ClassFigures, JudgedAgainst
from benchmark.stages.image_sets import load_features, load_labels, protocol, train_labels
from benchmark.storage.cache import cached
from benchmark.storage.paths import CACHE, Run

if TYPE_CHECKING:
    from benchmark.config.jobs.evaluate import EvaluateJob
    from benchmark.config.jobs.subject import Subject


def stage(job: EvaluateJob, run: Run) -> list[Record]:
    """Compute every metric for each subject of a job, and write the records.

    If a metric cannot be computed from these features, the record has the reason in its place.

    Args:
        job: the subjects, a cell or all controls of a data set, and the metrics.
        run: the run that has their features.

    Raises:
        BenchmarkError: features or weights are missing or damaged.
    """
    records = [_evaluate(job, subject, run) for subject in job.subjects]
    for record in records:
        record.write(run.record("metrics", record.id))
    return records


def _evaluate(job: EvaluateJob, subject: Subject, run: Run) -> Record:
    draft = Draft("metrics", subject.name, job.spec_of(subject))
    metrics, extractor, sizes = job.metrics, job.extractor, job.sizes[subject.name]
    own, train = load_features(extractor, subject, run)

    cache = functools.partial(cached, folder=run.cached)

    @functools.cache
    def reference(metric: Metric) -> Any:
        return metric.reference(train, cache)

    def measure(metric: Metric, fake: Features) -> Value:
        return metric.compute(fake, reference(metric))

    @functools.cache
    def judged() -> NDArray[np.integer]:
        return _judged(subject, run, own, train)

    def measure_modes(metric: Metric) -> Value:
        check_pair(own, train)
        return metric.compute(*_classes(subject, run, judged()))

    found, sized = Figures({}, {}), Figures({}, {})
    for name, metric in metrics.items():
        if metric.takes == "classes":
            found.add(name, functools.partial(measure_modes, metric))
            continue
        fake = own
        if metric.takes == "logits":
            fake = extractor.logits(own, run.root.parent / CACHE / "weights")
        found.add(name, functools.partial(measure, metric, fake))
    [distance] = [metric for metric in metrics.values() if metric.is_distance]
    for size in sizes:
        sized.add(distance_at(size), functools.partial(measure, distance, own[:size]))
    return draft.record(
        values=found.values,
        sized={
            size: sized.values[distance_at(size)]
            for size in sizes
            if distance_at(size) in sized.values
        },
        missing=found.missing | sized.missing,
        by_class=_by_class(subject, run, own, train, distance, judged),
        cell=subject.cell,
        control=subject.control,
        protocol=protocol(extractor, subject, run, n_fake=len(own)),
        judged=JudgedAgainst(dataset=subject.dataset, few=job.few or few(extractor.dimension)),
    )


def _judged(subject: Subject, run: Run, own: Features, train: Features) -> NDArray[np.integer]:
    """Return the classes of images, N, by the judge that has seen the training images."""
    known = train_labels(subject, run)
    assert known is not None
    labelled = with_labels(train, known[1])
    return cached(trained_judge, labelled, kind=Judge, folder=run.cached).classify(own)


def _classes(subject: Subject, run: Run, judged: NDArray[np.integer]) -> tuple[Features, Features]:
    """Return the judge's verdicts on images, N×classes, and the labels of the data, M×classes."""
    known = train_labels(subject, run)
    assert known is not None  # the config was checked
    names, labels = known
    each: Features = np.eye(len(names))
    return each[judged], each[labels]


def _by_class(
    subject: Subject,
    run: Run,
    own: Features,
    train: Features,
    distance: Metric,
    judged: Callable[[], NDArray[np.integer]],
) -> dict[str, ClassFigures] | None:
    """Return the figures of each class that has images, by its name; None: there are no labels."""
    found = load_labels(subject, run)
    if found is None:
        return None
    names, labels, of_train = found
    cache = functools.partial(cached, folder=run.cached)

    def measure(fake: Features, real: Features) -> Value:
        return distance.compute(fake, distance.reference(real, cache))

    right = judged() == labels
    figures = {}
    for number, name in enumerate(names):
        mine = labels == number
        if not mine.any():
            continue
        measured = Figures({}, {})
        measured.add(name, functools.partial(measure, own[mine], train[of_train == number]))
        figures[name] = ClassFigures(
            images=int(mine.sum()),
            accuracy=proportion(right[mine]),
            distance=measured.values.get(name),
            missing=measured.missing.get(name),
        )
    return figures
