"""The result of `score`, as JSON and as text."""

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
    """The values of the metrics, and what they are of.

    Attributes:
        real: path of the reference.
        fake: path of what is judged.
        counts: number of images of real and fake; None: unknown.
        extractor: extractor of the features; None: unknown.
        values: the values by metric.
        few: why the distance is biased: which sides have too few images.
        missing: by metric, why it has no value.
        notes: lines on what was read or ignored, where that is not obvious.
        uncertainty: by metric, what its interval or error means.
        precision: how the network computed.
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
    precision: str = "float32"

    @property
    def warnings(self) -> list[str]:
        """The warnings, one line each."""
        return [*self.few, *(f"{name}: not computed: {why}" for name, why in self.missing.items())]

    def __str__(self) -> str:
        return self.to_text()

    def to_json(self) -> str:
        """Return everything as JSON, at full precision."""
        network = identity(self.extractor) if self.extractor else {}
        sides = zip(("real", "fake"), (self.real, self.fake), self.counts, strict=True)
        return json.dumps(
            {
                **{name: {"path": str(path), "images": count} for name, path, count in sides},
                **network,
                "precision": self.precision,
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
        """Return lines for people; the last ones explain intervals and marks."""
        # Imported here, after all images: it imports pandas, which takes memory.
        from benchmark.report.formats import FEW, Column, Marked, Table, TableEntry

        columns = [Column(name, self._heading(name)) for name in self.values]
        distances = [name for name in self.values if is_distance(name)]
        entries: dict[str, TableEntry] = dict(self.values)
        if self.few:
            entries |= {name: Marked(self.values[name], FEW) for name in distances}
        texts = Table("score", [], columns, [entries]).texts().iloc[0]
        extractor = self.extractor
        features = f"{extractor.kind} ({extractor.preprocessing})" if extractor else "not named"
        if self.precision != "float32":
            how = self.precision
            features = f"{features}, in {how}: compare it with others in {how} alone"
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
        """Yield each explanation of intervals or errors, with the metrics that it is for."""
        for text in dict.fromkeys(self.uncertainty.values()):
            names = [self._heading(n) for n, other in self.uncertainty.items() if other == text]
            yield "where", f"{text}: {', '.join(names)}"

    @property
    def _label(self) -> str:
        """The name of the Fréchet distance."""
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
    """Return whether a metric is a Fréchet distance, which needs only statistics."""
    return METRICS.get(name).is_distance
