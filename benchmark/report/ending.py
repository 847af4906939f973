"""What a terminal shows at the end of a run: where to look, the short table and the verdicts."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from benchmark.records.published import read_published
from benchmark.records.record import read_records
from benchmark.records.rows import collect, plain
from benchmark.report.claims import read_claims
from benchmark.report.formats import Column, Table
from benchmark.report.measures import Verdict
from benchmark.report.ranking import rankings
from benchmark.report.short_table import NAME, short_table
from benchmark.report.verdicts import judge
from benchmark.report.words import in_words
from benchmark.storage.paths import CLAIMS, Run

_GAP = "  "
# What a narrow terminal does without, in this order.
_LEFT_OUT = ("report_fid", "samples", "seconds_per_image", "schedule")


def ending(
    run: Run, reference: Path | None, width: int, most: int | None = None, claims: Path = CLAIMS
) -> list[str]:
    """Return the lines that a terminal shows of a run.

    Args:
        run: run folder or bundle, of which only the records are read.
        reference: CSV of published figures.
        width: letters of a line.
        most: settings that are shown; None: all.
        claims: file of the claims that are judged.

    Raises:
        BenchmarkError: there are no records, or the figures or the claims cannot be read.
    """
    rows = collect(read_records(run.root))
    table = short_table(rows, read_published(reference))
    shown = replace(table, rows=table.rows[:most])
    left = len(table.rows) - len(shown.rows)
    said = [first for ranking in rankings(rows) for first in in_words(ranking)[:2]]
    judged = Counter(claim.verdict for claim in judge(read_claims(claims), plain(rows)))
    return [
        *(line for text in said for line in _wrapped(text, width)),
        *(text_lines(shown, width) if shown.rows else [f"Tables: {run.tables(NAME)[1].parent}"]),
        *([f"and {left} more: {run.tables(NAME)[1]}"] if left else []),
        *(line for text in _verdicts(judged, run) for line in _wrapped(text, width)),
        *_wrapped(f"The page of the run: {run.site}", width),
    ]


def _wrapped(text: str, width: int) -> list[str]:
    """Return text as lines of at most `width` letters; a longer path stays whole."""
    return textwrap.wrap(text, width, break_on_hyphens=False, break_long_words=False)


def text_lines(table: Table, width: int) -> list[str]:
    """Return a table as lines of plain text, without columns for which there is no room.

    Where columns are left out, the last line says which.
    """
    table, left_out = table.for_print().without_empty_columns(), []
    lines = _aligned(table)
    for key in _LEFT_OUT:
        if max(map(len, lines)) <= width:
            break
        if gone := [column.title for column in table.columns if column.key == key]:
            left_out += gone
            table = replace(table, columns=[c for c in table.columns if c.key != key])
            lines = _aligned(table)
    if left_out:
        lines.append(f"(no room for {', '.join(left_out)})")
    return lines


def _aligned(table: Table) -> list[str]:
    texts = table.texts()
    columns = [_column(column, list(texts[i])) for i, column in enumerate(table.shown)]
    return [_GAP.join(cells).rstrip() for cells in zip(*columns, strict=True)]


def _column(column: Column, texts: list[str]) -> list[str]:
    cells = [column.title, *(text or "–" for text in texts)]
    width = max(map(len, cells))
    return [cell.rjust(width) if column.number else cell.ljust(width) for cell in cells]


def _verdicts(judged: Counter[Verdict], run: Run) -> Iterator[str]:
    """Yield how many of the report's claims have which verdict, of those that were tried."""
    tried = [verdict for verdict in Verdict if judged[verdict] and verdict is not Verdict.NOT_RUN]
    counts = [f"{judged[verdict]} {verdict}" for verdict in tried]
    if counts:
        yield f"The report's claims: {', '.join(counts)}: {run.tables('verdicts')[1]}"
