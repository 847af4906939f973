"""The table of the classifiers of noisy images: how often are they right at each level of noise?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from benchmark.records.record import Record
from benchmark.report.formats import Column, Table, TableEntry

NAME = "classifiers"

_COLUMNS = [
    Column("classifier", "classifier", number=False),
    Column("dataset", "data", number=False),
    Column("schedule", "schedule", number=False),
    Column("classes", "classes"),
    Column("steps", "steps of training"),
    Column("noise", "σ/α", spans_powers=True),
    Column("time", None),
    Column("samples", "n"),
    Column("accuracy", "accuracy"),
]


def classifiers_table(records: Iterable[Record]) -> Table:
    """Return the accuracy on held-out images of each classifier, at each level of noise."""
    caption = [
        "How often are classifiers, whose gradients steer samples, right about held-out images "
        "with noise?",
        "σ/α is the noise for an image whose pixels are in the range of the process. Where nothing "
        "of an image can be seen, accuracy is that of guessing.",
    ]
    rows = [entries for record in records for entries in _levels(record)]
    return Table(NAME, caption, _COLUMNS, rows)


def _levels(record: Record) -> Iterator[dict[str, TableEntry]]:
    """Yield the entries of each level of noise of a classifier; of other records none."""
    section = record.classified
    for level in section.levels if section else []:
        assert section
        yield {
            "classifier": record.id,
            "dataset": section.dataset,
            "schedule": section.schedule,
            "classes": len(section.classes),
            "steps": section.steps,
            "noise": level.noise,
            "time": level.time,
            "samples": section.held_out,
            "accuracy": level.accuracy,
        }
