"""The job that retrieves the nearest training images of a cell, a control or all controls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmark.config.jobs.base import Job

if TYPE_CHECKING:
    from benchmark.config.jobs.subject import Subject
    from benchmark.extractors import Extractor


@dataclass(frozen=True, kw_only=True)
class RetrieveJob(Job):
    """Find nearest training images and copies, and write a panel and a record for each subject.

    Attributes:
        subjects: cells and controls for which neighbours are retrieved.
        held_out: held-out images of their data set, with which suspected copies are compared.
        extractor: extractor of the features in which neighbours are near.
        neighbours: number of neighbours that are retrieved.
        panel_rows: number of samples that a panel shows.
    """

    subjects: tuple[Subject, ...]
    held_out: Subject
    extractor: Extractor
    neighbours: int
    panel_rows: int

    def spec_of(self, subject: Subject) -> dict[str, Any]:
        """Return all that the record of a subject depends on, except its images."""
        return {
            "subject": subject.name,
            "extractor": self.extractor.kind,
            "neighbours": self.neighbours,
        }

    def compared(self) -> dict[str, Any]:
        """Return the specifications of all records, and what the panels show."""
        return {
            "subjects": [self.spec_of(subject) for subject in self.subjects],
            "panel_rows": self.panel_rows,
        }

    def modules(self) -> list[str]:
        """Return the stage, the controls that are made, and the extractor."""
        made = [type(subject.made).__module__ for subject in self.subjects if subject.made]
        return ["benchmark.stages.retrieve", *made, type(self.extractor).__module__]
