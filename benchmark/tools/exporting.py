"""A run for other programs, from its records and pictures alone: CSV, TensorBoard, MLflow."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmark.core.errors import BenchmarkError, one_line
from benchmark.core.strict_model import nearest_names
from benchmark.records.provenance import span
from benchmark.records.record import Record
from benchmark.records.rows import Row
from benchmark.storage.atomic import write_text
from benchmark.tools.run_frames import ReadRun, read

FRAMES = ("cells", "metrics", "timings", "verdicts", "losses")


def export_run(run: Path, to: str, place: str) -> list[str]:
    """Give a run to another program.

    Args:
        run: run folder or bundle.
        to: csv, tensorboard or mlflow.
        place: folder that gets the files; for MLflow the address of its store, as
            sqlite:///mlflow.db or http://localhost:5000.

    Returns:
        What was written.

    Raises:
        BenchmarkError: the program is not known or not installed, or the run cannot be read.
    """
    if to not in WRITERS:
        raise BenchmarkError(f"--to: no {to!r}: {nearest_names(to, WRITERS)}")
    return WRITERS[to](read(run), place)


def _to_csv(run: ReadRun, place: str) -> list[str]:
    """Write a CSV file for each of `FRAMES`."""
    folder = Path(place)
    frames = {name: getattr(run, name) for name in FRAMES}
    paths = []
    for name, frame in frames.items():
        paths.append(folder / f"{name}.csv")
        is_indexed = frame.index.name is not None
        write_text(paths[-1], frame.to_csv(index=is_indexed, lineterminator="\n"))
    return list(map(str, paths))


def _to_tensorboard(run: ReadRun, place: str) -> list[str]:
    """Write a folder of events for each cell and each training."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise _missing("tensorboard") from None
    for folder in _event_folders(run, place).values():
        if next(folder.glob("events.out.tfevents.*"), None):
            raise BenchmarkError(
                f"{folder}: has events already, whose points would be doubled: name a new folder"
            )
    try:
        return _write_events(run, place, SummaryWriter)
    except OSError as error:
        raise BenchmarkError(
            f"{place}: cannot be written: {error.strerror or one_line(error)}: name a folder that "
            "may be written"
        ) from None


def _write_events(run: ReadRun, place: str, SummaryWriter: Any) -> list[str]:
    folders = _event_folders(run, place)
    for record in run.records:
        if record.curve:
            with SummaryWriter(str(folders["train", record.id])) as writer:
                for name, step, value in _losses(record):
                    writer.add_scalar(name, value, step)
    for row in run.rows:
        if row.cell is None:
            continue
        with SummaryWriter(str(folders["cell", row.cell.id])) as writer:
            values = {name: value for name, value in _values(row).items() if math.isfinite(value)}
            writer.add_hparams(_parameters(row), values, run_name=".")
            if picture := run.picture(row.cell.id):
                image = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))
                writer.add_image("samples", image, dataformats="HWC")
    return list(map(str, folders.values()))


def _event_folders(run: ReadRun, place: str) -> dict[tuple[str, str], Path]:
    """Return the folder of the events of each training and each cell."""
    trainings = {("train", r.id): Path(place) / f"train-{r.id}" for r in run.records if r.curve}
    cells = {("cell", r.cell.id): Path(place) / r.cell.id for r in run.rows if r.cell}
    return trainings | cells


