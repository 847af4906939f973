"""The job that judges the answers of a cell to questions about held-out images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmark.config.jobs.base import RecordedJob
from benchmark.config.tasks import Task, modules_of

if TYPE_CHECKING:
    from benchmark.config.jobs.subject import Subject
    from benchmark.extractors import Extractor


@dataclass(frozen=True, kw_only=True)
class AnswersJob(RecordedJob):
    """Compare answers with the truth and with what was given, and draw some of them.

    Attributes:
        subject: cell whose samples are the answers.
        task: what was asked.
        extractor: extractor of the features in which distances to the truth are measured.
        panel_rows: number of questions that the panel shows.
    """

    kind = "answers"
    subject: Subject
    task: Task
    extractor: Extractor
    panel_rows: int

    def spec(self) -> dict[str, Any]:
        """Return all that the record depends on, except images."""
        assert self.subject.cell
        assert self.subject.cell.task
        return {
            "subject": self.name,
            "task": self.subject.cell.task.model_dump(mode="json"),
            "extractor": self.extractor.kind,
        }

    def compared(self) -> dict[str, Any]:
        """Return the specification, the cell of the record, and what the panel shows."""
        assert self.subject.cell
        return {
            **self.spec(),
            "cell": self.subject.cell.model_dump(mode="json"),
            "panel_rows": self.panel_rows,
        }

    def modules(self) -> list[str]:
        """Return the stage, the parts of the task and the extractor."""
        return [
            "benchmark.stages.answers",
            *modules_of(self.task),
            type(self.extractor).__module__,
        ]
