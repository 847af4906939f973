"""The verdict of a run on each claim of the report, computed from the rows alone.

A claim is a sentence and the tests that must all pass, read from `benchmark/reference/claims.yaml`.
A test asks whether a 95 % interval lies wholly inside a range, wholly outside of it, or neither.
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
    """The result of one test of a claim.

    Attributes:
        measure: words for what was measured.
        wanted: words for the range in which the claim wants it.
        verdict: verdict of this test alone.
        value: measured number with its 95 % interval.
        n: number of images of each side, if distances were compared.
        settle: number of samples of each cell that would decide the test, if the interval shrinks
            as 1/√n and its middle stays; None: it is decided, or more samples would not help.
        why: why there is no value.
        parts: results of the alternatives, of which one must pass.
        rows: rows that were judged.
        quantity: what kind of number it is, in a few words.
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
    quantity: str = ""


@dataclass(frozen=True)
class ClaimVerdict:
    """A claim with the results of its tests."""

    number: int
    text: str
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """The verdict: contradicted if one test is, reproduced if all tests are."""
        return all_of(finding.verdict for finding in self.findings)

    @property
    def settle(self) -> float | None:
        """The number of samples of each cell that would decide all undecided tests."""
        needed = [f.settle for f in self.findings if f.settle is not None]
        return max(needed, default=None) if self.verdict is Verdict.CANNOT_TELL else None


def judge(claims: Claims, rows: Sequence[Row]) -> list[ClaimVerdict]:
    """Judge every claim by the rows of a run."""
    lookup = Lookup(rows, claims.cells)
    return [
        ClaimVerdict(
            number, claim.text, tuple(run(t, lookup, len(claim.tests)) for t in claim.tests)
        )
        for number, claim in enumerate(claims.claims, start=1)
    ]


def run(test: Test, lookup: Lookup, tests: int = 1) -> Finding:
    """Do one test of a claim that has `tests` tests in all."""
    if isinstance(test, Either):
        return _run_either(test, lookup, tests)
    blank = Finding(test.measure(lookup), test.wanted, Verdict.CANNOT_TELL, quantity=test.quantity)
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
    """Return the verdict of several tests that must all pass."""
    found = set(verdicts)
    if Verdict.CONTRADICTED in found:
        return Verdict.CONTRADICTED
    return found.pop() if len(found) == 1 else Verdict.CANNOT_TELL


def any_of(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict of several tests of which one must pass."""
    found = set(verdicts)
    if Verdict.REPRODUCED in found:
        return Verdict.REPRODUCED
    return found.pop() if len(found) == 1 else Verdict.CANNOT_TELL


def _run_either(test: Either, lookup: Lookup, tests: int) -> Finding:
    """Do the tests of all alternatives, each of which is a list of tests."""
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