def _to_mlflow(run: ReadRun, place: str) -> list[str]:
    """Write a run of MLflow for each cell and each training, into an experiment of the run's name.

    A cell that was written before is written anew as another run of MLflow: its records may have
    changed since.
    """
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # two lines for a run
    try:
        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param, RunTag
        from mlflow.exceptions import MlflowException
    except ImportError:
        raise _missing("mlflow") from None
    name = run.name
    try:
        client = MlflowClient(tracking_uri=place)
        found = client.get_experiment_by_name(name)
        experiment = found.experiment_id if found else client.create_experiment(name)
    except (MlflowException, ImportError, OSError, ValueError) as error:
        line = one_line(error)
        # The small package of MLflow, which is an extra here, speaks to a server alone.
        more = "pip install mlflow, or " if isinstance(error, ImportError) else ""
        raise BenchmarkError(
            f"{place}: MLflow cannot use it: {line}: {more}an address as "
            f"{'' if more else 'sqlite:///mlflow.db or '}http://localhost:5000 would be right"
        ) from None

    def write(
        title: str,
        record: Record | None,
        parameters: dict[str, Any],
        metrics: list[tuple[str, int, float]],
        tags: dict[str, str],
        picture: bytes | None = None,
    ) -> str:
        started, ended = _span(record)
        made = client.create_run(experiment, start_time=started, run_name=title)
        number = made.info.run_id
        kept = [Metric(_key(n), value, started, step) for n, step, value in metrics]
        said = [Param(key, str(value)) for key, value in parameters.items()]
        named = [RunTag(key, value) for key, value in tags.items() if value]
        for start in range(0, max(len(kept), 1), MOST_METRICS):
            first = start == 0
            client.log_batch(
                number,
                kept[start : start + MOST_METRICS],
                said if first else [],
                named if first else [],
            )
        if picture:
            client.log_image(number, Image.open(io.BytesIO(picture)), "samples.png")
        client.set_terminated(number, end_time=ended)
        return title

    written: list[str] = []
    try:
        written.extend(write(*told) for told in _told(run))
    except (MlflowException, OSError) as error:
        raise BenchmarkError(
            f"{place}: MLflow took {len(written)} runs, and then no more: {one_line(error)}: see "
            "that it runs and has room, then export again"
        ) from None
    return [f"{place}: {title}" for title in written]


def _told(run: ReadRun) -> Iterator[tuple[Any, ...]]:
    """Yield what MLflow is told of each training and each cell: see `write` in `_to_mlflow`."""
    for record in run.records:
        if record.curve:
            yield f"train {record.id}", record, _flat(record.spec), list(_losses(record)), {}
    for row in run.rows:
        if row.cell:
            metrics = [(n, row.cell.steps or 0, value) for n, value in _values(row).items()]
            missing = ", ".join(row.metrics.missing if row.metrics else ())
            tags = {"busy": row.busy, "missing": missing}
            of, picture = row.sample or row.metrics, run.picture(row.cell.id)
            yield row.cell.id, of, _parameters(row), metrics, tags, picture


MOST_METRICS = 1000  # of one request to MLflow
WRITERS: dict[str, Callable[[ReadRun, str], list[str]]] = {
    "csv": _to_csv,
    "mlflow": _to_mlflow,
    "tensorboard": _to_tensorboard,
}


def _missing(library: str) -> BenchmarkError:
    return BenchmarkError(
        f"--to: {library} is not installed: uv sync --extra {library}, or pip install "
        f"'diffusion-benchmark[{library}]'"
    )


def _values(row: Row) -> dict[str, float]:
    """Return the values of a cell by name, with the ends of their intervals."""
    found = dict(row.metrics.values if row.metrics else {})
    found |= row.retrieval.values if row.retrieval else {}
    found |= {"seconds_per_image": row.seconds} if row.seconds else {}
    values: dict[str, float] = {}
    for name, value in found.items():
        values[name] = value.value
        if value.low is not None and value.high is not None:
            values |= {f"{name}_low": value.low, f"{name}_high": value.high}
    if row.sample and row.sample.timing:
        values["network_evaluations"] = row.sample.timing.network_evaluations
    return values


def _parameters(row: Row) -> dict[str, str | int | float]:
    """Return what identifies a cell, and how it was measured."""
    assert row.cell
    told = row.cell.model_dump(exclude={"task"}, exclude_none=True)
    told |= {"extractor": row.protocol.extractor} if row.protocol else {}
    return told | ({"task": row.cell.task.label} if row.cell.task else {})


def _losses(record: Record) -> Iterator[tuple[str, int, float]]:
    """Yield the points of a training's curves: their name, step and value."""
    assert record.curve
    curve = record.curve
    for step, loss, rate in zip(curve.steps, curve.loss, curve.lr, strict=True):
        yield "loss", step, loss
        yield "learning_rate", step, rate
    for step, loss in curve.held_out:
        yield "held_out_loss", step, loss


def _flat(spec: dict[str, Any], before: str = "") -> dict[str, str]:
    """Return a specification as texts by the paths of their keys."""
    found: dict[str, str] = {}
    for key, value in spec.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{before}{key}.")
        else:
            found[f"{before}{key}"] = str(value)
    return found


def _span(record: Record | None) -> tuple[int, int]:
    """Return when the job of a record began and ended, in milliseconds since 1970."""
    if record is None:
        return 0, 0
    started, ended = (int(moment.timestamp() * 1000) for moment in span(record.provenance))
    return started, ended


def _key(name: str) -> str:
    """Return a name that MLflow accepts for a metric."""
    return "".join(c if c.isalnum() or c in "_-. /" else "_" for c in name)
