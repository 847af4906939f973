"""Reads the options `--metric` and `--threshold` of the command `compare`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import nearest_names
from benchmark.core.values import Value
from benchmark.records.rows import (
    TIME,
    TRAINING,
)
from benchmark.report.measured import Measured


@dataclass(frozen=True)
class Threshold:
    """The largest difference that does not matter: an amount, or a share of the first value."""

    amount: float
    relative: bool = False

    def of(self, base: Value) -> float:
        """Return the threshold for a value of the first run, in the unit of the value."""
        return self.amount * abs(base.value) if self.relative else self.amount

    def __str__(self) -> str:
        return f"{self.amount:.6g}" if not self.relative else f"{100 * self.amount:.6g}%"


# The interval of a time comes from the scatter within one run. It does not include what differs
# between runs: other work on the machine, its temperature, the place of data in memory.
DEFAULTS = dict.fromkeys((TIME, TRAINING), Threshold(0.1, relative=True))


def known_metrics(measured: Sequence[tuple[str, Measured]]) -> dict[str, str]:
    """Return the keys of all metrics, by every name that is accepted, in small letters."""
    return {
        **{figure.name.lower(): key for key, figure in measured if key not in DEFAULTS},
        **{key.lower(): key for key, _ in measured},
    }


def chosen_metrics(text: str, known: Mapping[str, str]) -> frozenset[str]:
    """Return the keys of the metrics that a text such as `fd,time` names."""
    return frozenset(_find(part, known, "--metric") for part in _parts(text, "--metric"))


def read_thresholds(text: str, known: Mapping[str, str]) -> dict[str, Threshold]:
    """Return the threshold of each metric, from a text such as `fd=0.5,time=10%`."""
    found: dict[str, Threshold] = {}
    for part in _parts(text, "--threshold"):
        name, _, amount = part.partition("=")
        match = re.fullmatch(r"(\d+\.?\d*|\.\d+)(e[+-]?\d+)?(%?)", amount.strip())
        if match is None or not math.isfinite(float(amount.strip().rstrip("%"))):
            raise BenchmarkError(
                f"--threshold: {part!r} is no threshold: give NAME=NUMBER or NAME=NUMBER%, "
                "as fd=0.5,time=10%"
            )
        key = _find(name.strip(), known, "--threshold")
        if key in found:
            raise BenchmarkError(f"--threshold: {name.strip()} has two: give one")
        number, relative = float(amount.strip().rstrip("%")), bool(match[3])
        found[key] = Threshold(number / 100 if relative else number, relative)
    return DEFAULTS | found


def _parts(text: str, option: str) -> list[str]:
    parts = [part.strip() for part in text.split(",")] if text else []
    if not all(parts):
        raise BenchmarkError(
            f"{option}: {text!r} has an empty part: give names with commas between"
        )
    return parts


def _find(name: str, known: Mapping[str, str], option: str) -> str:
    if name.lower() not in known:
        raise BenchmarkError(f"{option}: no metric {name!r}: {nearest_names(name, known)}")
    return known[name.lower()]
