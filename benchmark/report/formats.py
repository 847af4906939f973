"""A table as CSV, Markdown and LaTeX: full precision in the first, rounded in the other two."""

from __future__ import annotations

import csv
import io
import math
import re
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from benchmark.core.values import Value

FEW = "†"  # of fewer images than their covariance needs
BUSY = "‡"  # a time that was taken while the machine was busy
LINES_ON_A_PAGE = 35  # of LaTeX
LETTERS_ACROSS = 130  # that can still be read in a line of a page's width
LETTERS_PER_CM = 6
FIT = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"


@dataclass(frozen=True)
class Marked:
    """A value with a mark beside it in Markdown and LaTeX; the CSV has the value alone."""

    value: Value
    mark: str


TableEntry = str | int | float | Value | Marked | None


@dataclass(frozen=True)
class Column:
    """A column: its name in the CSV, and in Markdown and LaTeX, where None leaves it out.

    LaTeX leaves it out too where it is not for print, since a page is narrow; there the texts of a
    column with a `width` are broken into lines. Values that span powers of ten, as times do, are
    rounded to three digits each, and not to as many decimals as the others.
    """

    key: str
    heading: str | None
    number: bool = True
    group: str = ""
    width: str = ""
    printed: bool = True
    spans_powers: bool = False


@dataclass(frozen=True)
class Table:
    """A table before it takes a format; a row maps the columns' keys to their entries."""

    name: str
    caption: list[str]
    columns: list[Column]
    rows: list[dict[str, TableEntry]]

    @property
    def shown(self) -> list[Column]:
        """The columns of Markdown, of which LaTeX has the printed ones."""
        return [column for column in self.columns if column.heading is not None]

    def texts(self) -> list[list[str]]:
        """Return the rounded text of every shown entry, row by row; missing ones are empty."""
        decimals = {
            c.key: None if c.spans_powers else _decimals(row.get(c.key) for row in self.rows)
            for c in self.shown
        }
        return [
            [_text(row.get(column.key), decimals[column.key]) for column in self.shown]
            for row in self.rows
        ]


