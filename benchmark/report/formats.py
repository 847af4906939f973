"""A table as CSV, at full precision, and as Markdown and LaTeX, where numbers are rounded."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import pandas as pd

from benchmark.core.values import Value

FEW = "†"  # marks a distance of fewer images than the covariance needs
BUSY = "‡"  # marks a time that was taken while the machine was busy
LINES_ON_A_PAGE = 35  # the most lines of a LaTeX table that fit on one page
LETTERS_ACROSS = 130  # the most letters in a line of a page's width that can still be read
LETTERS_PER_CM = 6
# Keys of columns that hold whole numbers alone, in every table.
COUNTS = frozenset(
    {"answers", "budget", "busy_jobs", "claim", "classes", "compared", "dimensions", "images"}
    | {"jobs", "n", "probes", "report_n_fake", "report_resolution", "resolution", "samples", "seed"}
    | {"steps", "threads", "trained_steps"}
)
# Begins a box that shrinks a table to the width of a line if it is wider.
FIT = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"


@dataclass(frozen=True)
class Marked:
    """A value with a mark beside it in Markdown and LaTeX; the CSV has the value alone."""

    value: Value
    mark: str


TableEntry = str | int | float | Value | Marked | None


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        key: name of the column in the CSV.
        heading: its name for readers; None: the column is in the CSV alone.
        number: whether its entries are aligned to the right.
        group: words above the headings of neighbouring columns.
        width: width in LaTeX, to which texts are broken into lines.
        printed: whether the column is in Markdown and LaTeX too, whose pages are narrow.
        spans_powers: whether values span powers of ten, as times do. Then each is rounded to three
            digits, and otherwise all to the same number of decimals.
    """

    key: str
    heading: str | None
    number: bool = True
    group: str = ""
    width: str = ""
    printed: bool = True
    spans_powers: bool = False

    @property
    def title(self) -> str:
        """Its heading, with the words of its group before it."""
        return f"{self.group} {self.heading or ''}".strip()


