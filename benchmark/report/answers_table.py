"""The table of inverse problems: how good the answers are, beside images that no network made."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from benchmark.core.canonical import canonical_json
from benchmark.records.record import Record
from benchmark.records.rows import Row
from benchmark.report.columns import identity, identity_entries, row_labels
from benchmark.report.formats import Column, Table, TableEntry
from benchmark.report.letters import letters
from benchmark.report.results_table import costs

LETTERS = Column("letters", "letters", number=False)
MEASURED = [
    Column("psnr", "PSNR dB"),
    LETTERS,
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
        told = letters([record.values["psnr"] for record in found])
        for row, record, letter in zip(same, found, told, strict=True):
            lines.append(
                {
                    **identity_entries(row, label(row), row.metrics),
                    **record.values,
                    **costs(row),
                    "letters": letter,
                }
            )
        lines += _controls(same[0], found[0])
    columns = [*identity(mine), *MEASURED]
    return Table(
        "answers", ["Answers to questions about held-out images."], columns, lines, _LEGEND
    )


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
    "questions were asked the same; those that share a letter cannot be told apart by their PSNR.",
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
