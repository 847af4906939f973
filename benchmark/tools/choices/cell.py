"""How the judged images of a run were sampled."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from benchmark.core.canonical import canonical_json
from benchmark.data.listing import samples_of_cell
from benchmark.records.record import Record, read_records
from benchmark.storage.paths import Run
from benchmark.tools.choices.base import Choice, Known, LeftOut, Option, Recipe


class Cell(Choice):
    """How a run's cell was made: steps, sampler, schedule, guidance, weights averaged or raw.

    Only cells of the same run are scored that differ from B in one of these. Where such a cell is
    of another training, the seed of its weights and batches is another one too, which is told.
    """

    kind: Literal["cell"] = "cell"

    def options(self, known: Known) -> Iterator[Option | LeftOut]:
        """Yield the cells of the same run that differ from B in one respect, if B is a cell."""
        [path] = known.baseline.fake.paths
        if samples_of_cell(path) is None:
            return
        run = Run(path.resolve().parent.parent)
        records = {r.id: r for r in read_records(run.root) if r.kind == "sample"}
        own = records.pop(path.resolve().name, None)
        if own is None:
            yield LeftOut(f"{path}: has no record of its sampling")
            return
        for record in records.values():
            yield from _option(own, record, run, known.fake.count)


def _option(own: Record, other: Record, run: Run, count: int) -> Iterator[Option | LeftOut]:
    """Yield the option of another cell, if it differs from our own in one respect."""
    before, after = _respects(own), _respects(other)
    differing = [name for name in before if before[name] != after[name]]
    if len(differing) != 1 or differing[0] not in _TOLD:
        return
    [name] = differing
    text = f"{other.id}: {name} {_told(after[name])}, not {_told(before[name])}"
    assert own.cell is not None
    assert other.cell is not None
    if own.cell.trained_as != other.cell.trained_as:
        text += ", and another training"
    if other.cell.samples < count:
        yield LeftOut(f"{text}: its {other.cell.samples} images are fewer than {count}")
        return
    folder = run.samples(other.id).parent
    if not run.samples(other.id).is_file():
        yield LeftOut(f"{text}: its images are not there any more")
        return
    yield Option(text, functools.partial(_with, folder))


# The respects in which a cell may differ; all others must be equal.
_TOLD = ("steps", "sampler", "schedule", "guidance", "weights", "training")


# Keys of the specification of a training that are respects by themselves, or none.
_OF_THE_STATE = ("id", "schedule", "training", "kept", "keeps_raw")


def _respects(record: Record) -> dict[str, Any]:
    """Return in what the samples of cells can differ, each as a value to compare."""
    cell, training = record.cell, record.spec.get("train", {})
    assert cell is not None
    settings = dict(training.get("training", {}))
    ema = settings.pop("ema", None)
    averaged = f"averaged by {ema}" if ema and not cell.raw else "raw"
    network = {k: v for k, v in training.items() if k not in _OF_THE_STATE}
    return {
        "steps": cell.steps,
        "sampler": cell.sampler,
        "schedule": cell.schedule,
        "guidance": cell.scale or None,
        "weights": averaged if training else "ready",
        "training": f"of {cell.trained_steps} steps" if cell.trained_steps else "to its end",
        "seed": cell.seed,
        "network": canonical_json([network, settings, record.spec.get("weights")]),
        "task": canonical_json(record.spec.get("task")),
        "data": (cell.dataset, cell.resolution),
    }


def _told(value: object) -> str:
    return "none" if value is None else str(value)


def _with(folder: Path, recipe: Recipe) -> Recipe:
    return replace(recipe, fake=replace(recipe.fake, paths=(folder,)))
