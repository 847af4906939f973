"""What `score` found, as JSON and as lines for people."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.core.values import Value
from benchmark.extractors import Extractor
from benchmark.metrics import METRICS


@dataclass(frozen=True)
class Score:
    """What was found, and of what.

    Attributes:
        real: path of the reference.
        fake: path of what is judged.
        counts: images of the two; None: the statistics do not tell.
        extractor: whose features were compared; None: those of a network that no file names.
        values: by metric.
        few: why the distance is biased, one line for each side of too few images.
        missing: why a metric has no value, by its name.
        notes: what was read or ignored otherwise than a reader may think, one line each.
        uncertainty: what the interval or error of a value is, by metric.
    """

    real: Path
    fake: Path
    counts: tuple[int | None, int | None]
    extractor: Extractor | None
    values: dict[str, Value]
    few: list[str]
    missing: dict[str, str]
    notes: list[str]
    uncertainty: dict[str, str] = field(default_factory=dict)

    @property
    def warnings(self) -> list[str]:
        """What a reader must know, one line each."""
        return [*self.few, *(f"{name}: not computed: {why}" for name, why in self.missing.items())]

    def to_json(self) -> str:
        """Return all of it at full precision."""
        network = identity(self.extractor) if self.extractor else {}
        sides = zip(("real", "fake"), (self.real, self.fake), self.counts, strict=True)
        return json.dumps(
            {
                **{name: {"path": str(path), "images": count} for name, path, count in sides},
                **network,
                "label": self._label,
                "values": {k: v.model_dump(exclude_none=True) for k, v in self.values.items()},
                "uncertainty": self.uncertainty,
                "notes": self.notes,
                "warnings": self.warnings,
            },
            indent=1,
            ensure_ascii=False,
        )

    def to_text(self) -> str:
        """Return lines for people; what stands behind a value and what is marked is explained."""
        # takes pandas with it, in whose place photographs have had the memory so far
        from benchmark.report.formats import FEW, Column, Marked, Table, TableEntry

        columns = [Column(name, self._heading(name)) for name in self.values]
        distances = [name for name in self.values if is_distance(name)]
        entries: dict[str, TableEntry] = dict(self.values)
        if self.few:
            entries |= {name: Marked(self.values[name], FEW) for name in distances}
        texts = Table("score", [], columns, [entries]).texts().iloc[0]
        extractor = self.extractor
        features = f"{extractor.kind} ({extractor.preprocessing})" if extractor else "not named"
        rows = [
            *(
                (name, f"{path}, {'unknown' if count is None else count} images")
                for name, path, count in zip(
                    ("real", "fake"), (self.real, self.fake), self.counts, strict=True
                )
            ),
            *(("note", note) for note in self.notes),
            ("features", features),
            *((column.heading or "", text) for column, text in zip(columns, texts, strict=True)),
            *((self._heading(name), f"not computed: {why}") for name, why in self.missing.items()),
            *self._explanations(),
        ]
        width = max(len(name) for name, _ in rows)
        rows += [(FEW, note) for note in self.few if distances]
        return "\n".join(f"{name:<{width}}  {text}" for name, text in rows)

    def _explanations(self) -> Iterator[tuple[str, str]]:
        """Yield each meaning of what stands behind values, with the metrics that it is of."""
        for text in dict.fromkeys(self.uncertainty.values()):
            names = [self._heading(n) for n, other in self.uncertainty.items() if other == text]
            yield "where", f"{text}: {', '.join(names)}"

    @property
    def _label(self) -> str:
        """What the distance is called."""
        return self.extractor.label if self.extractor else "Fréchet distance"

    def _heading(self, name: str) -> str:
        if is_distance(name):
            return self._label
        return "kernel (KID)" if name == "kernel" and self._label.startswith("FID") else name


def identity(extractor: Extractor) -> dict[str, str | int]:
    """Return what two sets of features must have in common to be compared."""
    return {
        "extractor": extractor.kind,
        "preprocessing": extractor.preprocessing,
        "weights_sha256": extractor.weights.sha256,
    }


def is_distance(name: str) -> bool:
    """Tell whether a metric is a Fréchet distance, for which statistics are enough."""
    return METRICS.get(name).is_distance
