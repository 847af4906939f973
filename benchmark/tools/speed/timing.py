"""Times two programs in turns, since a machine becomes slower and faster in the course of time."""

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
from benchmark.runtime.machine_state import gpu_state, monitor_machine
from benchmark.storage.atomic import write_text

_Work: TypeAlias = Callable[[], object]
_T = TypeVar("_T")

CPU = torch.device("cpu")
INSTALL = "uv run --group peers python -m benchmark speed"


@dataclass(frozen=True)
class SpeedRow:
    """One comparison.

    Attributes:
        name: what is measured.
        unit: unit of the figures.
        ours: the figure of this program in each round.
        theirs: the figure of the peer, another program, in each round; empty: there is no peer.
        peer: name and version of the peer.
        target: what the ratio, or our figure if there is no peer, should reach.
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
        """The median of the peer over ours, above 1 if ours is better; None without a peer."""
        if not self.theirs or not min(self.ours):  # of memory, 0 means none beyond the input
            return None
        return statistics.median(self.theirs) / statistics.median(self.ours)

    @property
    def spread(self) -> tuple[float, float] | None:
        """The least and the largest ratio of any round of the peer to any of ours."""
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
    """Measure in turns, ours, theirs, ours and so on, and return the results of each.

    Args:
        ours: measures once, as `seconds` does.
        theirs: measures the peer once; None: there is no peer.
        rounds: rounds of ours; if there are several, one more is done before and dropped.
        theirs_rounds: rounds of theirs, likewise.
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
    """Time both in turns and return the seconds of each round, without the first.

    Args:
        ours: our work.
        theirs: the work of the peer.
        rounds: the fewest rounds.
        least: the seconds for which ours is timed at least, so that short work has more rounds.
        device: the device that does the work.
    """
    ours()  # so that work that is done once, such as compiling, does not lower the number of rounds
    count = max(rounds, int(least / seconds(ours, device)))
    return interleave(
        partial(seconds, ours, device), partial(seconds, theirs, device), count, count
    )


def seconds(work: _Work, device: torch.device = CPU) -> float:
    """Return the seconds that the work takes, until the device has finished it."""
    synchronise(device)
    start = time.perf_counter()
    work()
    synchronise(device)
    return time.perf_counter() - start


def missing(module: str, package: str) -> str | None:
    """Return a note that says how to install a peer; None if it is installed."""
    if importlib.util.find_spec(module) is not None:
        return None
    return f"{package} is not installed: {INSTALL}"


def version(package: str) -> str:
    """Return the name and the version of an installed package."""
    return f"{package} {metadata.version(package)}"


def report(title: str, rows: Iterable[SpeedRow], output: Path | None) -> None:
    """Print the machine, and each row as soon as it is measured; write all of it to a file.

    Args:
        title: title of the table.
        rows: measures and yields the rows.
        output: file to write, JSON; None: none.
    """
    watch = Stopwatch()
    threads, device = torch.get_num_threads(), resolve_device("auto")
    print(f"{title}, {watch.started}", flush=True)
    others = monitor_machine(device)
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
