"""Tables and pictures of a run in documents: a Markdown file marks where they stand.

A table stands between two comments, and a picture below one:

    <!-- results/steer: table answers, columns task method psnr, where task deblur -->
    <!-- end -->

    <!-- results/steer: picture plots/guidance.png as guidance.png -->
    ![Distance against the scale](guidance.png)

In place of `where`, `without` leaves such rows out. A PNG has fewer bytes with few colours:
`as guidance.png, 64 colours`.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import nearest_names, shown
from benchmark.records.published import read_published
from benchmark.records.record import read_records
from benchmark.report.claims import read_claims
from benchmark.report.formats import Table, markdown_lines
from benchmark.report.tables import all_tables
from benchmark.storage.atomic import write_bytes, write_text
from benchmark.storage.paths import CLAIMS, Run
from benchmark.storage.run_files import open_run

_MARK = re.compile(r"^<!-- results/(?P<run>[\w.-]+): (?P<what>[^\n]*?) *-->$", re.M)
_END = "<!-- end -->"
_FENCE = re.compile(r"^ {0,3}```", re.M)  # begins or ends a block of code
MOST_COLOURS = 256  # of a PNG with a palette
_KEYS = r"[\w.+-]+"
_TABLE = re.compile(
    rf"table (?P<name>{_KEYS})(?:, columns (?P<columns>{_KEYS}(?: {_KEYS})*))?"
    rf"(?:, (?P<rule>where|without) (?P<key>{_KEYS}) (?P<value>[^,]+))?"
    r"(?:, first (?P<first>\d+))?"
)
_PICTURE = re.compile(
    r"picture (?P<path>[\w./+=-]+) as (?P<name>[\w.+=-]+)(?:, (?P<colours>\d+) colours)?"
)


@dataclass(frozen=True)
class _Mark:
    """A comment of a document that asks for something of a run.

    Attributes:
        where: file and line, with which messages begin.
        what: what it asks for.
        end: where the comment ends in the text.
    """

    where: str
    what: str
    end: int


def write_documents(run: Run, files: Sequence[Path], reference: Path | None) -> list[Path]:
    """Write the tables and pictures of a run into the documents that ask for them.

    Marks of other runs are left as they are. Nothing is written unless every mark of this run can
    be followed.

    Args:
        run: run folder or bundle; documents name it by the last part of its path.
        files: Markdown files. A picture is written beside the file that shows it.
        reference: CSV of published figures, which stand beside ours.

    Returns:
        The files written.

    Raises:
        BenchmarkError: a file has no mark of the run, or one that cannot be followed.
    """
    records, inside = read_records(run.root), open_run(run.root)
    made = all_tables(records, read_published(reference), read_claims(CLAIMS))
    tables = {table.name: table for table in made}
    texts, pictures = {}, {}
    for file in files:
        text = _read(file)
        name = run.root.resolve().name.removesuffix(".zip")
        for mark in reversed(_marks(file, text, name)):
            if found := _TABLE.fullmatch(mark.what):
                text = _between(mark, text, _table(mark.where, tables, found))
            elif found := _PICTURE.fullmatch(mark.what):
                if found["path"] not in inside.matching(found["path"]):
                    raise BenchmarkError(f"{mark.where}: the run has no {found['path']}")
                content = inside.read(found["path"])
                if found["colours"]:
                    content = _with_colours(mark.where, content, int(found["colours"]))
                pictures[file.parent / found["name"]] = content
            else:
                raise BenchmarkError(
                    f"{mark.where}: {shown(mark.what)} is no request: 'table NAME', 'table NAME, "
                    "columns KEY KEY, where KEY VALUE, first 8' (or without in place of where), "
                    "'picture PATH as FILE' or "
                    "'picture PATH as FILE, 64 colours' would be one"
                )
        texts[file] = text
    for path, content in pictures.items():
        write_bytes(path, content)
    for path, text in texts.items():
        write_text(path, text)
    return [*pictures, *texts]


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BenchmarkError(f"{file}: cannot be read: {error}") from None


def _marks(file: Path, text: str, name: str) -> list[_Mark]:
    """Return the marks of a run in the order of the text; those in blocks of code are none."""
    found = [
        mark
        for mark in _MARK.finditer(text)
        if mark["run"] == name and len(_FENCE.findall(text, 0, mark.start())) % 2 == 0
    ]
    if not found:
        raise BenchmarkError(
            f"{file}: nothing asks for results/{name}: write a line '<!-- results/{name}: table "
            f"summary -->' where its table begins, and a line '{_END}' where it ends"
        )
    return [
        _Mark(f"{file}, line {text.count(chr(10), 0, mark.start()) + 1}", mark["what"], mark.end())
        for mark in found
    ]


def _table(where: str, tables: Mapping[str, Table], asked: re.Match[str]) -> list[str]:
    """Return the lines of a table: the rows and columns that are asked for, or all of its CSV."""
    name, chosen = asked["name"], (asked["columns"] or "").split()
    if name not in tables:
        raise BenchmarkError(f"{where}: no table {name}: {nearest_names(name, tables)}")
    table = replace(tables[name], prints=lambda _: True)
    by_key = {column.key: column for column in table.columns}
    for key in [*chosen, *filter(None, [asked["key"]])]:
        if key not in by_key:
            raise BenchmarkError(f"{where}: no column {key}: {nearest_names(key, by_key)}")
    if asked["key"]:
        entries = [str(row.get(asked["key"])) for row in table.rows]
        if asked["value"] not in entries:
            nearest = nearest_names(asked["value"], set(entries))
            raise BenchmarkError(f"{where}: no {asked['key']} is {asked['value']}: {nearest}")
        wanted = asked["rule"] == "where"
        both = zip(table.rows, entries, strict=True)
        table = replace(table, rows=[r for r, e in both if (e == asked["value"]) == wanted])
    if asked["first"]:
        table = replace(table, rows=table.rows[: int(asked["first"])])
    if chosen:
        columns = [by_key[key] for key in chosen]
        shown_too = [replace(c, printed=True, heading=c.heading or c.key) for c in columns]
        table = replace(table, columns=shown_too)
    return markdown_lines(table)


def _with_colours(where: str, content: bytes, colours: int) -> bytes:
    """Return a PNG with the nearest of so many colours in each pixel."""
    if not 2 <= colours <= MOST_COLOURS:
        raise BenchmarkError(f"{where}: {colours} colours: 2 to {MOST_COLOURS} would be right")
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
            few = picture.convert("RGB").quantize(colours, dither=Image.Dither.NONE)
    except UnidentifiedImageError:
        raise BenchmarkError(f"{where}: colours: only a PNG can have fewer") from None
    buffer = io.BytesIO()
    few.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _between(mark: _Mark, text: str, lines: Sequence[str]) -> str:
    """Return a text with lines between a mark and the end that belongs to it."""
    end, following = text.find(_END, mark.end), _MARK.search(text, mark.end)
    if end < 0 or (following and following.start() < end):
        raise BenchmarkError(f"{mark.where}: nothing says where the table ends: a line '{_END}'")
    return text[: mark.end] + "\n".join(["", "", *lines, "", ""]) + text[end:]
