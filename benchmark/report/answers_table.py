"""The table of inverse problems: how good the answers are, beside images that no network made."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from benchmark.core.canonical import canonical_json
from benchmark.core.values import Value
from benchmark.metrics.uncertainty import excludes_zero, paired_difference
from benchmark.records.record import Record
from benchmark.records.rows import Row
from benchmark.report.columns import identity, identity_entries, row_labels
from benchmark.report.formats import Column, Table, TableEntry
from benchmark.report.letters import letters
from benchmark.report.results_table import costs

LETTERS = Column("letters", "letters", number=False)
GAP = Column("psnr_gap", "PSNR less the best")
MEASURED = [
    Column("psnr", "PSNR dB"),
    LETTERS,
    GAP,
    Column("ssim", "SSIM"),
    Column("feature_distance", "feature distance"),
    Column("given_error", "error of the given"),
    Column("spread", "spread"),
    Column("nearer_to_training", "nearer to training"),
    Column("network_evaluations", "evaluations/image"),
    Column("seconds_per_image", "s/image", spans_powers=True),
]


def answers_table(rows: Sequence[Row]) -> Table:
    """Return how good the answers of all cells with a task are, with the controls of each task."""
    mine = sorted((row for row in rows if row.cell and row.cell.task and row.answers), key=_asked)
    label = row_labels(mine)
    lines: list[dict[str, TableEntry]] = []
    for _, group in groupby(mine, key=_asked):
        same = list(group)
        found = [row.answers for row in same if row.answers]
        for row, record, letter in zip(same, found, _letters(found), strict=True):
            lines.append(
                {
                    **identity_entries(row, label(row), row.metrics),
                    **record.values,
                    **costs(row),
                    "letters": letter,
                    GAP.key: _gap(record, found),
                }
            )
        lines += _controls(same[0], found[0])
    columns = [*identity(mine), *MEASURED]
    return Table(
        "answers", ["Answers to questions about held-out images."], columns, lines, _LEGEND
    )


def _letters(records: Sequence[Record]) -> list[str]:
    """Return the letters of records whose answers are to the same questions, by their PSNR."""
    values = [record.values["psnr"] for record in records]
    own = [_by_question(record) for record in records]
    if not all(own):  # records of earlier versions tell no single questions
        return letters(values)
    return letters(values, lambda i, j: excludes_zero(paired_difference(own[i], own[j])))


def _gap(record: Record, records: Sequence[Record]) -> Value | None:
    """Return by how much a PSNR differs from the best, question by question; None: it is that."""
    best = max(records, key=lambda each: each.values["psnr"].value)
    if record is best or not (_by_question(record) and _by_question(best)):
        return None
    return paired_difference(_by_question(record), _by_question(best))


def _by_question(record: Record) -> list[float]:
    return record.answered.psnr if record.answered else []


def _controls(row: Row, record: Record) -> list[dict[str, TableEntry]]:
    """Return the lines of the images that no network made, for the questions of a row."""
    assert row.cell
    assert row.cell.task
    assert record.answered
    common = {"dataset": row.dataset, "task": row.cell.task.question}
    return [
        {
            **common,
            "label": name.replace("-", " "),
            "samples": record.answered.questions,
            **values,
        }
        for name, values in record.answered.controls.items()
    ]


def _asked(row: Row) -> tuple[str, str, str, int]:
    """Return what rows have in common that answer the same questions."""
    assert row.cell
    assert row.cell.task
    cell, task = row.cell, row.cell.task
    questions = cell.samples // task.answers
    return cell.dataset, task.question, canonical_json(task.operator), questions


_LEGEND = [
    "Figures are means over questions of the means over the "
    "answers to one, with 95 % intervals over questions. Rows of one task with the same number of "
    "questions were asked the same. PSNR less the best: mean difference from the best of them, "
    "question by question. Those that share a letter cannot be told apart by such differences.",
    "PSNR, SSIM (Wang et al. 2004) and the Euclidean distance of features are between answer and "
    "truth. One answer in the middle of all that fit has a higher PSNR than any that is drawn from "
    "them. Error of the given: root mean square of A x - y, of pixels in [-1, 1]; that of the "
    "untouched image is the noise, and what rounding to grey levels makes. Spread: standard "
    "deviation of a pixel over the answers to one question. Nearer to training: share of answers "
    "that are nearer to a training image than to the truth, in pixels.",
    "Controls: the untouched image (the ceiling), the training image nearest by what is given, the "
    "mean of all training images, and the pseudo-inverse (the floors).",
    "Evaluations count forward passes and, as one more each, gradients for the image.",
]
