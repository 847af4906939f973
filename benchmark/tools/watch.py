"""Shows how far a run is, from its files alone: from another terminal, or on another machine."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from benchmark.config.expected import expected_records
from benchmark.config.loading import load_config, newest_config
from benchmark.records.record import Kind, Record, read_record
from benchmark.records.rows import is_frechet
from benchmark.report.ending import ending
from benchmark.report.stages_table import STAGES
from benchmark.report.verdict_tables import interval
from benchmark.storage.paths import Run

QUIET = 600  # seconds after which a log that has not grown is of no running job
_TAIL = 4096  # bytes of a log that are read


@dataclass(frozen=True)
class State:
    """How far a run is.

    Attributes:
        done: number of jobs that are done, by kind.
        planned: number of jobs in all, by kind.
        running: the last line of each job that is under way.
        newest: what the newest record says; empty: there is none.
    """

    done: dict[Kind, int]
    planned: dict[Kind, int]
    running: list[str]
    newest: str

    @property
    def is_over(self) -> bool:
        """Whether every record is there."""
        return self.done == self.planned

    def lines(self) -> Iterator[str]:
        """Yield what a terminal shows of it."""
        parts = [
            f"{STAGES[kind]} {self.done[kind]}/{count}" for kind, count in self.planned.items()
        ]
        done, planned = sum(self.done.values()), sum(self.planned.values())
        yield f"{done} of {planned} jobs are done, {planned - done} left: {', '.join(parts)}"
        yield from self.running
        if self.newest:
            yield f"newest: {self.newest}"


def look(run: Run, expected: Sequence[tuple[Kind, str]], now: float) -> State:
    """Return how far a run is.

    Args:
        run: its folder.
        expected: kind and id of every record that it has in the end.
        now: the time, in seconds as files have it.

    Raises:
        BenchmarkError: a record cannot be read.
    """
    there = [job for job in expected if run.record(*job).is_file()]
    done, planned = Counter(kind for kind, _ in there), Counter(kind for kind, _ in expected)
    newest = max(there, key=lambda job: run.record(*job).stat().st_mtime, default=None)
    return State(
        {kind: done[kind] for kind in planned},
        dict(planned),
        [line for job in expected if job not in there for line in _last_line(run, job, now)],
        _said(read_record(run.record(*newest))) if newest else "",
    )


class Screen:
    """Lines that tell how far a run is, and are shown again and again.

    A terminal is drawn anew; anything else gets only the lines that it has not had.

    Args:
        stream: where they are written.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_live = stream.isatty()
        self._shown: list[str] = []

    def show(self, lines: Sequence[str]) -> None:
        """Show these lines in place of those before."""
        if self._is_live:
            # that of standard output may be of a file
            here = os.get_terminal_size(self._stream.fileno())
            width = shutil.get_terminal_size((here.columns or 80, here.lines)).columns
            lines = [part for line in lines for part in _wrapped(line, width - 1)]
            lines = lines[-max(1, here.lines - 1) :] if here.lines else lines
            # Line by line, since a terminal may keep a screen that is cleared at once.
            self._stream.write(self._back())
            self._write([f"{line}\x1b[K" for line in lines])
            self._stream.write("\x1b[J")
            self._stream.flush()
        else:
            self._write([line for line in lines if line not in self._shown])
        self._shown = list(lines)

    def clear(self) -> None:
        """Take the lines from a terminal, so that others can be written."""
        if self._is_live and self._shown:
            self._stream.write(f"{self._back()}\x1b[J")
            self._stream.flush()
            self._shown = []

    def _back(self) -> str:
        """Return what moves the cursor of a terminal to the first line that is shown."""
        return f"\x1b[{len(self._shown)}F" if self._shown else ""

    def _write(self, lines: Sequence[str]) -> None:
        self._stream.writelines(f"{line}\n" for line in lines)
        self._stream.flush()


def _wrapped(line: str, width: int) -> list[str]:
    """Return a line in parts that are no wider than a terminal."""
    return textwrap.wrap(line, max(width, 20), subsequent_indent="  ", break_on_hyphens=False) or [
        ""
    ]


def watch(run: Run, reference: Path | None, seconds: float) -> None:
    """Show how far a run is until it is over, and then what it found.

    Args:
        run: its folder.
        reference: CSV of published figures.
        seconds: between two looks.

    Raises:
        BenchmarkError: no run has begun there, or a record cannot be read.
    """
    expected = expected_records(load_config(newest_config(run)))
    screen = Screen(sys.stdout)
    while not (state := look(run, expected, time.time())).is_over:
        screen.show(list(state.lines()))
        time.sleep(seconds)
    screen.show(list(state.lines()))
    print(*ending(run, reference, shutil.get_terminal_size().columns), sep="\n")


def _last_line(run: Run, job: tuple[Kind, str], now: float) -> Iterator[str]:
    """Yield the last line of the log of a job, if the job seems to be under way."""
    log = run.log(STAGES[job[0]], job[1])
    try:
        if now - log.stat().st_mtime > QUIET:
            return
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:  # it has not begun
        return
    if said := [line.strip() for line in lines if line.strip()]:
        yield said[-1]
    else:
        yield f"{STAGES[job[0]]} {job[1]}: begun"


def _said(record: Record) -> str:
    """Return what a record says, in one line."""
    name = f"{STAGES[record.kind]} {record.id}"
    for key, value in record.values.items():
        if key == "final_loss":
            return f"{name}: loss {interval(value)}"
        if record.protocol and is_frechet(record, key):
            return f"{name}: {record.protocol.label} {interval(value)}"
    return f"{name}: done"
