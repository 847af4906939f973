"""The table of memorisation: how far samples lie from the training images."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmark.records.rows import Row
from benchmark.records.sections import Retrieved
from benchmark.report.captions import missing_lines
from benchmark.report.columns import (
    identity,
    identity_entries,
    named_values,
    row_labels,
    value_columns,
)
from benchmark.report.formats import Table, TableEntry


def neighbours_table(rows: Sequence[Row]) -> Table:
    """Return how far samples, and held-out images, lie from the training images."""
    mine = [row for row in rows if row.retrieval]
    label = row_labels(mine)
    return Table(
        "neighbours",
        ["Are samples copies? How far they lie from the training images, beside held-out images."],
        [*identity(mine), *value_columns([r.retrieval for r in mine])],
        [
            {
                **identity_entries(row, label(row), row.retrieval),
                **named_values(row.retrieval),
                **_accused(row),
            }
            for row in mine
        ],
        _legend(mine, label),
    )


def _accused(row: Row) -> dict[str, TableEntry]:
    """Return how many samples are accused, and how many are closest, as integers."""
    values = row.retrieval.values if row.retrieval else {}
    return {key: int(values[key].value) for key in ("accused", "closest") if key in values}


def _legend(rows: Sequence[Row], label: Callable[[Row], str]) -> list[str]:
    """Return how to read the figures of memorisation, and why some are missing."""
    judged = [
        (row.retrieval, row.retrieval.retrieved or Retrieved()) for row in rows if row.retrieval
    ]
    lines = [
        "Nearest: Euclidean distance in feature space from each image to the nearest training "
        "image. It says something only beside that of held-out images, which are real and were "
        "never trained on; of these each second one is compared with the others.",
        "Distance ratio: median of the nearest distances over that of held-out images. Closer "
        "share: excess of samples that lie closer than held-out images, 0 to 1. C_T: below 0, "
        "samples lie closer than held-out images. AuthPct: % of samples that lie farther from "
        "their training image than its neighbour does.",
    ]
    lines += [
        "Accused: samples whose calibrated distance to a training image in pixels, flips and "
        f"near-duplicates allowed for, is too small by chance; of these at most {rate:.0%} are "
        "innocent on average."
        for rate in dict.fromkeys(found.false_discovery_rate for _, found in judged)
        if rate is not None
    ]
    blind: dict[int, set[int]] = {}  # numbers of images of rows, by that of the copies
    for record, found in judged:
        if record.protocol and found.least_accused not in (None, 1):
            blind.setdefault(found.least_accused, set()).add(record.protocol.n_fake)
    if blind:
        least = "; ".join(
            f"{n} of {' or '.join(map(str, sorted(blind[n])))}" for n in sorted(blind)
        )
        lines.append(f"Fewer copies than these in a row are not accused: {least} images.")
    if any(found.closest is not None for _, found in judged):
        lines.append(
            "Closest: how many have a smaller calibrated distance than every held-out image; p: "
            "the chance of so many where none is a copy, small also where copies are too few to "
            "be accused."
        )
    planted = {name: share for _, found in judged for name, share in found.accused_of.items()}
    if planted:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in planted.items())
        lines.append(f"Accused of the planted copies: {shares}.")
    return lines + missing_lines((label(row), row.retrieval) for row in rows)
