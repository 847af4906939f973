"""Merge the shards of a cell into what one job would have written for the whole cell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.config.shards import shard_name, split
from benchmark.core.canonical import spec_hash
from benchmark.core.errors import BenchmarkError
from benchmark.records.joining import Part, join
from benchmark.records.provenance import Stopwatch, Work, provenance
from benchmark.records.record import Record, read_record
from benchmark.records.sections import ShardIdentity
from benchmark.records.sketch import sketch_of
from benchmark.stages.drawn import keep
from benchmark.storage.arrays import open_array, read_blocks, write_blocks
from benchmark.storage.paths import Run
from benchmark.storage.pictures import read_movie, write_pictures

if TYPE_CHECKING:
    from benchmark.config.jobs.merge import MergeJob

_BLOCK = 256  # images, or their features, that are in memory at a time


def stage(job: MergeJob, run: Run, size: int | None = None) -> Record:
    """Merge the shards of a cell; write what `sample` or `features` writes for a whole cell.

    Args:
        job: which shards are merged.
        run: the run that has them.
        size: images in a shard; None: as many as the config says.

    Raises:
        BenchmarkError: a shard is missing, or was made otherwise than the config says or than the
            other shards.
    """
    watch = Stopwatch()
    name, whole = job.name, job.whole
    size = size or whole.shard or job.cell.samples
    parts = split(job.cell.samples, whole.batch, size)
    places = [run.shard(whole.kind, name, shard_name(part)) for part in parts]
    records = [read_record(place.record(whole.kind, name)) for place in places]
    _check_alike(places, records, spec_hash(whole.spec()))
    if whole.kind == "features":
        open_array(run.samples(name))  # checks the hash, which the shards have not done
    _concatenate([whole.array(place) for place in places], parts, whole.array(run))
    if whole.kind == "sample":
        write_pictures(run, name, read_movie(places[0].movie(name), job.cell.resolution))
    record = merged_record([Part(*both) for both in zip(parts, records, strict=True)], watch, size)
    if whole.kind == "sample":
        sketch = sketch_of(np.load(run.samples(name), mmap_mode="r"))
        record = record.model_copy(update={"sketch": sketch})
    record.write(run.record(whole.kind, name))
    if whole.kind == "sample" and records[0].shard_identity:
        keep(run, record, records[0].shard_identity)
    return record


def merged_record(parts: Sequence[Part], watch: Stopwatch, size: int) -> Record:
    """Return the record of a whole cell.

    Args:
        parts: its shards, in the order of their images.
        watch: the stopwatch of the merging.
        size: images in a shard.
    """
    record = join(parts, parts[0].record, provenance(watch, Work()))
    return record.model_copy(update={"shard_images": size})


def _check_alike(places: Sequence[Run], records: Sequence[Record], spec: str) -> None:
    """Refuse shards that together are not what one job would have made.

    Args:
        places: folders of the shards.
        records: their records.
        spec: hash of the specification that the config asks for.

    Raises:
        BenchmarkError: a shard was made otherwise than the config says or than the first shard.
    """
    first = records[0]
    for place, record in zip(places, records, strict=True):
        if record.spec_hash != spec:
            raise BenchmarkError(f"{place.root}: made of another config: make this shard again")
        for key in ShardIdentity.model_fields:
            if _identity(record, key) != _identity(first, key):
                raise BenchmarkError(
                    f"{place.root}: made by other {key} than {places[0].root.name}: make both again"
                )
        if record.provenance.device != first.provenance.device:
            raise BenchmarkError(
                f"{place.root}: made on {record.provenance.device}, but {places[0].root.name} on "
                f"{first.provenance.device}, which draws other noise: state one as device"
            )


def _identity(record: Record, key: str) -> str | None:
    """Return one of the hashes that all shards must have in common."""
    return getattr(record.shard_identity, key, None)


def _concatenate(paths: Sequence[Path], parts: Sequence[range], target: Path) -> None:
    """Write the rows of several arrays into one, a block at a time."""
    first = _open(paths[0], parts[0])
    for path, part in zip(paths, parts, strict=True):
        _open(path, part)  # checks all of them before anything is written
    blocks = (
        block
        for path, part in zip(paths, parts, strict=True)
        for block in read_blocks(path, range(len(part)), _BLOCK)
    )
    write_blocks(target, blocks, (parts[-1].stop, *first.shape[1:]), first.dtype)


def _open(path: Path, part: range) -> NDArray[Any]:
    """Return the array of a shard, checked and memory-mapped."""
    array = open_array(path)
    if len(array) != len(part):
        raise BenchmarkError(f"{path}: {len(array)} of {len(part)} images: make this shard again")
    return array
