"""Makes the reference of a machine, in chunks of minutes: its speed tables and a full run."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmark.config.loading import load_config
from benchmark.core.errors import BenchmarkError
from benchmark.records.record import read_records
from benchmark.storage.paths import Run

_KEPT = ("records", "tables", "plots")  # folders of a run; weights and images are too large
GRACE = 20  # seconds that a command has to end after Ctrl-C


def reference(
    config: Path, results: Path, minutes: float, parts: Sequence[str] = ()
) -> Path | None:
    """Make or continue a machine's reference for some minutes.

    A training continues where it was stopped. Jobs of other kinds start again, so the minutes must
    be more than the longest of these takes.

    Args:
        config: config file of the run.
        results: folder of all runs.
        minutes: minutes after which everything is stopped.
        parts: parts of the speed table, each as `python -m benchmark speed PART` makes it.

    Returns:
        The folder of the finished reference; None if something is left to do.

    Raises:
        BenchmarkError: a part or the run failed.
    """
    run = Run(results / load_config(config).run)
    end = time.monotonic() + 60 * minutes
    tables = {part: run.root / "speed" / f"{part}.json" for part in parts}
    for part, table in tables.items():
        speed = ["benchmark", "speed", part, "--output", str(table)]
        if not table.exists() and not _done(speed, end):
            return None
    snakemake = ["snakemake", "--cores", "all", "--resources", "gpu=1", "--rerun-incomplete"]
    if not _done([*snakemake, "--configfile", str(config)], end):
        return None
    return _keep(run, list(tables.values()), results)


def _done(command: list[str], end: float) -> bool:
    """Run a command; stop it at the time `end`. Return whether it was done before."""
    # A shell lets its background processes ignore Ctrl-C, by which Snakemake ends its jobs.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen([sys.executable, "-m", *command], start_new_session=True)
    try:
        status = process.wait(max(0, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        _stop(process)
        return False
    except BaseException:
        _stop(process)
        raise
    if status:
        raise BenchmarkError(f"{' '.join(command)}: failed with status {status}: see above")
    return True


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop a command and all processes that it has started."""
    for number in (signal.SIGINT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(process.pid, number)
            process.wait(GRACE)


def _keep(run: Run, tables: list[Path], results: Path) -> Path:
    """Copy the small files to the folder of this machine, which has its processor's name."""
    machines = {r.provenance.gpu or r.provenance.cpu for r in read_records(run.root)}
    if len(machines) > 1:
        raise BenchmarkError(f"{run.root}: of several machines: {', '.join(sorted(machines))}")
    name = re.sub(r"[^a-z0-9]+", "-", machines.pop().lower()).strip("-")
    folder = results / "reference" / name / run.root.name
    for part in _KEPT:
        shutil.copytree(run.root / part, folder / part, dirs_exist_ok=True)
    for table in tables:
        (folder / "speed").mkdir(parents=True, exist_ok=True)
        shutil.copy(table, folder / "speed")
    return folder
