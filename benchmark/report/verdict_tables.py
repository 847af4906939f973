"""The verdicts as tables: a line for each claim, and a line for each of its tests."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Iterator, Sequence

from benchmark.core.values import Value
from benchmark.records.published import Key, Published, find_published
from benchmark.report.claims import Source
from benchmark.report.formats import FEW, Column, Table, TableEntry, significant
from benchmark.report.measures import Verdict
from benchmark.report.verdicts import ClaimVerdict, Finding

MOST = 50_000  # the number of samples for which FIDs are published

CLAIM = Column("claim", "claim")
VERDICT = Column("verdict", "verdict", number=False)
SETTLE = Column("samples_to_settle", "samples to settle it", number=False)
_CLAIMS = [
    CLAIM,
    VERDICT,
    SETTLE,
    Column("text", "the report says", number=False, width="9cm"),
    Column("data", "judged on", number=False, printed=False),
    Column("report_data", "the report's data", number=False, printed=False),
    Column("found", "found", number=False, printed=False),
    Column("figures", "found", number=False, printed=False),
]
FINDINGS = [
    CLAIM,
    Column("measure", "measured", number=False, width="4cm"),
    Column("wanted", "the claim wants", number=False, width="2cm"),
    Column("value", "found"),
    Column("n", "n"),
    VERDICT,
    SETTLE,
    Column("why", "remark", number=False, width="3cm"),
]
_READING = [
    "A claim is reproduced if the 95 % interval of every test lies where the claim wants it, "
    "contradicted if that of one test lies wholly elsewhere, once it is widened for the number of "
    "tests (Bonferroni).",
    f"{FEW}: of so few images that the bias of the distance dominates, though both sides have it.",
    "Samples to settle it: with so many in each cell an interval that shrinks as 1/√n and stays "
    "where it is would lie on one side; empty where samples alone do not help.",
]


def verdicts_table(
    judged: Sequence[ClaimVerdict], published: dict[Key, Published], report: Source | None = None
) -> Table:
    """Return a line for each claim, and below them what each test found.

    Those that were not run have lines in the CSV alone; the caption names them.

    Args:
        judged: the claims with their verdicts.
        published: the report's figures.
        report: what makes the claims.
    """
    rows: list[dict[str, TableEntry]] = [
        {
            "claim": claim.number,
            "text": claim.text,
            "verdict": claim.verdict,
            "data": _data(claim.findings),
            "report_data": _report_data(claim.findings, published),
            "found": "; ".join(summary(claim.findings)),
            "figures": "; ".join(figures(claim.findings)),
            "samples_to_settle": samples(claim.settle),
        }
        for claim in judged
    ]
    caption = [
        "What this run says about the claims of a report.",
        *([f"{report}."] if report else []),
        *_not_run(judged, "verdicts"),
    ]
    data = _data(finding for claim in judged for finding in claim.findings)
    legend = [f"Judged on {data}."] * bool(data) + _READING
    tests, tried = list(_tests(judged)), _tried(judged)
    return Table("verdicts", caption, _CLAIMS, rows, legend, tests, _is_one_of(tried))


def findings_table(judged: Sequence[ClaimVerdict]) -> Table:
    """Return a line for each test of each claim; alternatives follow the test that has them.

    Tests of claims that were not run have lines in the CSV alone.
    """
    rows = [
        {"claim": claim.number, **line}
        for claim in judged
        for finding in claim.findings
        for line in _lines(finding)
    ]
    caption = ["The tests behind the verdicts.", *_not_run(judged, "findings")]
    prints = _is_one_of(_tried(judged))
    return Table("findings", caption, FINDINGS, rows, _READING, prints=prints)


def _tried(judged: Iterable[ClaimVerdict]) -> set[int]:
    """Return the numbers of the claims of which something was run."""
    return {claim.number for claim in judged if claim.verdict is not Verdict.NOT_RUN}


def _is_one_of(claims: Container[TableEntry]) -> Callable[[dict[str, TableEntry]], bool]:
    """Return a function that tells whether a row is about one of some claims."""
    return lambda row: row["claim"] in claims


def _not_run(judged: Sequence[ClaimVerdict], table: str) -> list[str]:
    """Return the one line that names the claims that were not run, if there are any."""
    left = sorted({claim.number for claim in judged} - _tried(judged))
    if not left:
        return []
    claims = "claim" if len(left) == 1 else "claims"
    return [f"Not run: {claims} {_spans(left)}; {table}.csv has them too."]


def _spans(numbers: Sequence[int]) -> str:
    """Return numbers in their order as words: 3, 5 to 8."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][-1] + 1:
            spans[-1].append(number)
        else:
            spans.append([number])
    return ", ".join(f"{s[0]} to {s[-1]}" if len(s) > 1 else str(s[0]) for s in spans)