def to_csv(table: Table) -> str:
    """Return all columns at full precision; uncertainties stand in columns of their own."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    parts = {column.key: _parts(table, column) for column in table.columns}
    writer.writerow(
        [f"{key}_{part}" if part != "value" else key for key in parts for part in parts[key]]
    )
    for row in table.rows:
        writer.writerow([_part(row.get(key), part) for key in parts for part in parts[key]])
    return out.getvalue()


def to_markdown(table: Table) -> str:
    """Return the caption and a pipe table."""
    header = [f"{column.group} {column.heading}".strip() for column in table.shown]
    body = [[markdown_escape(text) or "–" for text in row] for row in table.texts()]
    widths = [max(map(len, [*column, "---:"])) for column in zip(header, *body, strict=True)]
    rule = [
        "-" * (width - 1) + ":" if column.number else "-" * width
        for width, column in zip(widths, table.shown, strict=True)
    ]
    lines = [_markdown_line(cells, widths, table.shown) for cells in (header, rule, *body)]
    caption = markdown_escape(" ".join(table.caption))
    return f"**{markdown_escape(table.name)}.** {caption}\n\n" + "\n".join(lines) + "\n"


def to_latex(table: Table) -> str:
    r"""Return a table for `\input`, no wider than the line.

    It is turned by 90° if it would be illegible across a page, and goes over several pages if it
    is longer than one. It needs booktabs, graphicx, longtable, lscape and rotating.
    """
    printed = [c for c in table.columns if c.printed and any(row.get(c.key) for row in table.rows)]
    table = replace(table, columns=printed or table.columns)
    title, *notes = [latex_escape(text) for text in table.caption] or [""]
    caption = rf"\caption{{\textbf{{{latex_escape(table.name)}.}} {title}}}"
    label = rf"\label{{tab:{table.name}}}"
    columns = "".join(map(_alignment, table.shown))
    header = [latex_escape(column.heading or "") for column in table.shown]
    head = [r"\toprule", *_latex_groups(table.shown), _latex_line(header), r"\midrule"]
    body = [_latex_line([latex_escape(t) or "--" for t in texts]) for texts in table.texts()]
    below = [rf"\par\smallskip{{\footnotesize\raggedright {' '.join(notes)}\par}}"] * bool(notes)
    if len(body) > LINES_ON_A_PAGE:
        start, end = (
            [r"\begin{landscape}\scriptsize\setlength{\tabcolsep}{3pt}"],
            [*below, r"\end{landscape}"],
        )
        first = [rf"\begin{{longtable}}{{{columns}}}", rf"{caption}{label} \\", *head]
        later = [r"\endfirsthead", *head, r"\endhead"]
        rows = [*first, *later, *body, r"\bottomrule", r"\end{longtable}"]
    else:
        environment = "sidewaystable" if _letters(table) > LETTERS_ACROSS else "table"
        start = [rf"\begin{{{environment}}}", r"\centering", caption, label, FIT]
        rows = [rf"\begin{{tabular}}{{{columns}}}", *head, *body, r"\bottomrule"]
        end = [r"\end{tabular}}", *below, rf"\end{{{environment}}}"]
    needed = "% needs booktabs, graphicx, longtable, lscape and rotating"
    return "\n".join([needed, *start, *rows, *end]) + "\n"


def markdown_escape(text: str) -> str:
    """Return text that Markdown prints as it is, on one line."""
    return re.sub(r"([\\|*_`<\[\]])", r"\\\1", " ".join(text.splitlines()))


LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "±": r"$\pm$",
    "×": r"$\times$",
    "−": "$-$",
    "†": r"$\dagger$",
    "‡": r"$\ddagger$",
    "σ": r"$\sigma$",
    "′": r"$'$",
    "√": r"$\surd$",
    ">": "$>$",
}


def latex_escape(text: str) -> str:
    """Return text that LaTeX prints as it is, on one line."""
    return "".join(LATEX.get(character, character) for character in " ".join(text.splitlines()))


FORMATS: dict[str, Callable[[Table], str]] = {"csv": to_csv, "md": to_markdown, "tex": to_latex}


def significant(number: float, digits: int = 3) -> str:
    """Return a number to so many significant digits, never with an exponent."""
    return f"{number:.{_places(number, digits)}f}"


def _parts(table: Table, column: Column) -> list[str]:
    values = [row.get(column.key) for row in table.rows]
    uncertainty = ("std_error", "low", "high")
    return ["value", *(part for part in uncertainty if any(_part(v, part) for v in values))]


def _part(entry: TableEntry, part: str) -> str:
    entry = _unmarked(entry)
    found = getattr(entry, part) if isinstance(entry, Value) else entry if part == "value" else None
    return "" if found is None else str(found)


def _markdown_line(cells: Sequence[str], widths: Sequence[int], columns: Sequence[Column]) -> str:
    padded = [
        cell.rjust(width) if column.number else cell.ljust(width)
        for cell, width, column in zip(cells, widths, columns, strict=True)
    ]
    return f"| {' | '.join(padded)} |"


def _letters(table: Table) -> int:
    """Return about how many letters a line of a table has in LaTeX."""
    columns = zip(*table.texts(), strict=True) if table.rows else [() for _ in table.shown]
    return sum(
        LETTERS_PER_CM * int(column.width.removesuffix("cm"))
        if column.width
        else 2 + max(len(text) for text in [*map(str, texts), *(column.heading or "").split()])
        for column, texts in zip(table.shown, columns, strict=True)
    )


def _alignment(column: Column) -> str:
    if column.width:
        return rf"p{{{column.width}}}"
    return "r" if column.number else "l"


def _latex_groups(columns: Sequence[Column]) -> list[str]:
    """Return the line above the header that spans the published columns."""
    grouped = [index for index, column in enumerate(columns, 1) if column.group]
    if not grouped:
        return []
    first, last = grouped[0], grouped[-1]
    span = rf"\multicolumn{{{last - first + 1}}}{{c}}{{{columns[first - 1].group}}}"
    return ["& " * (first - 1) + span + r" \\", rf"\cmidrule(lr){{{first}-{last}}}"]


def _latex_line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _text(entry: TableEntry, decimals: int | None) -> str:
    """Return the text of an entry; decimals: of a value, None: as many as give three digits."""
    if entry is None:
        return ""
    if isinstance(entry, Marked):
        return _value_text(entry.value, decimals, entry.mark)
    if isinstance(entry, Value):
        return _value_text(entry, decimals)
    return _minus(significant(entry) if isinstance(entry, float) else str(entry))


def _unmarked(entry: TableEntry) -> TableEntry:
    return entry.value if isinstance(entry, Marked) else entry


def _value_text(value: Value, decimals: int | None, mark: str = "") -> str:
    if decimals is None:
        decimals = _places(value.value, 3)
    text = f"{value.value:.{decimals}f}{mark}"
    if value.low is not None and value.high is not None:
        text += f" [{value.low:.{decimals}f}, {value.high:.{decimals}f}]"
    elif value.std_error is not None:
        text += f" ± {value.std_error:.{decimals}f}"
    return _minus(text)


def _minus(text: str) -> str:
    return re.sub(r"(?<![^ \[])-(?=\d)", "−", text)


def _decimals(entries: Iterable[TableEntry]) -> int:
    """Return the decimals that give a column's median four significant digits.

    Where a value is smaller than its uncertainty, that counts: a share of 0 has an interval too.
    """
    found = [entry for entry in map(_unmarked, entries) if isinstance(entry, Value)]
    sizes = [size for size in map(_size, found) if size]
    return _places(statistics.median(sizes), 4) if sizes else 0


def _size(value: Value) -> float:
    """Return the largest of a value, its standard error and half of its interval."""
    width = 0.0 if value.low is None or value.high is None else value.high - value.low
    return max(abs(value.value), width / 2, value.std_error or 0.0)


def _places(number: float, digits: int) -> int:
    return max(0, digits - 1 - math.floor(math.log10(abs(number)))) if number else 0
