"""Times commands of this program against those of another revision of it, in turns."""

from __future__ import annotations

import itertools
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray

from benchmark.core.closure import PACKAGE
from benchmark.core.cores import available_cores
from benchmark.storage.atomic import write_text
from benchmark.storage.paths import CACHE, Run
from benchmark.tools.speed.checkouts import (
    Checkout,
    CommandUse,
    copy_of_revision,
    copy_of_this,
)
from benchmark.tools.speed.growth import CELL, DATA, Case, content_of, make_features
from benchmark.tools.speed.limits import multiplies_bf16
from benchmark.tools.speed.timing import SpeedRow, interleave

RUN = "build"


@dataclass(frozen=True)
class BuildSizes:
    """How much is measured.

    Attributes:
        rounds: rounds of each comparison.
        images: images of the row of 1000 steps; those of 50 steps have more, as in the quickstart.
        steps: steps of DDPM, of DDIM and of the predictor-corrector sampler.
        evaluated: training images of `evaluate`.
    """

    rounds: int = 5
    images: int = 32
    steps: tuple[int, int, int] = (1000, 50, 50)
    evaluated: int = 200_000


QUICK = BuildSizes(rounds=1, images=3, steps=(2, 2, 2), evaluated=40)
_SHARES = (1, 4, 4)  # images of each row, for one of the first


def rows(revision: str, parts: Sequence[str], sizes: BuildSizes) -> Iterator[SpeedRow]:
    """Measure the parts of this program and of another revision of it, and yield their rows.

    Args:
        revision: the other revision, as git names it.
        parts: names of `PARTS`.
        sizes: how much is measured.

    Yields:
        The row of each figure, as soon as it is measured.

    Raises:
        BenchmarkError: git knows no such revision, or a command of either side fails.
    """
    with tempfile.TemporaryDirectory(prefix="build-") as folder:
        place = Path(folder)
        ours = copy_of_this(place / "here")
        theirs = copy_of_revision(revision, place / "there")
        for part in parts:
            (place / part).mkdir()
            yield from PARTS[part](ours, theirs, place / part, sizes)


class _Sampled(NamedTuple):
    """One sampling of a cell.

    Attributes:
        seconds: seconds per image of the sampler, as the record has them.
        use: time and memory of the whole command.
        images: the samples, uint8 N×H×W×3.
    """

    seconds: float
    use: CommandUse
    images: NDArray[np.uint8]


def sampling(
    ours: Checkout, theirs: Checkout, folder: Path, sizes: BuildSizes
) -> Iterator[SpeedRow]:
    """Compare the times of cells of the quickstart's networks, and their images.

    Each side samples in batches of the size that its own quickstart has. On a processor that
    multiplies bfloat16, cells of this program in bf16 are compared too, with those of the other
    revision in float32.
    """
    asked = sampling_config(sizes, quickstart_batch(ours))
    exact, rough, before = (folder / f"{name}.json" for name in ("float32", "bf16", "before"))
    write_text(exact, json.dumps(asked))
    write_text(rough, json.dumps({**asked, "precision": "bf16"}))
    write_text(before, json.dumps(sampling_config(sizes, quickstart_batch(theirs))))
    in_turns = [(exact, ""), (rough, ", bf16")] if multiplies_bf16() else [(exact, "")]
    for (config, words), entry in itertools.product(in_turns, asked["grid"]):
        names = (entry[key] for key in ("model", "schedule", "sampler", "steps"))
        cell = f"{'-'.join(map(str, names))}-s0"
        one, two = partial(_sample, ours, config, cell), partial(_sample, theirs, before, cell)
        own, other = interleave(one, two, sizes.rounds, sizes.rounds)
        name = f"{entry['sampler']}, {entry['steps']} steps, {entry['samples']} images{words}"
        note = compared(own[-1].images, other[-1].images)
        for what, unit, figure in (
            (name, "s per image", lambda sampled: sampled.seconds),
            (f"{name}, the command", "s", lambda sampled: sampled.use.seconds),
            (f"{name}, processor time", "s", lambda sampled: sampled.use.processor),
            (f"{name}, the command", "MB", lambda sampled: sampled.use.memory.resident),
        ):
            yield _row(what, unit, figure, (own, other), theirs, note)


def compared(own: NDArray[np.uint8], other: NDArray[np.uint8]) -> str:
    """Return in words how many values of two arrays of images, N×H×W×3, differ, and how much."""
    apart = np.abs(own.astype(np.int16) - other)
    if not apart.any():
        return "the same images"
    share = np.count_nonzero(apart) / apart.size
    return f"{share:.2g} of the values differ, by at most {apart.max()} of 255"


def _sample(side: Checkout, config: Path, cell: str) -> _Sampled:
    with tempfile.TemporaryDirectory(dir=config.parent) as folder:
        threads = str(available_cores())
        use = side.run("sample", str(config), cell, "--results", folder, "--threads", threads)
        run = Run(Path(folder) / RUN)
        record = json.loads(run.record("sample", cell).read_text())
        images = np.load(run.samples(cell))
        return _Sampled(record["values"]["sample_seconds"]["value"] / len(images), use, images)


def quickstart_batch(side: Checkout) -> int:
    """Return how many images the quickstart of a revision samples at a time."""
    config = yaml.safe_load((side.root / "config" / "config.yaml").read_text(encoding="utf-8"))
    return int(config["sampling_batch"])


