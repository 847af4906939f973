"""A cell with more samples than before: the first ones are kept, and only the rest is drawn."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from stages import do
from test_shards import CELL, sharded

from benchmark.config.config import Config
from benchmark.config.shards import shard_name, split
from benchmark.records.record import Record
from benchmark.records.timing import Timing
from benchmark.runtime.memory_retry import in_batches
from benchmark.stages import sample
from benchmark.storage.paths import Run
from benchmark.tools.estimate import CostRow, estimate
from benchmark.tools.estimate_text import show

PICTURES: list[Callable[[Run, str], Path]] = [Run.samples, Run.grid, Run.chain, Run.movie]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the images that are drawn, in their order."""
    found: list[int] = []

    def noted(parts: Any, work: Callable[[range], Any], title: str) -> Iterator[Any]:
        found.extend(image for part in parts for image in part)
        return in_batches(parts, work, title)

    monkeypatch.setattr(sample, "in_batches", noted)
    return found


def of(smoke: Config, run: Run, samples: int, **options: Any) -> Record:
    """Sample a cell of so many images, after Snakemake has removed what was there."""
    for path in (run.samples(CELL), run.record("sample", CELL)):
        path.unlink(missing_ok=True)
    made: Record = do("sample", sharded(smoke, None, samples), CELL, run, **options)
    return made


def timing(record: Record) -> Timing:
    assert record.timing is not None
    return record.timing


def bytes_of(run: Run) -> list[bytes]:
    return [path(run, CELL).read_bytes() for path in PICTURES]


@pytest.mark.parametrize(
    ("before", "after", "left"),
    [(12, 20, range(12, 20)), (14, 20, range(12, 20)), (20, 14, range(12, 14)), (20, 12, range(0))],
)
def test_a_cell_of_another_size_draws_only_what_it_lacks(
    smoke: Config, weighted: Run, drawn: list[int], before: int, after: int, left: range
) -> None:
    of(smoke, weighted, after)
    fresh = bytes_of(weighted)
    of(smoke, weighted, before)
    drawn.clear()
    of(smoke, weighted, after)
    assert drawn == list(left)
    assert bytes_of(weighted) == fresh


def test_the_record_tells_which_images_were_drawn_when(smoke: Config, weighted: Run) -> None:
    first = of(smoke, weighted, 12)
    grown = of(smoke, weighted, 20)
    again = of(smoke, weighted, 26)
    for record, images in ((grown, [(0, 12), (12, 20)]), (again, [(0, 12), (12, 18), (18, 26)])):
        assert record.jobs is not None
        assert [job.images for job in record.jobs] == images
        assert record.jobs[0].started == first.provenance.started < record.jobs[1].started
        assert len(record.contention) == len(images)
        assert record.contention[0] == first.contention[0]
        wall = sum(job.wall_seconds for job in record.jobs)
        assert record.provenance.wall_seconds == pytest.approx(wall, abs=2e-3)
    assert timing(grown).batch_images == [6, 6, 6, 2]
    assert timing(again).batch_images == [6, 6, 6, 6, 2]
    assert timing(grown).batch_seconds[:2] == timing(first).batch_seconds
    assert timing(again).batch_seconds[:3] == timing(grown).batch_seconds[:3]
    assert timing(again).network_evaluations == timing(first).network_evaluations == 10
    assert again.values["sample_seconds"].value == sum(timing(again).batch_seconds)
    fresh = of(smoke, weighted, 26)  # as many as before: somebody wants it anew
    timed = {"provenance", "timing", "values", "jobs", "contention"}
    assert fresh.model_dump(exclude=timed) == again.model_dump(exclude=timed)
    assert fresh.jobs is None


