"""The table of classes: do samples look like the class of which they were asked?"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from benchmark.core.values import Value
from benchmark.metrics.uncertainty import wilson
from benchmark.records.rows import Row
from benchmark.records.sections import ClassFigures
from benchmark.report.columns import identity, identity_entries, row_labels
from benchmark.report.formats import Column, Table, TableEntry

NAME = "classes"
ALL = "all"
_HIDDEN = {"samples"}  # n is that of the class


def has_classes(rows: Sequence[Row]) -> bool:
    """Tell whether samples of any cell were asked for by class, and judged."""
    return any(row.cell and row.metrics and row.metrics.by_class for row in rows)


def classes_table(rows: Sequence[Row]) -> Table:
    """Return accuracy and distance of all samples, and of those of each class, of each cell."""
    mine = [row for row in rows if row.metrics and row.metrics.by_class]
    label = row_labels(mine)
    distance = next((row.protocol.label for row in mine if row.protocol), "")
    content = [
        {**identity_entries(row, label(row), row.metrics), **entries}
        for row in mine
        for entries in _lines(row)
    ]
    columns = [
        *(column for column in identity(mine) if column.key not in _HIDDEN),
        Column("class", "class", number=False),
        Column("images", "n"),
        Column("accuracy", "accuracy"),
        Column("distance", distance),
    ]
    title = "Do samples look like the class of which they were asked?"
    return Table(NAME, [title], columns, content, _legend(distance))


def _lines(row: Row) -> Iterator[dict[str, TableEntry]]:
    """Yield the entries of all images of a row, and then those of each class."""
    assert row.metrics
    assert row.metrics.by_class
    figures = row.metrics.by_class
    whole = accuracy_of(figures.values())
    images = sum(found.images for found in figures.values())
    yield {"class": ALL, "images": images, "accuracy": whole, "distance": row.distance}
    for name, found in figures.items():
        yield {
            "class": name,
            "images": found.images,
            "accuracy": found.accuracy,
            "distance": found.distance,
        }


def accuracy_of(figures: Collection[ClassFigures]) -> Value:
    """Return the accuracy over images of several classes, with Wilson's 95 % interval."""
    count = sum(each.images for each in figures)
    share = sum(each.images * each.accuracy.value for each in figures) / count
    low, high = wilson(share, count)
    return Value(value=share, low=low, high=high)


def _legend(distance: str) -> list[str]:
    return [
        "Accuracy is the share that a judge takes for it: a linear classifier of the extractor's "
        "features, fitted to the training images alone, which has seen no sample. Real images "
        "reach what the held-out images do.",
        f"{distance} of a class is from its training images. It depends on n, so that only rows of "
        "equal n can be compared.",
    ]
