"""What a terminal shows while Snakemake runs: how far the run is, in place of Snakemake's log.

The log of Snakemake, and what the jobs print, go on into the file that Snakemake makes for it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmark.core.errors import BenchmarkError
from benchmark.records.record import Kind
from benchmark.storage.paths import Run
from benchmark.tools.watch import Screen, look

SWITCH = "BENCHMARK_VIEW"  # environment variable: with the value 0, Snakemake's log is shown
_LOGGER = "snakemake.logging"
_STREAM = "DefaultStreamHandler"  # the name of what writes Snakemake's log to the terminal
_SECONDS, _LINES_SECONDS = 2.0, 10.0  # between two looks, with a terminal and without one
# What Snakemake says of a plan and of the machine, which a run need not repeat.
_EVENTS = {"RUN_INFO", "RESOURCES_INFO", "WORKFLOW_STARTED", "RULEGRAPH"}
_SAID = ("Using shell:", "Conda environments:", "Assuming unrestricted", "Building DAG of jobs")
# What it says of a run that goes on otherwise than planned.
_TOLD = ("Trying to restart job", "Terminating processes", "Will exit after finishing")


class Live:
    """Shows how far a run is on stderr, between `begin` and `end`, in place of Snakemake's log.

    Args:
        run: the run.
        expected: kind and id of every record that it has in the end.
        is_planned: tells whether this is a dry run, which shows Snakemake's log.
    """

    def __init__(
        self, run: Run, expected: Sequence[tuple[Kind, str]], is_planned: Callable[[], bool]
    ) -> None:
        self._run, self._expected, self._is_planned = run, expected, is_planned
        handlers = logging.getLogger(_LOGGER).handlers
        self._log = next((each for each in handlers if each.name == _STREAM), None)
        if self._log is not None:
            self._log.addFilter(self._is_wanted)
        self._kept: list[int] = []  # stdout and stderr as they were
        self._over = threading.Event()
        self._lock = threading.RLock()
        self._screen: Screen | None = None
        self._thread = threading.Thread(target=self._show, daemon=True)

    def begin(self, files: Iterable[str]) -> None:
        """Show the run from now on; nothing if Snakemake writes no such log to the terminal.

        Args:
            files: those of Snakemake's log, of which the first gets what jobs print.
        """
        if not isinstance(self._log, logging.StreamHandler):
            return
        sys.stdout.flush()
        sys.stderr.flush()
        self._kept = [os.dup(1), os.dup(2)]
        sink = os.open(next(iter(files), os.devnull), os.O_WRONLY | os.O_APPEND)
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        os.close(sink)
        sys.stderr = os.fdopen(os.dup(self._kept[1]), "w", buffering=1)
        self._screen = Screen(sys.stderr)
        self._log.setStream(sys.stderr)
        self._thread.start()

    def end(self) -> None:
        """Show how far the run has come, and Snakemake's log again."""
        if self._screen is None:
            return
        self._over.set()
        self._thread.join()
        self._look()
        sys.stdout.flush()
        for number, kept in zip((1, 2), self._kept, strict=True):
            os.dup2(kept, number)
            os.close(kept)
        with self._lock:
            self._screen = None

    def _show(self) -> None:
        while not self._over.is_set():
            self._look()
            self._over.wait(_SECONDS if sys.stderr.isatty() else _LINES_SECONDS)

    def _look(self) -> None:
        with contextlib.suppress(BenchmarkError):  # of a record that the run itself will tell of
            lines = list(look(self._run, self._expected, time.time()).lines())
            with self._lock:
                if self._screen:
                    self._screen.show(lines)

    def _is_wanted(self, record: logging.LogRecord) -> bool:
        """Tell whether the terminal gets a line of the log; of a failed job, print less."""
        if self._is_planned():
            return True
        event, text = getattr(getattr(record, "event", None), "name", ""), record.getMessage()
        if self._screen is None:
            return event not in _EVENTS and not text.startswith(_SAID)
        if record.levelno < logging.WARNING and not text.startswith(_TOLD):
            return False
        with self._lock:
            self._screen.clear()
        if event == "JOB_ERROR":
            print(_failure(record), file=sys.stderr)
        return event != "JOB_ERROR" and "CalledProcessError" not in text


def _failure(record: Any) -> str:
    """Return what the record of a failed job says: its last line, why it ended, and its logs."""
    files = [str(file).split(" ")[0] for file in record.log]
    said = next(filter(None, map(_last_line, files)), "it printed nothing")
    why = [f"    {record.rule_msg}"] if record.rule_msg else []  # as of a cluster
    lines = [f"Error in rule {record.rule_name}: {said}", *why, f"    log: {', '.join(files)}"]
    return "\n".join(lines)


def _last_line(file: str) -> str:
    try:
        lines = Path(file).read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line for line in reversed(lines) if line.strip()), "")