def otherwise(path: str) -> Callable[[Run], None]:
    """A change of a key of the record of the images that were kept."""

    def change(run: Run) -> None:
        file = run.drawn(CELL).record("sample", CELL)
        content = json.loads(file.read_text())
        *sections, key = path.split(".")
        section = content
        for name in sections:
            section = section[name]
        section[key] = "cuda" if key == "device" else "0" * 64
        file.write_text(json.dumps(content))

    return change


def damage(run: Run) -> None:
    path = run.drawn(CELL).samples(CELL)
    array = bytearray(path.read_bytes())
    array[200] ^= 1
    path.write_bytes(array)


def cut_short(run: Run) -> None:
    path = run.drawn(CELL).samples(CELL)
    images = np.load(path)
    path.unlink()
    np.save(path, images[:-1])


@pytest.mark.parametrize(
    "change",
    [
        otherwise("shard_identity.code"),
        otherwise("shard_identity.sources"),
        otherwise("provenance.device"),
        otherwise("spec.sampler"),
        damage,
        cut_short,
        lambda run: run.drawn(CELL).record("sample", CELL).unlink(),
    ],
    ids=["code", "weights", "device", "sampler", "damaged", "cut", "none"],
)
def test_images_that_were_made_otherwise_are_drawn_anew(
    smoke: Config, weighted: Run, drawn: list[int], change: Callable[[Run], None]
) -> None:
    of(smoke, weighted, 12)
    change(weighted)
    drawn.clear()
    assert of(smoke, weighted, 18).jobs is None
    assert drawn == list(range(18))


def test_a_disk_without_hard_links_draws_all_anew(
    smoke: Config, weighted: Run, drawn: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*paths: Path) -> None:
        raise PermissionError("no links")

    monkeypatch.setattr("os.link", refused)
    of(smoke, weighted, 12)
    drawn.clear()
    of(smoke, weighted, 18)
    assert drawn == list(range(18))


def test_shards_take_what_was_drawn_before(smoke: Config, weighted: Run, drawn: list[int]) -> None:
    """Also where their borders differ from those of the jobs that drew the images."""
    config = sharded(smoke, 12, 32)
    of(smoke, weighted, 32)
    fresh = bytes_of(weighted)
    of(smoke, weighted, 18)
    of(smoke, weighted, 26)
    weighted.samples(CELL).unlink()
    drawn.clear()
    parts = split(32, 6, 12)
    for part in parts:
        do("sample", config, CELL, weighted, shard=shard_name(part))
    assert drawn == list(range(24, 32))
    record = do("merge_samples", config, CELL, weighted)
    assert bytes_of(weighted) == fresh
    jobs = [job.images for job in record.jobs]
    # drawn at three times; two shards only copied; one job merged
    assert jobs == [(0, 18), (18, 24), (24, 32), None, None, None]
    assert len(record.contention) == 3
    assert record.timing.batch_images == [6, 6, 6, 6, 6, 2]
    drawn.clear()
    of(smoke, weighted, 38)
    assert drawn == list(range(30, 38))


def test_an_estimate_counts_what_is_lacking(
    smoke: Config, weighted: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in (("estimate.PROBE_SECONDS", 0.001), ("network_cost.LEAST_SECONDS", 0.001)):
        monkeypatch.setattr(f"benchmark.tools.{name}", seconds)

    def row(samples: int) -> CostRow:
        found = estimate(sharded(smoke, None, samples), weighted, threads=1)
        console = Console(width=200, record=True, file=io.StringIO())
        show(found, console)
        kept = next(row for row in found.rows if row.name == CELL)
        line = f"{CELL}: {kept.images} of {samples} images: the others were drawn before"
        assert (line in console.export_text()) == bool(kept.kept)
        return kept

    whole = row(20)
    assert (whole.images, whole.kept) == (20, 0)
    of(smoke, weighted, 14)
    left = row(20)
    assert (left.images, left.kept) == (8, 12)
    assert left.flops == pytest.approx(whole.flops * 8 / 20)
    weighted.weights("DDPM-linear").unlink()
    assert row(20).kept == 0
