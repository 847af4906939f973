"""Merge the shards of a cell into what one job would have written for the whole cell."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from benchmark.config.shards import shard_name, split
from benchmark.core.canonical import spec_hash
from benchmark.core.errors import BenchmarkError
from benchmark.core.values import Value
from benchmark.records.contention import Contention
from benchmark.records.provenance import JobRun, Provenance, Stopwatch, Work, provenance
from benchmark.records.record import Record, read_record
from benchmark.records.sections import ShardIdentity
from benchmark.records.timing import Timing
from benchmark.storage.arrays import open_array, read_blocks, write_blocks
from benchmark.storage.paths import Run
from benchmark.storage.pictures import read_movie, write_pictures

if TYPE_CHECKING:
    from benchmark.config.jobs.merge import MergeJob

_BLOCK = 256  # images, or their features, that are in memory at a time
_IMAGES = "images"  # the name of the value in a record of features
# Fields of a provenance that hold text.
TEXTS = {
    *("cpu", "device", "gpu", "driver", "precision", "python", "system"),
    *("git_commit", "lock_sha256"),
}


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
    record = merged_record(records, watch, size)
    record.write(run.record(whole.kind, name))
    return record


def merged_record(records: Sequence[Record], watch: Stopwatch, size: int) -> Record:
    """Return the record of a whole cell.

    Args:
        records: records of its shards, in the order of their images.
        watch: the stopwatch of the merging.
        size: images in a shard.
    """
    first = records[0]
    own = provenance(watch, Work())
    machines = [record.provenance for record in records]
    timings = [record.timing for record in records if record.timing]
    timing = _timing(timings) if timings else None
    images = math.fsum(record.values[_IMAGES].value for record in records if not record.timing)
    return first.model_copy(
        update={
            "provenance": _joined(machines, own),
            "values": timing.values if timing else {_IMAGES: Value(value=images)},
            "timing": timing,
            "contention": _contention(records),
            "shard_identity": None,
            "shard_images": size,
            "jobs": [
                JobRun.model_validate(machine.model_dump(include=set(JobRun.model_fields)))
                for machine in (*machines, own)
            ],
        }
    )


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


def _timing(parts: Sequence[Timing]) -> Timing:
    """Return the times of the batches of all shards, and the largest peak memory."""
    images = [sum(part.batch_images) for part in parts]
    evaluations = sum(n * part.network_evaluations for n, part in zip(images, parts, strict=True))
    joules = [part.joules for part in parts if part.joules is not None]
    clocks = [part.gpu_clock_mhz for part in parts if part.gpu_clock_mhz is not None]
    throttled = [part.gpu_throttled for part in parts if part.gpu_throttled is not None]
    laps = [part.batch_laps for part in parts]
    return Timing(
        warmup_batches=sum(part.warmup_batches for part in parts),
        batch=parts[0].batch,
        batch_seconds=list(chain.from_iterable(part.batch_seconds for part in parts)),
        batch_images=list(chain.from_iterable(part.batch_images for part in parts)),
        batch_laps=list(chain.from_iterable(laps)) if all(laps) else [],
        network_evaluations=evaluations / sum(images),
        peak_memory_bytes=max(part.peak_memory_bytes for part in parts),
        peak_memory_of=parts[0].peak_memory_of,
        joules=math.fsum(joules) if len(joules) == len(parts) else None,
        gpu_clock_mhz=min(clocks, default=None),
        gpu_throttled=sorted({*chain.from_iterable(throttled)}) if throttled else None,
    )


def _contention(records: Sequence[Record]) -> list[Contention]:
    """Return what else used the machines of all shards; nothing if it is unknown of one."""
    told = [record.contention for record in records]
    return list(chain.from_iterable(told)) if all(told) else []


def _joined(machines: Sequence[Provenance], own: Provenance) -> Provenance:
    """Return one provenance for the jobs of all shards and for the merging.

    Where the machines differ, their descriptions are joined: no other machine has such a
    description, so that times on them are compared with no others.

    Args:
        machines: provenances of the shards.
        own: provenance of the merging.
    """
    same = len({(machine.cores, machine.threads, machine.processes) for machine in machines}) == 1
    facts = [machine.model_dump(include=TEXTS) for machine in machines]
    if not same:
        for fact, machine in zip(facts, machines, strict=True):
            used = machine.threads * machine.processes
            fact["cpu"] = f"{machine.cpu}, {used} of {machine.cores} cores"
    libraries = {name for machine in machines for name in machine.libraries}
    startups = [machine.startup_seconds for machine in (*machines, own)]
    return machines[0].model_copy(
        update={
            **{name: _both(fact[name] for fact in facts) for name in TEXTS},
            "cores": max(machine.cores for machine in machines),
            "threads": max(machine.threads for machine in machines),
            "processes": max(machine.processes for machine in machines),
            "memory_bytes": min(machine.memory_bytes for machine in machines),
            "libraries": {
                name: _both(machine.libraries.get(name, "none") for machine in machines)
                for name in sorted(libraries)
            },
            "git_dirty": any(machine.git_dirty for machine in machines),
            "started": min(machine.started for machine in machines),
            "wall_seconds": round(math.fsum(m.wall_seconds for m in (*machines, own)), 3),
            "startup_seconds": round(math.fsum(s for s in startups if s is not None), 3),
        }
    )


def _both(values: Iterable[str | None]) -> str | None:
    """Return the one value, or several ones joined, each with the number of jobs that have it."""
    told = Counter(value for value in values if value is not None)
    if len(told) <= 1:
        return next(iter(told), None)
    return " + ".join(f"{count} × {value}" for value, count in sorted(told.items()))
