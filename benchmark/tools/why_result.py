"""The result of `why`, as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.core.values import Value
from benchmark.extractors import Extractor
from benchmark.tools.score_result import identity
from benchmark.tools.why_search import Combination, Published, Scored

FIGURE, MOVED = "figure", "moves it by"


@dataclass(frozen=True)
class Why:
    """By how much each choice moves a figure.

    Attributes:
        real: path of the reference.
        fake: path of what is judged.
        counts: number of images of both; 0: unknown.
        extractor: extractor of the baseline.
        baseline: the figure of the baseline.
        scored: all options, those that move the figure most first.
        left_out: what was not scored: the choice, and why.
        published: the published figure; None: none was named.
        combinations: the combinations that reach it, else the nearest ones.
    """

    real: Path
    fake: Path
    counts: tuple[int, int]
    extractor: Extractor
    baseline: Value
    scored: Sequence[Scored]
    left_out: Sequence[tuple[str, str]]
    published: Published | None
    combinations: Sequence[Combination]

    @property
    def ranked(self) -> list[Scored]:
        """The options whose figures are on the scale of the baseline."""
        return [scored for scored in self.scored if scored.option.is_comparable]

    def to_json(self) -> str:
        """Return everything as JSON, at full precision."""
        content: dict[str, Any] = {
            "real": {"path": str(self.real), "images": self.counts[0]},
            "fake": {"path": str(self.fake), "images": self.counts[1]},
            **identity(self.extractor),
            "label": self.extractor.label,
            "baseline": _plain(self.baseline),
            "options": [_option(scored) for scored in self.scored],
            "left_out": [{"choice": name, "why": reason} for name, reason in self.left_out],
        }
        if self.published is not None:
            content["published"] = self.published.value
            content["combinations"] = [_combination(c) for c in self.combinations]
        return json.dumps(content, indent=1, ensure_ascii=False)

    def to_text(self) -> str:
        """Return tables for people."""
        return "\n".join([*self._head(), "", *self._table(), *self._rest(), *self._reached()])

    def _head(self) -> Iterator[str]:
        from benchmark.report.formats import value_text

        for name, path, count in zip("AB", (self.real, self.fake), self.counts, strict=True):
            yield f"{name}         {path}, {count or 'unknown'} images"
        kind, how = self.extractor.kind, self.extractor.preprocessing
        yield f"baseline  {self.extractor.label} {value_text(self.baseline)}"
        yield f"          of all images as they are, by {kind} ({how})"

    def _table(self) -> list[str]:
        if not self.ranked:
            return ["No choice could be scored."]
        rows = [(s.choice, s.option.text, s.value, s.moved) for s in self.ranked]
        return _aligned(("choice", "option", FIGURE, MOVED), rows)

    def _rest(self) -> Iterator[str]:
        from benchmark.report.formats import value_text

        others = [scored for scored in self.scored if not scored.option.is_comparable]
        if others or self.left_out:
            yield ""
        for scored in others:
            yield (
                f"on another scale: {scored.choice}, {scored.option.text}: "
                f"{value_text(scored.value)}"
            )
        for name, reason in self.left_out:
            yield f"not scored: {name}, {reason}"
        yield ""
        yield (
            "[a, b] is a 95 % interval over the images of B. That of a difference is paired: both "
            "figures are of the same images."
        )

    def _reached(self) -> Iterator[str]:
        if self.published is None:
            return
        value = self.published.value
        gap = value - self.baseline.value
        yield ""
        yield f"published {value:g}, which is {_signed(gap)} from the baseline."
        if any(not c.options and c.reaches for c in self.combinations):
            yield "The interval of the baseline holds it: no choice has to differ."
            return
        if not self.combinations:
            yield "No choice moves the figure."
            return
        reached = any(c.reaches for c in self.combinations)
        yield "These reach it:" if reached else "No combination reaches it. The nearest:"
        rows = [(_words(c), _how(c), c.value) for c in self.combinations]
        yield from _aligned(("choices", "how known", FIGURE), rows)


def _words(combination: Combination) -> str:
    return " + ".join(f"{s.choice}: {s.option.text}" for s in combination.options) or "baseline"


def _how(combination: Combination) -> str:
    return "scored" if combination.is_scored else "sum of differences"


def _signed(number: float) -> str:
    return f"{number:+.3g}".replace("-", "−")


def _aligned(heads: Sequence[str], rows: Sequence[Sequence[str | Value]]) -> list[str]:
    """Return the lines of a table whose columns are as wide as their longest text."""
    # Imported here, after all images: it imports pandas, which takes memory.
    from benchmark.report.formats import Column, Table, TableEntry

    columns = [Column(head, head) for head in heads]
    entries: list[dict[str, TableEntry]] = [dict(zip(heads, row, strict=True)) for row in rows]
    texts = Table("why", [], columns, entries).texts().to_numpy().tolist()
    lines = [list(heads), *texts]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    padded = (
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True))
        for line in lines
    )
    return [line.rstrip() for line in padded]


def _plain(value: Value) -> dict[str, float]:
    found: dict[str, float] = value.model_dump(exclude_none=True)
    return found


def _option(scored: Scored) -> dict[str, Any]:
    return {
        "choice": scored.choice,
        "option": scored.option.text,
        "same_scale": scored.option.is_comparable,
        "figure": _plain(scored.value),
        "moved": _plain(scored.moved),
    }


def _combination(combination: Combination) -> dict[str, Any]:
    return {
        "options": [{"choice": s.choice, "option": s.option.text} for s in combination.options],
        "figure": _plain(combination.value),
        "scored": combination.is_scored,
        "reaches": combination.reaches,
    }
