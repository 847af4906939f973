"""The job that evaluates a cell, a control or all controls of a data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmark.config.jobs.base import Job

if TYPE_CHECKING:
    from benchmark.config.jobs.subject import Subject
    from benchmark.extractors import Extractor
    from benchmark.metrics import Metric


@dataclass(frozen=True, kw_only=True)
class EvaluateJob(Job):
    """Compute all metrics, and write a record for each subject.

    Attributes:
        subjects: cells and controls that are evaluated.
        sizes: numbers of images, below that of a subject, at which the Fréchet distance is also
            measured, by the name of the subject.
        extractor: extractor of the features that are compared.
        metrics: metrics by the names of their columns.
        few: number of images below which a distance is marked; None: as many as the extractor
            needs.
    """

    subjects: tuple[Subject, ...]
    sizes: Mapping[str, list[int]]
    extractor: Extractor
    metrics: Mapping[str, Metric]
    few: int | None

    def spec_of(self, subject: Subject) -> dict[str, Any]:
        """Return all that the figures of a subject depend on, except its images."""
        metrics = {name: metric.model_dump(mode="json") for name, metric in self.metrics.items()}
        return {
            "subject": subject.name,
            "sizes": self.sizes[subject.name],
            "evaluation": {
                "extractor": self.extractor.kind,
                "metrics": metrics,
                "few": self.few,
            },
        }

    def compared(self) -> dict[str, Any]:
        """Return the specifications of all records, and the cells that stand in them."""
        return {
            "subjects": [self.spec_of(subject) for subject in self.subjects],
            "cells": [subject.cell.model_dump() for subject in self.subjects if subject.cell],
        }

    def modules(self) -> list[str]:
        """Return the stage, the metrics and the extractor."""
        metrics = [type(metric).__module__ for metric in self.metrics.values()]
        return ["benchmark.stages.evaluate", *metrics, type(self.extractor).__module__]
