"""Interleaved timing: machines slow down and speed up, so the two take turns."""

from __future__ import annotations

import importlib.util
import json
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import torch

from benchmark.records.provenance import Stopwatch, Work, provenance
from benchmark.runtime.device import resolve_device, synchronise
from benchmark.runtime.machine_state import gpu_state, watch_machine
from benchmark.storage.atomic import write_text

_Work: TypeAlias = Callable[[], object]
_T = TypeVar("_T")

CPU = torch.device("cpu")
INSTALL = "uv run --group peers python -m benchmark speed"


@dataclass(frozen=True)
class SpeedRow:
    """One comparison.

    Attributes:
        name: what is done.
        unit: of the figures.
        ours: each round's figure.
        theirs: each round's figure of the peer; empty: there is none.
        peer: its name and version.
        target: what the ratio, or our figure where there is no peer, is to reach.
        note: what else a reader must know.
    """

    name: str
    unit: str
    ours: list[float]
    theirs: list[float]
    peer: str = ""
    target: str = ""
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times as fast, or as small, ours is by the medians; None without a peer."""
        if not self.theirs or not min(self.ours):  # no memory beyond that of before is 0
            return None
        return statistics.median(self.theirs) / statistics.median(self.ours)

    @property
    def spread(self) -> tuple[float, float] | None:
        """Least and largest ratio that any two rounds give."""
        if self.ratio is None:
            return None
        return min(self.theirs) / max(self.ours), max(self.theirs) / min(self.ours)

    def text(self) -> str:
        """Return the row as a line."""
        parts = [f"{self.name}: {_figures(self.ours)} {self.unit}"]
        if self.theirs:
            parts.append(f"{self.peer} {_figures(self.theirs)} {self.unit}")
        if self.ratio is not None and self.spread is not None:
            low, high = self.spread
            parts.append(f"ratio {self.ratio:.3g} [{low:.3g}, {high:.3g}]")
        parts += [f"target {self.target}"] if self.target else []
        parts += [self.note] if self.note else []
        return "; ".join(parts)


def interleave(
    ours: Callable[[], _T], theirs: Callable[[], _T] | None, rounds: int, theirs_rounds: int
) -> tuple[list[_T], list[_T]]:
    """Return what either measures, taking turns: ours, theirs, ours, theirs and so on.

    Args:
        ours: measures once, as `seconds` does.
        theirs: likewise; None: there is no peer.
        rounds: of ours; with more than one, one before is dropped.
        theirs_rounds: of theirs, likewise.
    """
    own: list[_T] = []
    other: list[_T] = []
    for turn in range(-1, rounds):
        if turn >= 0 or rounds > 1:
            own.append(ours())
        if theirs is not None and turn < theirs_rounds and (turn >= 0 or theirs_rounds > 1):
            other.append(theirs())
    return own[-rounds:], other[-theirs_rounds:]


def take_turns(
    ours: _Work, theirs: _Work, rounds: int, least: float, device: torch.device = CPU
) -> tuple[list[float], list[float]]:
    """Return the seconds of either in each round, after one that is dropped.

    Args:
        ours: what is timed.
        theirs: likewise.
        rounds: at least.
        least: seconds for which ours is timed altogether, so that short work has many rounds.
        device: that does the work.
    """
    ours()  # what is done once alone, as compiling, is not what the rounds are chosen by
    count = max(rounds, int(least / seconds(ours, device)))
    return interleave(
        partial(seconds, ours, device), partial(seconds, theirs, device), count, count
    )


def seconds(work: _Work, device: torch.device = CPU) -> float:
    """Return how long the work takes, until the device has done it."""
    synchronise(device)
    start = time.perf_counter()
    work()
    synchronise(device)
    return time.perf_counter() - start


def missing(module: str, package: str) -> str | None:
    """Return a note that says how to install a peer, or None if it is there."""
    if importlib.util.find_spec(module) is not None:
        return None
    return f"{package} is not installed: {INSTALL}"


def version(package: str) -> str:
    """Return name and version of an installed package."""
    return f"{package} {metadata.version(package)}"


def report(title: str, rows: Iterable[SpeedRow], output: Path | None) -> None:
    """Print each row as soon as it is measured, after a line on the machine; keep all of it."""
    watch = Stopwatch()
    threads, device = torch.get_num_threads(), resolve_device("auto")
    print(f"{title}, {watch.started}", flush=True)
    others = watch_machine(device)
    others.begin()
    work = Work(threads=threads, device=device.type)
    here = provenance(watch, work)
    gpu = f"{here.gpu}, driver {here.driver}" if here.gpu else "no GPU"
    print(f"{here.cpu}, {here.cores} cores, {threads} threads, {gpu}", flush=True)
    print(", ".join(f"{name} {number}" for name, number in here.libraries.items()), flush=True)
    print("medians of alternating rounds; [least, largest] ratio of any two rounds\n", flush=True)
    found = list(_printed(rows))
    contention = others.found()
    if contention.busy:
        print(f"\nthe machine was busy: {contention.busy}: do not quote these figures", flush=True)
    clock, throttled = gpu_state(device)
    if clock is not None:
        print(f"\nGPU clock {clock:.0f} MHz, held back by {throttled or 'nothing'}", flush=True)
    if output is not None:
        facts: dict[str, Any] = {
            "contention": contention.model_dump(),
            "gpu_clock_mhz": clock,
            "gpu_throttled": throttled,
            "provenance": provenance(watch, work).model_dump(),
        }
        content = {"title": title, **facts, "rows": [_as_json(row) for row in found]}
        write_text(output, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def _printed(rows: Iterable[SpeedRow]) -> Iterator[SpeedRow]:
    for row in rows:
        print(row.text(), flush=True)
        yield row


def _as_json(row: SpeedRow) -> dict[str, Any]:
    return {**asdict(row), "ratio": row.ratio, "spread": row.spread}


def _figures(values: list[float]) -> str:
    middle = statistics.median(values)
    return f"{middle:.3g}" + (f" (of {len(values)})" if len(values) > 1 else "")