def _tests(judged: Iterable[ClaimVerdict]) -> Iterator[str]:
    """Yield a line for each test of the claims that were tried: what it found and should find."""
    for claim in judged:
        tried = claim.findings if claim.verdict is not Verdict.NOT_RUN else ()
        for finding in tried:
            for part in finding.parts or [finding]:
                yield f"{claim.number}: {part.verdict}: {evidence(part)}; wanted: {part.wanted}"


def _lines(finding: Finding, number: str = "") -> Iterator[dict[str, TableEntry]]:
    yield {
        "measure": f"{number} {finding.measure}".strip(),
        "wanted": finding.wanted,
        "value": finding.value,
        "n": finding.n,
        "verdict": finding.verdict,
        "samples_to_settle": samples(finding.settle),
        "why": finding.why,
    }
    for index, part in enumerate(finding.parts, 1):
        yield from _lines(part, f"({index})")


def summary(findings: Iterable[Finding]) -> list[str]:
    """Return what tests found, and why other tests found nothing, without repetitions."""
    plain = [part for finding in findings for part in finding.parts or [finding]]
    found = [evidence(finding) for finding in plain if finding.value]
    return list(dict.fromkeys([*found, *(f.why for f in plain if f.why)]))


def figures(findings: Iterable[Finding]) -> list[str]:
    """Return what tests found in short: a line for each quantity, with its figures in order."""
    plain = [part for finding in findings for part in finding.parts or [finding]]
    found: dict[str, list[str]] = {}
    for finding in plain:
        if finding.value:
            is_exact = finding.value.low == finding.value.high
            text = significant(finding.value.value) if is_exact else interval(finding.value)
            found.setdefault(finding.quantity, []).append(text)
    return [f"{quantity} {', '.join(texts)}" for quantity, texts in found.items()]


def evidence(finding: Finding) -> str:
    """Return what a test found, in one line."""
    if finding.value is None:
        return f"{finding.measure}: {finding.why}"
    few = max((row.few or 0 for row in finding.rows), default=0)
    mark = FEW if finding.n and finding.n < few else ""
    at = f" at n = {finding.n}{mark}" if finding.n else ""
    return f"{finding.measure} = {interval(finding.value)}{at}"


def interval(value: Value) -> str:
    """Return a value and its interval: three digits of the larger end, but at most 3 decimals.

    A value without an interval has three digits.
    """
    if value.low is None or value.high is None:
        return significant(value.value)
    largest = significant(max(abs(value.low), abs(value.high)))
    decimals = min(3, len(largest.partition(".")[2]))
    low, middle, high = (
        f"{round(x, decimals) + 0.0:.{decimals}f}" for x in (value.low, value.value, value.high)
    )
    return f"{middle} [{low}, {high}]".replace("-", "−")


def samples(needed: float | None) -> str | None:
    """Return a number of samples, rounded up to two digits."""
    if needed is None:
        return None
    if needed > MOST:
        return f"> {MOST}"
    unit = 10 ** max(0, math.floor(math.log10(needed)) - 1)
    return str(math.ceil(needed / unit) * unit)


def _data(findings: Iterable[Finding]) -> str:
    texts = [
        f"{row.dataset} at {row.cell.resolution}×{row.cell.resolution}"
        for finding in findings
        for row in finding.rows
        if row.cell
    ]
    labels = [
        row.protocol.label
        for finding in findings
        for found in (finding, *finding.parts)
        for row in found.rows
        if found.n and row.protocol
    ]
    return "; ".join(dict.fromkeys(texts + labels))


def _report_data(findings: Iterable[Finding], published: dict[Key, Published]) -> str:
    matched = [find_published(row.cell, published) for finding in findings for row in finding.rows]
    texts = [f"{p.dataset} at {p.resolution}×{p.resolution}" for p in matched if p]
    return "; ".join(dict.fromkeys(texts))
