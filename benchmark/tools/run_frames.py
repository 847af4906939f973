"""A run as tables of pandas, arrays and pictures, for notebooks: `benchmark.read`."""

from __future__ import annotations

import functools
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import nearest_names
from benchmark.core.values import Value
from benchmark.metrics.uncertainty import inverse
from benchmark.records.published import read_published
from benchmark.records.record import SIZED, Record, distance_at, read_records
from benchmark.records.rows import Row, collect, is_frechet, metric_name
from benchmark.report.claims import read_claims
from benchmark.report.columns import is_sized
from benchmark.report.formats import Table, frame_of
from benchmark.report.tables import all_tables
from benchmark.storage.arrays import open_array
from benchmark.storage.paths import CLAIMS, REFERENCE, Run
from benchmark.storage.run_files import RunFiles, open_run

# The types of the columns of each table, whatever they hold: a column without any entry has its
# type too, and so has a table without lines.
_TEXT, _WHOLE, _NUMBER = "string", "Int64", "Float64"
_CELLS = {
    **dict.fromkeys(("id", "table", "family", "model", "trained_as"), _TEXT),
    "trained_steps": _WHOLE,
    "raw": "boolean",
    **dict.fromkeys(("weights", "dataset"), _TEXT),
    "resolution": _WHOLE,
    **dict.fromkeys(("schedule", "sampler"), _TEXT),
    "steps": _WHOLE,
    "guidance": _NUMBER,
    "classifier": _TEXT,
    **dict.fromkeys(("seed", "samples"), _WHOLE),
    "task": _TEXT,
}
_METRICS = {
    **dict.fromkeys(("subject", "kind", "dataset", "metric", "label"), _TEXT),
    **dict.fromkeys(("n_fake", "n_real"), _WHOLE),
    **dict.fromkeys(("value", "std_error", "low", "high"), _NUMBER),
    **dict.fromkeys(("missing", "extractor"), _TEXT),
}
_PARTS = ("", "_std_error", "_low", "_high")
_TIMINGS = {
    "cell": _TEXT,
    **{
        f"{name}{part}": _NUMBER
        for name in ("seconds_per_image", "images_per_second")
        for part in _PARTS
    },
    "network_evaluations": _NUMBER,  # a mean, where the solver is adaptive
    "sample_seconds": _NUMBER,
    "images": _WHOLE,
    "batch": _TEXT,
    "peak_memory_bytes": _WHOLE,
    "joules": _NUMBER,
    "threads": _WHOLE,
    **dict.fromkeys(("device", "precision", "busy"), _TEXT),
    "started": "datetime64[us, UTC]",
}
_LOSSES = {"training": _TEXT, "step": _WHOLE, "images": _TEXT, "loss": _NUMBER}


def read(run: str | Path) -> ReadRun:
    """Read a run.

    Args:
        run: its folder, as results/quickstart, or a bundle of it.

    Raises:
        BenchmarkError: there is no run, or a record of it cannot be read.
    """
    path = Path(run)
    return ReadRun(path, read_records(path))


