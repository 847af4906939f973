"""The verdict of a run on each claim of the report: pure functions of the rows.

A claim is data (`config/reference/claims.yaml`): a sentence and the tests that must all pass. A
test asks whether a 95 % interval lies wholly inside a range, wholly outside of it, or neither.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from benchmark.core.values import Value
from benchmark.records.rows import Row
from benchmark.report.claims import Claims, Either, Test
from benchmark.report.measures import Lookup, UndecidedError, Verdict


@dataclass(frozen=True)
class Finding:
    """What one test of a claim found.

    Attributes:
        measure: what was measured.
        wanted: where the claim wants it.
        verdict: of this test alone.
        value: what was measured, with its 95 % interval.
        n: the images of each side, where distances were compared.
        settle: the samples of each cell with which the interval, if it shrinks as 1/√n and stays
            where it is, would lie on one side; None where it does, or where samples do not help.
        why: why there is no value.
        parts: what was found, where several tests stand for each other.
        rows: what was judged.
    """

    measure: str
    wanted: str
    verdict: Verdict
    value: Value | None = None
    n: int | None = None
    settle: float | None = None
    why: str = ""
    parts: tuple[Finding, ...] = ()
    rows: tuple[Row, ...] = ()


@dataclass(frozen=True)
class ClaimVerdict:
    """A claim with what its tests found."""

    number: int
    text: str
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """Contradicted if one test is, reproduced if all are."""
        return all_of(finding.verdict for finding in self.findings)

    @property
    def settle(self) -> float | None:
        """The samples of each cell with which the tests that say nothing would be settled."""
        needed = [f.settle for f in self.findings if f.settle is not None]
        return max(needed, default=None) if self.verdict is Verdict.CANNOT_TELL else None


def judge(claims: Claims, rows: Sequence[Row]) -> list[ClaimVerdict]:
    """Judge every claim by the rows of a run."""
    lookup = Lookup(rows, {name: cell.key for name, cell in claims.cells.items()})
    return [
        ClaimVerdict(
            number, claim.text, tuple(run(t, lookup, len(claim.tests)) for t in claim.tests)
        )
        for number, claim in enumerate(claims.claims, start=1)
    ]


def run(test: Test, lookup: Lookup, tests: int = 1) -> Finding:
    """Do one of the tests of a claim, of which there are `tests` in all."""
    if isinstance(test, Either):
        return _run_either(test, lookup, tests)
    blank = Finding(test.measure(lookup), test.wanted, Verdict.CANNOT_TELL)
    try:
        found = test.measured(lookup)
    except UndecidedError as reason:
        return replace(blank, verdict=reason.verdict, why=str(reason))
    return replace(
        blank,
        verdict=found.verdict(tests),
        value=found.value,
        n=found.n,
        settle=found.settle(tests),
        rows=tuple(found.rows),
    )


def all_of(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict on what several tests must all show."""
    found = set(verdicts)
    if Verdict.CONTRADICTED in found:
        return Verdict.CONTRADICTED
    return found.pop() if len(found) == 1 else Verdict.CANNOT_TELL


def any_of(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict on what one of several tests must show."""
    found = set(verdicts)
    if Verdict.REPRODUCED in found:
        return Verdict.REPRODUCED
    return found.pop() if len(found) == 1 else Verdict.CANNOT_TELL


def _run_either(test: Either, lookup: Lookup, tests: int) -> Finding:
    """Ask every alternative, each a list of tests."""
    tried = [
        ClaimVerdict(0, "", tuple(run(t, lookup, tests) for t in together))
        for together in test.either
    ]
    verdict = any_of(alternative.verdict for alternative in tried)
    parts = [finding for alternative in tried for finding in alternative.findings]
    needed = [alternative.settle for alternative in tried if alternative.settle is not None]
    numbers = map("({})".format, itertools.count(1))
    wanted = [" and ".join(next(numbers) for _ in alternative.findings) for alternative in tried]
    return Finding(
        measure=f"one of {len(tried)} that stand for each other",
        wanted=", or ".join(wanted),
        verdict=verdict,
        settle=min(needed, default=None) if verdict is Verdict.CANNOT_TELL else None,
        parts=tuple(parts),
        rows=tuple(row for finding in parts for row in finding.rows),
    )
