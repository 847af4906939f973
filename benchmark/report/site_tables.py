"""The tables and the verdicts, as the page of a run shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.core.values import Value
from benchmark.records.record import SIZED
from benchmark.report.formats import Column, Marked, Table, TableEntry
from benchmark.report.measures import Verdict
from benchmark.report.verdict_tables import evidence, samples
from benchmark.report.verdicts import ClaimVerdict, Finding

# Columns that the page shows only on demand.
MORE = {
    "seed",
    "nearest_min",
    "nearest_mean",
    "kth_mean",
    "seconds_per_step",
    "sample_seconds",
    "images_per_second",
    "batch",
    "threads",
    "device",
    "report_resolution",
    "report_n_fake",
}

_IDENTITY = ("schedule", "sampler", "steps")  # on a phone these stand below the first column

# The column of ours behind which each published column stands.
BESIDE = {"report_train_minutes": "train_minutes", "report_sample_minutes": "seconds_per_image"}


@dataclass(frozen=True)
class Head:
    """The head of a column."""

    text: str
    number: bool
    published: bool
    more: bool
    identity: bool
    wide: bool

    @property
    def classes(self) -> str:
        """Its classes in the page."""
        return " ".join(name for name, is_so in vars(self).items() if is_so is True)


@dataclass(frozen=True)
class _Item:
    """An entry of a table: its text, small text below it, and the text by which it is sorted."""

    text: str
    small: str
    sort: str


@dataclass(frozen=True)
class Shown:
    """A table of the page; `cells` has the id of each row's cell, which a control has not."""

    name: str
    caption: list[str]
    legend: list[str]
    heads: list[Head]
    rows: list[list[_Item]]
    cells: list[str]

    def identity(self, row: list[_Item]) -> str:
        """Return what distinguishes a row from others with the same name."""
        found = [item.text for head, item in zip(self.heads, row, strict=True) if head.identity]
        return ", ".join(filter(None, found))

    @property
    def has_more(self) -> bool:
        """Whether some columns are shown on demand only."""
        return any(head.more for head in self.heads)

    @property
    def has_published(self) -> bool:
        """Whether some columns are the report's own figures."""
        return any(head.published for head in self.heads)


@dataclass(frozen=True)
class StatedTest:
    """A test of a claim, as the page shows it; of its parts one must pass."""

    verdict: Verdict
    found: str
    wanted: str
    parts: list[StatedTest]


@dataclass(frozen=True)
class StatedClaim:
    """A claim, as the page shows it."""

    number: int
    text: str
    verdict: Verdict
    data: str
    report_data: str
    settle: str
    found: str
    tests: list[StatedTest]


def shown_table(table: Table) -> Shown:
    """Return a table with published figures beside ours, and with less important columns marked."""
    order = _beside(table.shown)
    aside = {c.key for c in order if table.frame[c.key].isin([None, ""]).all()}
    heads = [
        Head(
            column.title.replace("/", "/\N{ZERO WIDTH SPACE}"),
            column.number,
            bool(column.group),
            column.key in MORE | aside,
            column.key in _IDENTITY,
            bool(column.width),
        )
        for column in order
    ]
    texts = table.texts()
    items = [map(_item, texts[table.shown.index(c)], table.frame[c.key]) for c in order]
    lines = list(map(list, zip(*items, strict=True)))
    cells = [str(row.get("cell") or "") for row in table.rows]
    return Shown(table.name, table.caption, table.legend, heads, lines, cells)


def _beside(columns: Sequence[Column]) -> list[Column]:
    """Return the columns with each published one behind that of ours to which it belongs."""
    ours = [column for column in columns if not column.group]
    keys = [column.key for column in ours]
    distance = next(filter(_is_distance, keys), "")
    behind = {**BESIDE, "report_fid": distance}
    published = [column for column in columns if column.group]
    order = []
    for column in ours:
        order += [column, *(p for p in published if behind.get(p.key) == column.key)]
    return [*order, *(p for p in published if behind.get(p.key) not in keys)]


def _is_distance(key: str) -> bool:
    """Tell whether a column holds a Fréchet distance: FID, another FD, or one of fewer images."""
    return key == "distance" or key.startswith(("FID", "FD-", SIZED))


def _item(text: str, entry: TableEntry) -> _Item:
    value = entry.value if isinstance(entry, Marked) else entry
    number = value.value if isinstance(value, Value) else value
    main, opening, rest = text.partition(" [") if isinstance(value, Value) else (text, "", "")
    return _Item(main, f"[{rest}" if opening else "", "" if number is None else str(number))


def stated_claims(judged: Sequence[ClaimVerdict], table: Table) -> list[StatedClaim]:
    """Return every claim with its verdict, as the page shows it."""
    return [
        StatedClaim(
            number=claim.number,
            text=claim.text,
            verdict=claim.verdict,
            data=str(row["data"] or ""),
            report_data=str(row["report_data"] or ""),
            settle=samples(claim.settle) or "",
            found=_decisive(claim),
            tests=[_stated(finding) for finding in claim.findings],
        )
        for claim, row in zip(judged, table.rows, strict=True)
    ]


def _stated(finding: Finding) -> StatedTest:
    found = "" if finding.parts else evidence(finding)
    return StatedTest(finding.verdict, found, finding.wanted, list(map(_stated, finding.parts)))


def _decisive(claim: ClaimVerdict) -> str:
    """Return the result of the first test that has the same verdict as the claim."""
    tests = [part for finding in claim.findings for part in finding.parts or [finding]]
    same = [test for test in tests if test.verdict is claim.verdict] or tests
    return evidence(next((test for test in same if test.value), same[0]))