@dataclass(frozen=True)
class Table:
    """A table in no format yet.

    Attributes:
        name: its name.
        caption: what it holds, in at most three short lines.
        columns: its columns.
        rows: the entries of each row by the keys of columns.
        legend: how to read it.
        below: further lines of Markdown, between the table and its legend.
        prints: tells which rows are in Markdown and LaTeX too; others are in the CSV alone.
    """

    name: str
    caption: list[str]
    columns: list[Column]
    rows: list[dict[str, TableEntry]]
    legend: list[str] = field(default_factory=list)
    below: list[str] = field(default_factory=list)
    prints: Callable[[dict[str, TableEntry]], bool] = lambda _: True

    @property
    def shown(self) -> list[Column]:
        """The columns for readers; Markdown and LaTeX have those of them that are `printed`."""
        return [column for column in self.columns if column.heading is not None]

    def for_print(self) -> Table:
        """Return the table with those columns and rows only that are printed."""
        columns = [column for column in self.columns if column.printed]
        return replace(self, columns=columns, rows=[row for row in self.rows if self.prints(row)])

    def without_empty_columns(self) -> Table:
        """Return the table with those columns only that have an entry, if any has."""
        empty = self.frame.isin([None, ""]).all()
        found = [column for column in self.columns if not empty[column.key]]
        return replace(self, columns=found or self.columns)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The entries as they were given, and None for a missing one."""
        keys = list(dict.fromkeys(column.key for column in self.columns))
        entries = pd.DataFrame(self.rows, columns=keys, dtype=object)
        return entries.where(entries.notna(), None)

    def texts(self) -> pd.DataFrame:
        """Return the rounded text of every entry, in columns as `shown`; a missing one is empty."""
        texts = [_texts(column, self.frame[column.key].tolist()) for column in self.shown]
        return pd.DataFrame(dict(enumerate(texts)), dtype=object)


def to_csv(table: Table) -> str:
    """Return all columns as CSV at full precision; uncertainties have columns of their own."""
    return _parts_of(table).to_csv(index=False, lineterminator="\n")


def frame_of(table: Table) -> pd.DataFrame:
    """Return what the CSV of a table has, with the types that its columns have.

    Counts are Int64, other columns of numbers Float64, and texts string, whatever they hold; what
    is missing is NA. A column of numbers that has a text too, as a batch of several sizes, is of
    texts.
    """
    found = _parts_of(table).replace("", None)
    texts = {column.key for column in table.columns if not column.number}
    kinds = {}
    for name in found.columns:
        is_text = name in texts or any(isinstance(entry, str) for entry in found[name])
        kinds[name] = "string" if is_text else "Int64" if name in COUNTS else "Float64"
    return found.astype(kinds)


def to_markdown(table: Table) -> str:
    """Return a table in Markdown: its caption, a line for each row, and its legend."""
    first, *more = [markdown_escape(line) for line in table.caption] or [""]
    parts = ["\n".join([f"**{markdown_escape(table.name)}.** {first}", *more])]
    if not table.rows or any(map(table.prints, table.rows)):
        parts.append("\n".join(markdown_lines(table)))
    lists = [lines for lines in (table.below, table.legend) if lines]
    parts += ["\n".join(f"- {markdown_escape(line)}" for line in lines) for lines in lists]
    return "\n\n".join(parts) + "\n"


def markdown_lines(table: Table) -> list[str]:
    """Return the lines of a table in Markdown, its head first, without caption and legend."""
    table = table.for_print()
    texts = table.texts()
    columns = [_markdown_column(column, texts[i]) for i, column in enumerate(table.shown)]
    return [f"| {' | '.join(cells)} |" for cells in zip(*columns, strict=True)]


def to_latex(table: Table) -> str:
    r"""Return a table for `\input`, no wider than the line.

    It is turned by 90° if it is too wide to be read on an upright page, and spans several pages if
    it is longer than one. It needs booktabs, graphicx, longtable, lscape and rotating.
    """
    table = table.for_print().without_empty_columns()
    title, *notes = [latex_escape(text) for text in [*table.caption, *table.legend]] or [""]
    caption = rf"\caption{{\textbf{{{latex_escape(table.name)}.}} {title}}}"
    label = rf"\label{{tab:{table.name}}}"
    columns = "".join(map(_alignment, table.shown))
    header = [latex_escape(column.heading or "") for column in table.shown]
    head = [r"\toprule", *_latex_groups(table.shown), _latex_line(header), r"\midrule"]
    texts = table.texts().map(latex_escape).replace("", "--")
    body = [_latex_line(line) for line in texts.itertuples(index=False)]
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
    """Return text that Markdown shows unchanged, on one line; intervals stay as they are."""
    parts = _INTERVAL.split(" ".join(text.splitlines()))
    parts[::2] = [re.sub(r"([\\|*_`<\[\]])", r"\\\1", part) for part in parts[::2]]
    return "".join(parts)


_INTERVAL = re.compile(r"(\[−?[\d.]+, −?[\d.]+\](?![(\[:]))")


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
    """Return text that LaTeX prints unchanged, on one line."""
    return "".join(LATEX.get(character, character) for character in " ".join(text.splitlines()))


FORMATS: dict[str, Callable[[Table], str]] = {"csv": to_csv, "md": to_markdown, "tex": to_latex}


def significant(number: float, digits: int = 3) -> str:
    """Return a number to so many significant digits, never with an exponent."""
    return f"{number:.{_places(number, digits)}f}"


def value_text(value: Value, decimals: int | None = None, mark: str = "") -> str:
    """Return a value with its interval or error; `decimals` None: as many as give three digits."""
    if decimals is None:
        decimals = _places(value.value, 3)
    text = f"{value.value:.{decimals}f}{mark}"
    if value.low is not None and value.high is not None:
        text += f" [{value.low:.{decimals}f}, {value.high:.{decimals}f}]"
    elif value.std_error is not None:
        text += f" ± {value.std_error:.{decimals}f}"
    return _minus(text)


def _parts_of(table: Table) -> pd.DataFrame:
    """Return all columns, and any uncertainties in columns of their own."""
    parts: dict[str, list[TableEntry]] = {}
    for column in table.columns:
        parts |= _parts(column.key, table.frame[column.key])
    return pd.DataFrame(parts, dtype=object)


def _parts(key: str, entries: Iterable[TableEntry]) -> dict[str, list[TableEntry]]:
    """Return the columns of the CSV for one column: values, and any uncertainties."""
    plain = [_unmarked(entry) for entry in entries]
    values = [entry if isinstance(entry, Value) else None for entry in plain]
    found: dict[str, list[TableEntry]] = {
        key: [entry.value if isinstance(entry, Value) else entry for entry in plain]
    }
    for part in ("std_error", "low", "high"):
        numbers = [value and getattr(value, part) for value in values]
        if any(number is not None for number in numbers):
            found[f"{key}_{part}"] = numbers
    return found


def _markdown_column(column: Column, texts: Iterable[str]) -> list[str]:
    """Return the lines of a column, all equally wide: its head, the rule below it and its texts."""
    head = column.title
    cells = [markdown_escape(text) or "–" for text in texts]
    width = max(map(len, [head, *cells, "---:"]))
    rule = "-" * (width - 1) + ":" if column.number else "-" * width
    pad = str.rjust if column.number else str.ljust
    return [pad(head, width), rule, *(pad(cell, width) for cell in cells)]


def _letters(table: Table) -> int:
    """Return roughly how many letters a line of a table has in LaTeX."""
    texts = table.texts()
    return sum(
        LETTERS_PER_CM * int(column.width.removesuffix("cm"))
        if column.width
        else 2 + max(map(len, [*texts[i], *(column.heading or "").split()]), default=0)
        for i, column in enumerate(table.shown)
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


def _texts(column: Column, entries: Sequence[TableEntry]) -> list[str]:
    decimals = None if column.spans_powers else _decimals(entries)
    return [_text(entry, decimals) for entry in entries]


def _text(entry: TableEntry, decimals: int | None) -> str:
    """Return the text of an entry; `decimals` is for values, None: as many as give three digits."""
    if entry is None:
        return ""
    if isinstance(entry, Marked):
        return value_text(entry.value, decimals, entry.mark)
    if isinstance(entry, Value):
        return value_text(entry, decimals)
    return _minus(significant(entry) if isinstance(entry, float) else str(entry))


def _unmarked(entry: TableEntry) -> TableEntry:
    return entry.value if isinstance(entry, Marked) else entry


def _minus(text: str) -> str:
    return re.sub(r"(?<![^ \[])-(?=\d)", "−", text)


def _decimals(entries: Iterable[TableEntry]) -> int:
    """Return the number of decimals of a column, from the median of what its values ask for.

    A value asks for four significant digits. If it is smaller than its uncertainty, three of this
    are enough: a share of 0 has one too.
    """
    values = [entry for entry in map(_unmarked, entries) if isinstance(entry, Value)]
    asked = [places for value in values if (places := _asked_places(value)) is not None]
    return int(statistics.median(asked)) if asked else 0


def _asked_places(value: Value) -> int | None:
    """Return how many decimals a value asks for; None: it is zero without any uncertainty."""
    ends = [end for end in (value.low, value.high) if end is not None]
    unsure = max([abs(end - value.value) for end in ends] + [value.std_error or 0.0])
    if abs(value.value) >= unsure:
        return _places(value.value, 4) if value.value else None
    return _places(unsure, 3)


def _places(number: float, digits: int) -> int:
    return max(0, digits - 1 - math.floor(math.log10(abs(number)))) if number else 0