class ReadRun:
    """The records of a run; pictures and samples are read when they are asked for.

    Args:
        path: folder or bundle of the run.
        records: its records.

    Attributes:
        path: folder or bundle of the run.
        records: its records.
    """

    def __init__(self, path: Path, records: list[Record]) -> None:
        self.path = path
        self.records = records

    def __repr__(self) -> str:
        return f"<run {self.name}: {len(self.cells)} cells; tables {', '.join(self.tables)}>"

    @property
    def name(self) -> str:
        """The name of its folder, or of its bundle without the suffix."""
        path = self.path.resolve()
        return path.stem if path.is_file() else path.name

    @property
    def tables(self) -> list[str]:
        """The names of its tables."""
        return list(self._tables)

    def table(self, name: str) -> pd.DataFrame:
        """Return a table with the columns of its CSV.

        Uncertainties have columns of their own: fd, fd_low and fd_high, or kid_std_error. Counts
        are Int64, other numbers Float64, texts string, and what is missing is NA.

        Raises:
            BenchmarkError: the run has no such table; the message has the nearest name.
        """
        if name not in self._tables:
            raise BenchmarkError(
                f"{self.path}: no table {name!r}: {nearest_names(name, self._tables)}"
            )
        return frame_of(self._tables[name])

    @functools.cached_property
    def cells(self) -> pd.DataFrame:
        """What identifies each cell, in the order of the tables; its id is the index."""
        cells = [row.cell for row in self.rows if row.cell]
        lines = [cell.model_dump(exclude={"task"}) for cell in cells]
        for line, cell in zip(lines, cells, strict=True):
            line["task"] = cell.task.label if cell.task else None
        return _frame(lines, _CELLS).set_index("id")

    @functools.cached_property
    def metrics(self) -> pd.DataFrame:
        """A line for each value of each cell and control, also for those that are missing.

        Its columns are the cell or control, which of both it is, the data set, the name of the
        metric in the config, what it is called, the number of images of both sides, the value with
        its standard error and the ends of its 95 % interval, why it is missing, and the extractor.
        """
        return _frame((line for row in self.rows for line in _metrics(row)), _METRICS)

    @functools.cached_property
    def timings(self) -> pd.DataFrame:
        """A line for each cell whose sampling was timed, by its id.

        Seconds per image and images per second are medians of the timed parts, with their 95 %
        intervals. `busy` says why a time is not valid, and is empty where nothing speaks against.
        """
        lines = [_timing(row) for row in self.rows if row.sample and row.sample.timing]
        return _frame(lines, _TIMINGS).set_index("cell")

    @functools.cached_property
    def losses(self) -> pd.DataFrame:
        """The loss of each training against its step; also that of held-out images, if measured."""
        lines = [
            {"training": record.id, "step": step, "images": images, "loss": loss}
            for record in self.records
            if (curve := record.curve)
            for images, points in (
                ("training", zip(curve.steps, curve.loss, strict=True)),
                ("held-out", curve.held_out),
            )
            for step, loss in points
        ]
        return _frame(lines, _LOSSES)

    @property
    def verdicts(self) -> pd.DataFrame:
        """What the run says about each claim of the report."""
        return self.table("verdicts")

    def samples(self, cell: str) -> NDArray[np.uint8]:
        """Return the samples of a cell, uint8 N×H×W×C, memory-mapped and read-only.

        Raises:
            BenchmarkError: there is no such cell, or the run is a bundle, which has no samples.
        """
        self._check(cell)
        if self.path.is_file():
            raise BenchmarkError(f"{self.path}: a bundle has no samples: read the run folder")
        return open_array(Run(self.path).samples(cell))

    def show(self, cell: str) -> Image.Image:
        """Return the picture of a cell's first samples, which a notebook shows.

        Raises:
            BenchmarkError: there is no such cell, or no picture of it.
        """
        self._check(cell)
        if content := self.picture(cell):
            return Image.open(io.BytesIO(content))
        raise BenchmarkError(f"{self.path}: no {_picture_of(cell)} in it: sample the cell again")

    def picture(self, cell: str) -> bytes | None:
        """Return the PNG of a cell's first samples; None: there is none."""
        found = self._files.matching(_picture_of(cell))
        return self._files.read(found[0]) if found else None

    def _check(self, cell: str) -> None:
        if cell not in self.cells.index:
            known = nearest_names(cell, self.cells.index)
            raise BenchmarkError(f"{self.path}: no cell {cell!r}: {known}")

    @functools.cached_property
    def rows(self) -> list[Row]:
        """The records of each cell and control, joined."""
        return collect(self.records)

    @functools.cached_property
    def _files(self) -> RunFiles:
        return open_run(self.path)

    @functools.cached_property
    def _tables(self) -> dict[str, Table]:
        published, claims = read_published(REFERENCE), read_claims(CLAIMS)
        return {table.name: table for table in all_tables(self.records, published, claims)}


def _picture_of(cell: str) -> str:
    return Run(Path()).grid(cell).as_posix()


def _frame(lines: Iterable[dict[str, Any]], kinds: dict[str, str]) -> pd.DataFrame:
    """Return lines as a table with columns of these types."""
    return pd.DataFrame(list(lines), columns=[*kinds]).astype(kinds)


def _metrics(row: Row) -> Iterable[dict[str, Any]]:
    """Yield a line for each value of a row."""
    record = row.metrics
    if record is None or record.protocol is None:
        return
    values = {**record.values, **{distance_at(n): value for n, value in record.sized.items()}}
    names = list(dict.fromkeys([*values, *record.missing]))
    distance = next((name for name in names if is_frechet(record, name)), SIZED)
    for name in names:
        fewer = is_sized(name)
        metric = distance if fewer else name
        yield {
            "subject": record.id,
            "kind": "cell" if row.cell else "control",
            "dataset": row.dataset,
            "metric": metric,
            "label": metric_name(record, metric),
            "n_fake": int(name.removeprefix(SIZED)) if fewer else record.protocol.n_fake,
            "n_real": record.protocol.n_real,
            **_value(values.get(name), "value", ""),
            "missing": record.missing.get(name),
            "extractor": record.protocol.extractor,
        }


def _value(value: Value | None, name: str, prefix: str) -> dict[str, float | None]:
    """Return a value and its uncertainty as entries of a line, which begin with a prefix."""
    names = (name, f"{prefix}std_error", f"{prefix}low", f"{prefix}high")
    if value is None:
        return dict.fromkeys(names)
    parts = (value.value, value.std_error, value.low, value.high)
    return dict(zip(names, parts, strict=True))


def _timing(row: Row) -> dict[str, Any]:
    """Return the line of a cell whose sampling was timed."""
    assert row.cell
    assert row.sample
    assert row.sample.timing
    assert row.seconds
    timing, machine = row.sample.timing, row.sample.provenance
    return {
        "cell": row.cell.id,
        **_value(row.seconds, "seconds_per_image", "seconds_per_image_"),
        **_value(inverse(row.seconds), "images_per_second", "images_per_second_"),
        "network_evaluations": timing.network_evaluations,
        "sample_seconds": timing.seconds,
        "images": sum(timing.batch_images),
        "batch": str(timing.batches),
        "peak_memory_bytes": timing.peak_memory_bytes,
        "joules": timing.joules,
        "threads": machine.threads * machine.processes,
        "device": machine.gpu or "CPU",
        "precision": machine.precision,
        "busy": row.busy or None,
        "started": pd.Timestamp(machine.started),
    }
