"""Records of parts of a cell, joined to that of the whole; and cut, for a cell that grows.

Each job of a joined record tells which images it made and when it ran, and each has its own entry
of `contention`, so that times of several days stay apart.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

from benchmark.core.values import Value
from benchmark.records.contention import Contention
from benchmark.records.provenance import JobRun, Provenance
from benchmark.records.record import Record
from benchmark.records.timing import Timing

_IMAGES = "images"  # the name of the value in a record of features
# Fields of a provenance that hold text.
_TEXTS = {
    *("cpu", "device", "gpu", "driver", "precision", "python", "system"),
    *("git_commit", "lock_sha256"),
}


class Part(NamedTuple):
    """Some images of a cell, and the record of them."""

    images: range
    record: Record


class _Making(NamedTuple):
    """A job that made images, and what else used its machine; None: unknown."""

    job: JobRun
    contention: Contention | None


def join(parts: Sequence[Part], like: Record, own: Provenance | None = None) -> Record:
    """Return the record of all images of some parts.

    Args:
        parts: the parts, in the order of their images.
        like: record with all that parts do not differ in, such as the specification.
        own: provenance of a job that only joins; None: the jobs of the parts did all.
    """
    records = [part.record for part in parts]
    timings = [record.timing for record in records if record.timing]
    timing = _joined_timing(timings) if timings else None
    images = math.fsum(record.values[_IMAGES].value for record in records if not record.timing)
    made = _in_one(chain.from_iterable(_makings(part) for part in parts))
    contention = [each.contention for each in made if each.contention is not None]
    joined = [job for record in records for job in record.jobs or [] if job.images is None]
    jobs = [*(each.job for each in made), *joined, *([job_run(own)] if own else [])]
    return like.model_copy(
        update={
            "provenance": _joined_machines([record.provenance for record in records], jobs),
            "values": timing.values if timing else {_IMAGES: Value(value=images)},
            "timing": timing,
            "contention": contention if len(contention) == len(made) else [],
            "shard_identity": None,
            "jobs": jobs,
        }
    )


def cut(record: Record, images: range) -> Record:
    """Return the record of the first images of a cell, or of some from among them.

    Args:
        record: record of the samples of a cell.
        images: images that are whole batches of this record.
    """
    assert record.timing is not None
    assert record.cell is not None
    whole = Part(range(record.cell.samples), record)
    made = [
        _Making(_with_images(each.job, common), each.contention)
        for each in _makings(whole)
        if (common := _common(each.job, images))
    ]
    contention = [each.contention for each in made if each.contention is not None]
    timing = _cut_timing(record.timing, images)
    return record.model_copy(
        update={
            "values": timing.values,
            "timing": timing,
            "contention": contention if len(contention) == len(made) else [],
            "jobs": [each.job for each in made],
        }
    )


def job_run(provenance: Provenance, images: range | None = None) -> JobRun:
    """Return when a job ran and, if it made images of a cell, which."""
    facts = provenance.model_dump(include=set(JobRun.model_fields))
    return JobRun(**facts, images=(images.start, images.stop) if images else None)


def _makings(part: Part) -> list[_Making]:
    """Return the jobs that made the images of a part, in their order."""
    record = part.record
    jobs = [job for job in record.jobs or [] if job.images is not None]
    jobs = jobs or [job_run(record.provenance, part.images)]
    told = len(record.contention) == len(jobs)
    contention = record.contention if told else [None] * len(jobs)
    return [_Making(*both) for both in zip(jobs, contention, strict=True)]


def _in_one(made: Iterable[_Making]) -> list[_Making]:
    """Return the same, where what one job made stands in several parts, with one entry for it."""
    found: list[_Making] = []
    for each in made:
        last = found[-1] if found else None
        if last and last.job == _with_images(each.job, _range(last.job)):
            both = range(_range(last.job).start, _range(each.job).stop)
            found[-1] = _Making(_with_images(each.job, both), each.contention)
        else:
            found.append(each)
    return found


def _range(job: JobRun) -> range:
    assert job.images is not None
    return range(*job.images)


def _with_images(job: JobRun, images: range) -> JobRun:
    return job.model_copy(update={"images": (images.start, images.stop)})


def _common(job: JobRun, images: range) -> range:
    """Return which of some images a job made."""
    made = _range(job)
    return range(max(made.start, images.start), min(made.stop, images.stop))


def _cut_timing(timing: Timing, images: range) -> Timing:
    """Return the times of the batches that consist of some images."""
    ends = [sum(timing.batch_images[: i + 1]) for i in range(len(timing.batch_images))]
    wanted = slice(
        sum(end <= images.start for end in ends), sum(end <= images.stop for end in ends)
    )
    laps, sizes = timing.batch_laps[wanted], timing.batch_images[wanted]
    counted = sum(evaluations for batch in laps for _, evaluations in batch)
    is_all = sizes == timing.batch_images
    return timing.model_copy(
        update={
            "warmup_batches": timing.warmup_batches if images.start == 0 else 0,
            "batch_seconds": timing.batch_seconds[wanted],
            "batch_images": sizes,
            "batch_laps": laps,
            "network_evaluations": counted / len(images) if laps else timing.network_evaluations,
            "joules": timing.joules if is_all else None,  # which were measured of all batches
        }
    )


def _joined_timing(parts: Sequence[Timing]) -> Timing:
    """Return the times of the batches of all parts, and the largest peak memory."""
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


def _joined_machines(machines: Sequence[Provenance], jobs: Sequence[JobRun]) -> Provenance:
    """Return one provenance for all parts.

    Where the machines differ, their descriptions are joined: no other machine has such a
    description, so that times on them are compared with no others.

    Args:
        machines: provenances of the parts.
        jobs: all jobs of the parts, each once.
    """
    same = len({(machine.cores, machine.threads, machine.processes) for machine in machines}) == 1
    facts = [machine.model_dump(include=_TEXTS) for machine in machines]
    if not same:
        for fact, machine in zip(facts, machines, strict=True):
            used = machine.threads * machine.processes
            fact["cpu"] = f"{machine.cpu}, {used} of {machine.cores} cores"
    libraries = {name for machine in machines for name in machine.libraries}
    startups = [job.startup_seconds for job in jobs if job.startup_seconds is not None]
    return machines[0].model_copy(
        update={
            **{name: _both(fact[name] for fact in facts) for name in _TEXTS},
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
            "wall_seconds": round(math.fsum(job.wall_seconds for job in jobs), 3),
            "startup_seconds": round(math.fsum(startups), 3),
        }
    )


def _both(values: Iterable[str | None]) -> str | None:
    """Return the one value, or several ones joined, each with the number of parts that have it."""
    told = Counter(value for value in values if value is not None)
    if len(told) <= 1:
        return next(iter(told), None)
    return " + ".join(f"{count} × {value}" for value, count in sorted(told.items()))
