"""Which cells of a large run are shown in pictures, and on a line of their own in plots."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, islice, zip_longest

from benchmark.records.record import Cell
from benchmark.records.rows import Row
from benchmark.report.ranking import rankings

MOST = 60  # pictures of one kind, and lines of a plot: nobody looks through more
RULE = "of each model in turn those with the lowest distance"


def chosen_cells(rows: Sequence[Row], most: int = MOST) -> list[Cell]:
    """Return the cells that are shown, in their order: all, or the best of each model in turn.

    Args:
        rows: the rows of cells that have a picture.
        most: the largest number of cells that is returned.

    Returns:
        All cells where there are at most so many. Else the best of each model, then the second
        best of each, and so on; those whose distance is not compared come after all others.
    """
    cells = [row.cell for row in rows if row.cell]
    if len(cells) <= most:
        return cells
    best = [entry.cell for ranking in rankings(rows) for entry in ranking.entries]
    by_model: dict[tuple[str, str], dict[str, Cell]] = {}
    for cell in chain(best, cells):
        by_model.setdefault((cell.dataset, cell.model), {}).setdefault(cell.id, cell)
    turns = chain.from_iterable(zip_longest(*(found.values() for found in by_model.values())))
    kept = {cell.id for cell in islice(filter(None, turns), most)}
    return [cell for cell in cells if cell.id in kept]


def chosen_rows(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of the cells that are shown, and all rows of controls, in their order."""
    kept = {cell.id for cell in chosen_cells([row for row in rows if row.cell])}
    return [row for row in rows if row.cell is None or row.cell.id in kept]


def left_out(shown: int, found: int, rule: str = RULE) -> str:
    """Return which cells are shown where not all are; else an empty text."""
    return "" if shown == found else f"{shown} of {found} cells, {rule}"
