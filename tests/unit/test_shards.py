"""Shards: whole batches of a cell, made by jobs of their own and merged to the same bytes."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stages import do

from benchmark.config.config import Config
from benchmark.config.loading import parse_config
from benchmark.config.shards import parse_shard, shard_name, size_of, split
from benchmark.core.errors import BenchmarkError
from benchmark.records.joining import Part, _joined_timing
from benchmark.records.provenance import Stopwatch
from benchmark.records.record import Record, read_record
from benchmark.records.rows import Row, timed_alike
from benchmark.report.timeline import place
from benchmark.stages import merge
from benchmark.storage.paths import Run

CELL = "DDPM-linear-ddpm-10-s0"
EXTRACTOR = "efficientnet-lite0"


def sharded(config: Config, shard: int | None, samples: int = 20, **changes: object) -> Config:
    content = config.model_dump(mode="json")
    for entry in content["grid"]:
        entry |= {"samples": samples, "shard": shard}
    return parse_config({**content, **changes})


@given(st.integers(1, 500), st.integers(1, 70), st.none() | st.integers(1, 600))
def test_shards_are_whole_batches_of_all(count: int, batch: int, size: int | None) -> None:
    parts = split(count, batch, size)
    assert list(chain.from_iterable(parts)) == list(range(count))
    assert all(part.start % batch == 0 for part in parts)
    if size is None or size >= count:
        assert parts == [range(count)]
    else:
        assert all(size <= len(part) < size + batch for part in parts[:-1])
        assert len({len(part) for part in parts[:-1]}) <= 1
    assert [parse_shard(shard_name(part), count, batch) for part in parts] == parts


@pytest.mark.parametrize("shard", ["3", "0-5", "3-12", "6-6", "12-6", "0-26", "a-6", "-6-0", ""])
def test_what_is_no_shard_is_refused_with_one_that_is(shard: str) -> None:
    with pytest.raises(BenchmarkError, match=r"parts of 20 images are whole batches of 6, as 0-6$"):
        parse_shard(shard, 20, 6)


def test_images_made_elsewhere_have_no_shards(smoke: Config) -> None:
    content = smoke.model_dump(mode="json")
    content["models"]["gan"] = {"family": "GAN", "data": "tiny", "images": "elsewhere"}
    content["grid"].append({"table": "gan", "model": "gan", "samples": 6, "shard": 3})
    with pytest.raises(BenchmarkError, match=r"grid\.2\.shard: models\.gan\.images are gathered"):
        parse_config(content)


def test_a_shard_is_in_no_specification(smoke: Config) -> None:
    one, other = sharded(smoke, None), sharded(smoke, 7)
    assert one.job("sample", CELL).spec() == other.job("sample", CELL).spec()
    assert one.job("features", CELL).spec() == other.job("features", CELL).spec()
    assert one.cell(CELL) == other.cell(CELL)
    assert (one.shard(CELL), other.shard(CELL)) == (None, 7)


@pytest.fixture(scope="module")
def made(smoke: Config, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    """The same cell by one job, and by one for each shard."""
    from random_weights import with_random_weights

    config = sharded(smoke, 5)
    whole, parts = (Run(tmp_path_factory.mktemp(name) / "smoke") for name in ("whole", "parts"))
    for run in (whole, parts):
        with_random_weights(config, run)
    do("sample", config, CELL, whole)
    do("features", config, CELL, whole)
    for part in split(20, 6, 5)[::-1]:
        do("sample", config, CELL, parts, shard=shard_name(part))
    do("merge_samples", config, CELL, parts)
    for part in split(20, 8, 5):
        do("features", config, CELL, parts, shard=shard_name(part))
    do("merge_features", config, CELL, parts)
    return whole, parts


def test_shards_merge_to_the_bytes_of_one_job(made: tuple[Run, Run]) -> None:
    files: list[Callable[[Run], Path]] = [
        lambda run: run.samples(CELL),
        lambda run: run.grid(CELL),
        lambda run: run.chain(CELL),
        lambda run: run.movie(CELL),
        lambda run: run.features(EXTRACTOR, CELL),
    ]
    for file in files:
        whole, parts = map(file, made)
        assert whole.read_bytes() == parts.read_bytes(), whole.name


@pytest.mark.parametrize("kind", ["sample", "features"])
def test_the_record_of_shards_differs_in_times_alone(made: tuple[Run, Run], kind: str) -> None:
    whole, parts = (read_record(run.record(kind, CELL)) for run in made)
    timed = {"provenance", "timing", "values", "jobs", "shard_images", "contention"}
    assert parts.model_dump(exclude=timed) == whole.model_dump(exclude=timed)
    assert (parts.shard_images, whole.shard_images) == (5, None)
    assert parts.values.keys() == whole.values.keys()
    assert parts.provenance.cpu == whole.provenance.cpu


def test_where_a_shard_tells_no_laps_the_whole_has_none(made: tuple[Run, Run]) -> None:
    run = made[1]
    records = [
        read_record(run.shard("sample", CELL, shard_name(part)).record("sample", CELL))
        for part in split(20, 6, 5)
    ]
    [first, *others] = [record.timing for record in records if record.timing]
    older = first.model_copy(update={"batch_laps": []})
    assert _joined_timing([older, *others]).laps == [
        (seconds, images, images)
        for timing in (first, *others)
        for seconds, images in zip(timing.batch_seconds, timing.batch_images, strict=True)
    ]


def test_the_timing_joins_the_batches_of_the_shards(made: tuple[Run, Run]) -> None:
    run = made[1]
    record = read_record(run.record("sample", CELL))
    shards = [
        read_record(run.shard("sample", CELL, shard_name(part)).record("sample", CELL))
        for part in split(20, 6, 5)
    ]
    timings = [shard.timing for shard in shards if shard.timing]
    assert record.timing is not None
    assert record.timing.batch_images == [6, 6, 6, 2]
    assert record.timing.batch_seconds == [s for t in timings for s in t.batch_seconds]
    assert record.timing.batch_laps == [laps for t in timings for laps in t.batch_laps]
    assert record.timing.batch_laps
    assert record.timing.network_evaluations == 10
    assert record.timing.peak_memory_bytes == max(t.peak_memory_bytes for t in timings)
    assert record.values["sample_seconds"].value == sum(record.timing.batch_seconds)
    assert record.timing.batches == record.timing.batch == 6
    assert record.jobs is not None
    assert [job.started for job in record.jobs[:-1]] == [s.provenance.started for s in shards]
    wall = sum(job.wall_seconds for job in record.jobs)
    assert record.provenance.wall_seconds == pytest.approx(wall, abs=1e-3)
    assert len(place([record])) == 5  # of the timeline: four shards and their merging


def joined(made: tuple[Run, Run], **changes: object) -> Record:
    """The record of two shards, of which the second ran elsewhere."""
    shard = read_record(made[1].shard("sample", CELL, "0-6").record("sample", CELL))
    machines = [
        shard.provenance.model_copy(update={"gpu": "A100"} | more) for more in ({}, changes)
    ]
    shards = [shard.model_copy(update={"provenance": machine}) for machine in machines]
    parts = [Part(range(0, 6), shards[0]), Part(range(6, 12), shards[1])]
    return merge.merged_record(parts, Stopwatch(), 6)


@pytest.mark.parametrize(
    "changes", [{"cpu": "another"}, {"cores": 999}, {"threads": 999}, {"gpu": "B300"}]
)
def test_times_of_shards_on_other_hardware_compare_with_none(
    made: tuple[Run, Run], changes: dict[str, object]
) -> None:
    alike, mixed = joined(made), joined(made, **changes)
    other = alike.model_copy(update={"provenance": alike.provenance.model_copy(update=changes)})
    conditions = [timed_alike(Row("tiny", sample=record)) for record in (alike, other, mixed)]
    assert conditions[2] not in conditions[:2]


def test_what_differs_between_machines_is_told_with_its_number(made: tuple[Run, Run]) -> None:
    libraries = {"torch": "9.9"}
    alike = joined(made).provenance
    mixed = joined(made, cpu="another", libraries=libraries).provenance
    assert mixed.cpu == " + ".join(sorted([f"1 × {alike.cpu}", "1 × another"]))
    assert mixed.libraries["torch"] == f"1 × {alike.libraries['torch']} + 1 × 9.9"
    assert mixed.python == alike.python


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("spec_hash", "0" * 64, "made of another config"),
        ("sources", "0" * 64, "made by other sources than 0-6: make both again"),
        ("code", "0" * 64, "made by other code than 0-6: make both again"),
        ("device", "cuda", "made on cuda, but 0-6 on cpu, which draws other noise"),
    ],
)
def test_shards_that_do_not_belong_together_are_one_line(
    made: tuple[Run, Run], smoke: Config, key: str, value: str, expected: str
) -> None:
    run = made[1]
    path = run.shard("sample", CELL, "6-12").record("sample", CELL)
    before, samples = path.read_text(), run.samples(CELL).read_bytes()
    content = json.loads(before)
    for part in (content, content["shard_identity"], content["provenance"]):
        if key in part:
            part[key] = value
    path.write_text(json.dumps(content))
    try:
        with pytest.raises(BenchmarkError, match=expected) as caught:
            do("merge_samples", sharded(smoke, 5), CELL, run)
    finally:
        path.write_text(before)
    assert "shards/sample/6-12" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert run.samples(CELL).read_bytes() == samples


def test_features_of_damaged_samples_are_not_merged(
    made: tuple[Run, Run], smoke: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = made[1]
    path = run.samples(CELL)
    before = path.read_bytes()
    try:
        path.write_bytes(before[:-50] + bytes([before[-50] ^ 1]) + before[-49:])
        with pytest.raises(BenchmarkError, match=r"samples\.npy: damaged"):
            do("merge_features", sharded(smoke, 5), CELL, run)
        path.write_bytes(before[:300])
        with pytest.raises(BenchmarkError, match=r"samples\.npy: damaged"):
            do("features", sharded(smoke, 5), CELL, run, shard="0-8")
    finally:
        path.write_bytes(before)


def test_a_missing_shard_is_one_line(made: tuple[Run, Run], smoke: Config) -> None:
    with pytest.raises(BenchmarkError, match=r"shards/sample/0-12/.*not a readable record"):
        do("merge_samples", sharded(smoke, 5), CELL, made[1], size=7)


def test_a_shard_cut_short_is_one_line(made: tuple[Run, Run], smoke: Config) -> None:
    run = made[1]
    path = run.shard("sample", CELL, "6-12").samples(CELL)
    before = path.read_bytes()
    try:
        for content in (before[:-1], before[:100]):
            path.write_bytes(content)
            with pytest.raises(BenchmarkError, match=r"shards/sample/6-12.*damaged.*make it again"):
                do("merge_samples", sharded(smoke, 5), CELL, run)
        np.save(path, np.load(run.samples(CELL))[:5])
        with pytest.raises(BenchmarkError, match=r"6-12.*5 of 6 images: make this shard again"):
            do("merge_samples", sharded(smoke, 5), CELL, run)
    finally:
        path.write_bytes(before)


def test_what_is_done_keeps_the_size_of_its_shards(made: tuple[Run, Run], smoke: Config) -> None:
    whole, parts = made

    def size(config: Config, run: Run, kind: str) -> int | None:
        return size_of(config.job(kind, CELL), config.job("sample", CELL), run)

    for kind in ("sample", "features"):
        assert size(sharded(smoke, 7), whole, kind) is None
        assert size(sharded(smoke, 7), parts, kind) == 5
        assert size(sharded(smoke, None), parts, kind) == 5
        assert size(sharded(smoke, 7, samples=21), parts, kind) == 7


def test_a_shard_as_large_as_the_cell_is_the_cell(smoke: Config, weighted: Run) -> None:
    config = sharded(smoke, 100, samples=4)  # fewer than a batch
    do("sample", config, CELL, weighted)
    whole = weighted.samples(CELL).read_bytes()
    do("sample", config, CELL, weighted, shard="0-4")
    weighted.samples(CELL).unlink()
    do("merge_samples", config, CELL, weighted)
    assert weighted.samples(CELL).read_bytes() == whole