def sampling_config(sizes: BuildSizes, batch: int) -> dict[str, Any]:
    """Return a config, with this `sampling_batch`, that any revision with the zoo can read."""
    samplers = ("ddpm", "ddim", "predictor-corrector")
    models = (("DDPM", "DDPM", "ddpm"), ("DDIM", "DDIM", "ddpm"), ("SDE", "SBGM-SDE", "sde"))
    schedules = ("linear", "linear", "ve")
    return {
        "run": RUN,
        "device": "cpu",
        "sampling_batch": batch,
        "data": {"avatars": {"source": "avatars", "resolution": 32, "train": 200, "held_out": 50}},
        "models": {
            name: {
                "family": family,
                "data": "avatars",
                "weights": {"kind": "zoo", "name": f"avatars-{weights}"},
            }
            for name, family, weights in models
        },
        "samplers": {
            "ddpm": {"kind": "ddpm", "spacing": "leading"},
            "ddim": {"kind": "ddim", "spacing": "leading", "eta": 0.0},
            "predictor-corrector": {"kind": "predictor-corrector", "snr": 0.16},
        },
        "grid": [
            {
                "table": RUN,
                "model": model,
                "schedule": schedule,
                "sampler": sampler,
                "steps": steps,
                "samples": share * sizes.images,
            }
            for (model, _, _), schedule, sampler, steps, share in zip(
                models, schedules, samplers, sizes.steps, _SHARES, strict=True
            )
        ],
        "evaluation": {"metrics": {"fd": {"kind": "frechet"}}},
    }


class _Evaluated(NamedTuple):
    """Time and memory of an evaluation, and the distance that it found."""

    use: CommandUse
    distance: float


def evaluate(
    ours: Checkout, theirs: Checkout, folder: Path, sizes: BuildSizes
) -> Iterator[SpeedRow]:
    """Compare time and memory of `evaluate`, whose statistics are not in the cache."""
    case = Case(images=sizes.evaluated)
    config = folder / "config.json"
    write_text(config, json.dumps(content_of(case, folder)))
    run = make_features(case, folder)
    one, two = (partial(_evaluate, side, config, run, case) for side in (ours, theirs))
    own, other = interleave(one, two, sizes.rounds, sizes.rounds)
    differ = abs(own[-1].distance / other[-1].distance - 1)
    name = f"evaluate, {sizes.evaluated} training images"
    for what, unit, figure in (
        (name, "s", lambda evaluated: evaluated.use.seconds),
        (f"{name}, processor time", "s", lambda evaluated: evaluated.use.processor),
        (f"{name}, with pages of files", "MB", lambda evaluated: evaluated.use.memory.resident),
        (f"{name}, without them", "MB", lambda evaluated: evaluated.use.memory.anonymous),
    ):
        note = f"the distances differ by {differ:.0e}"
        yield _row(what, unit, figure, (own, other), theirs, note)


def planning(
    ours: Checkout, theirs: Checkout, folder: Path, sizes: BuildSizes
) -> Iterator[SpeedRow]:
    """Compare the time in which Snakemake plans, and that of a run of which all is done.

    It is processor time: a plan waits for servers that do not answer. What an empty
    Snakefile takes stands beside.
    """
    empty, done = folder / "Snakefile", folder / "done.json"
    write_text(empty, "")
    write_text(done, json.dumps(sampling_config(QUICK, quickstart_batch(ours))))
    for side in (ours, theirs):
        _snakemake(side, folder, "--configfile", str(done))

    def plan(side: Checkout) -> CommandUse:
        config = str(side.root / "config" / "report.yaml")
        return _snakemake(side, folder, "--dry-run", "--configfile", config)

    def again(side: Checkout) -> CommandUse:
        return _snakemake(side, folder, "--configfile", str(done))

    alone = [_snakemake(ours, folder, "--snakefile", str(empty)) for _ in range(sizes.rounds)]
    note = f"an empty Snakefile {np.median([use.processor for use in alone]):.3g} s"
    for name, run in (("planning config/report.yaml", plan), ("a run of which all is done", again)):
        one, two = partial(run, ours), partial(run, theirs)
        own, other = interleave(one, two, sizes.rounds, sizes.rounds)
        row = f"{name}, processor time"
        yield _row(row, "s", lambda use: use.processor, (own, other), theirs, note)


def _snakemake(side: Checkout, folder: Path, *arguments: str) -> CommandUse:
    """Run Snakemake with the results of a side in a folder of its own."""
    results = ("--directory", str(folder / side.root.name))
    cores = ("--cores", str(available_cores()), "--resources", "gpu=1")
    return side.run_module("snakemake", "--quiet", *cores, *results, *arguments)


def _evaluate(side: Checkout, config: Path, run: Run, case: Case) -> _Evaluated:
    cell = CELL.format(steps=case.steps)
    _fit_manifest(run.manifest(DATA), side)
    shutil.rmtree(run.root.parent / CACHE, ignore_errors=True)
    use = side.run("evaluate", str(config), cell, "--results", str(run.root.parent))
    record = json.loads(run.record("metrics", cell).read_text())
    return _Evaluated(use, record["values"]["fd"]["value"])


def _fit_manifest(path: Path, side: Checkout) -> None:
    """Give the list of bad images in a manifest the name that this revision reads."""
    code = (side.root / PACKAGE / "data" / "prepared.py").read_text()
    name = "first" if "    first: list[str]" in code else "all"  # `first` until 2026-11-27
    manifest = json.loads(path.read_text())
    manifest["bad_images"] = {"count": 0, name: []}
    write_text(path, json.dumps(manifest))


def _row(
    name: str,
    unit: str,
    figure: Callable[[Any], float],
    sides: tuple[Sequence[Any], Sequence[Any]],
    theirs: Checkout,
    note: str,
) -> SpeedRow:
    """Return the row of one figure of both sides."""
    own, other = ([figure(each) for each in side] for side in sides)
    return SpeedRow(name, unit, own, other, f"build of {theirs.name}", note=note)


PARTS = {"sampling": sampling, "evaluate": evaluate, "planning": planning}
