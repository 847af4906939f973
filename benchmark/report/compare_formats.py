"""A comparison of runs as text for a terminal, as Markdown, as an HTML page and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic_core import to_jsonable_python
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from benchmark.core.closure import TEMPLATES
from benchmark.report.compare import COMPARED, ComparedPair, Comparison, Figure
from benchmark.report.formats import Column, Table, TableEntry, markdown_escape, to_markdown

_PIPE_WIDTH = 1000  # characters, so that a row stays one line where the output is no terminal
MOST_TOLD = 8  # differences of specifications that a line names
STYLES = {"better": "green", "worse": "bold red", "not comparable": "yellow"}
EXPLAINED = (
    "Differences are the other run minus the first; [a, b] is a 95 % interval. Same: identical, or "
    "the interval of the difference lies within the threshold. Better, worse: it excludes 0, and "
    "the difference exceeds the threshold. Cannot tell: all else. Not comparable: it was measured "
    "otherwise, or timed while the machine was busy. Where nothing differs, one interval in twenty "
    "excludes 0 by chance."
)


@dataclass(frozen=True)
class Section:
    """What is shown of the comparison of two runs."""

    title: str
    lines: list[str]
    tables: list[Table]


def sections(comparison: Comparison) -> list[Section]:
    """Return what is shown of each pair: first the environment, then a table for each metric."""
    return [
        Section(
            title=f"{pair.other} against {pair.base}",
            lines=list(_lines(pair)),
            tables=[*_environment(pair), *_metrics(comparison, pair)],
        )
        for pair in comparison.pairs
    ]


def to_text(comparison: Comparison) -> str:
    """Return lines and tables as wide as this terminal, or unlimited for a pipe."""
    console = Console()
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    with console.capture() as printed:
        for section in sections(comparison):
            console.print(Text(section.title, "bold"))
            for line in section.lines:
                console.print(Text(line))
            for table in section.tables:
                console.print(Text(f"\n{table.name}. {' '.join(table.caption)}"))
                console.print(_grid(table))
            console.print()
        console.print(Text(EXPLAINED))
    return printed.get()


def to_page(comparison: Comparison) -> str:
    """Return one HTML page that needs no other files."""
    templates = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, autoescape=True
    )
    names = [comparison.pairs[0].base, *(pair.other for pair in comparison.pairs)]
    return templates.get_template("compare.html.jinja").render(
        title=f"Runs compared: {', '.join(names)}",
        sections=sections(comparison),
        explained=EXPLAINED,
    )


def to_document(comparison: Comparison) -> str:
    """Return the comparison as Markdown."""
    parts = []
    for section in sections(comparison):
        parts += [f"## {markdown_escape(section.title)}\n", *map(_paragraph, section.lines)]
        parts += [to_markdown(table) for table in section.tables]
    return "\n".join([*parts, _paragraph(EXPLAINED)])


def to_json(comparison: Comparison) -> str:
    """Return the comparison as JSON at full precision; null stands for a missing value."""
    return (
        json.dumps(to_jsonable_python(comparison), indent=1, sort_keys=True, ensure_ascii=False)
        + "\n"
    )


COMPARISON_FORMATS: dict[str, Callable[[Comparison], str]] = {
    "table": to_text,
    "md": to_document,
    "html": to_page,
    "json": to_json,
}


def _lines(pair: ComparedPair) -> Iterator[str]:
    """Yield how many figures have which mark, and what differs between the two runs."""
    counts = [f"{number} {mark}" for mark, number in pair.counts.items()]
    yield f"Figures: {', '.join(counts) or 'none'}."
    if not pair.counts.keys() & set(COMPARED):
        yield "Nothing could be compared."
    for what, cells in (
        (f"only in {pair.base}", pair.missing),
        (f"only in {pair.other}", pair.new),
    ):
        if cells:
            yield f"Cells {what}: {', '.join(cells)}."
    if pair.specs:
        parts = [f"{number} of {total} of {kind}" for kind, (number, total) in pair.specs.items()]
        yield f"Jobs that were specified otherwise: {', '.join(parts)}."
        shown, rest = pair.specified[:MOST_TOLD], len(pair.specified) - MOST_TOLD
        more = f"; and {rest} more" if rest > 0 else ""
        if shown:
            yield f"Specified otherwise: {'; '.join(shown)}{more}."
    if pair.untold:
        runs = " and ".join(pair.untold)
        yield f"Some times of {runs} do not tell whether the machine was busy: taken as quiet."
    if not pair.environment:
        yield "Machine and code: the same."


def _environment(pair: ComparedPair) -> list[Table]:
    if not pair.environment:
        return []
    columns = [Column("field", "field", number=False), *_named(pair, number=False)]
    rows: list[dict[str, TableEntry]] = [
        {"field": change.field, "base": change.base, "other": change.other}
        for change in pair.environment
    ]
    return [Table("Machine and code", ["What differs."], columns, rows)]


def _metrics(comparison: Comparison, pair: ComparedPair) -> Iterator[Table]:
    for key, name in comparison.metrics.items():
        figures = [figure for figure in pair.figures if figure.metric == key]
        if not figures:
            continue
        columns = [
            Column("cell", "cell", number=False),
            *_named(pair, number=True),
            Column("difference", "difference"),
            Column("mark", "mark", number=False),
        ]
        if any(figure.why for figure in figures):
            columns.append(Column("why", "why", number=False))
        caption = [f"{'Higher' if key in comparison.higher else 'Lower'} is better."]
        if key in comparison.thresholds:
            caption = [f"{caption[0]} Threshold: {comparison.thresholds[key]}."]
        yield Table(name, caption, columns, [_row(figure) for figure in figures])


def _named(pair: ComparedPair, number: bool) -> list[Column]:
    return [Column("base", pair.base, number=number), Column("other", pair.other, number=number)]


def _row(figure: Figure) -> dict[str, TableEntry]:
    return {
        "cell": figure.cell,
        "base": figure.base,
        "other": figure.other,
        "difference": figure.difference,
        "mark": figure.mark,
        "why": figure.why,
    }


def _grid(table: Table) -> Grid:
    grid = Grid(box=None, padding=(0, 1, 0, 0))
    for column in table.shown:
        heading = Text(column.heading or "")
        grid.add_column(heading, justify="right" if column.number else "left", overflow="fold")
    for texts in table.texts().itertuples(index=False):
        grid.add_row(*(Text(text, STYLES.get(text, "")) for text in texts))
    return grid


def _paragraph(text: str) -> str:
    return markdown_escape(text) + "\n"
