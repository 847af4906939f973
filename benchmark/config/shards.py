"""Shards: parts of a cell that separate jobs sample or embed, and that `merge` joins."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from benchmark.core.canonical import spec_hash
from benchmark.core.errors import BenchmarkError
from benchmark.records.record import read_record

if TYPE_CHECKING:
    from benchmark.config.jobs.features import FeaturesJob
    from benchmark.config.jobs.sample import SampleJob
    from benchmark.storage.paths import Run

Sharded = Literal["sample", "features"]  # kinds of records of jobs that may work in shards


def split(count: int, batch: int, size: int | None) -> list[range]:
    """Return the shards of `count` images: whole batches, with at least `size` images in each.

    The last shard may be smaller. If `size` is None, there is only one.
    """
    step = count if size is None else -(-size // batch) * batch
    return [range(start, min(start + step, count)) for start in range(0, count, step)]


def shard_name(part: range) -> str:
    """Return the name of a shard: the number of its first image, and that after its last image."""
    return f"{part.start}-{part.stop}"


def parse_shard(shard: str, count: int, batch: int) -> range:
    """Return the images of the shard called `shard`, as 0-1000.

    Raises:
        BenchmarkError: it is no shard of `count` images, or begins or ends within a batch.
    """
    found = re.fullmatch(r"(\d+)-(\d+)", shard)
    part = range(*map(int, found.groups())) if found else range(0)
    whole = part.start % batch == 0 and (part.stop % batch == 0 or part.stop == count)
    if not part or part.stop > count or not whole:
        raise BenchmarkError(
            f"--shard {shard}: parts of {count} images are whole batches of {batch}, as "
            f"{shard_name(split(count, batch, batch)[0])}"
        )
    return part


def size_of(made: SampleJob | FeaturesJob, sampled: SampleJob, run: Run) -> int | None:
    """Return how many images of a cell each job makes; None: one job makes all.

    A cell that is done keeps the size with which it was made. The images do not depend on the size,
    so a config with another size makes nothing again.

    Args:
        made: job that makes all samples, or all features, of the cell.
        sampled: job that samples the cell.
        run: run whose records tell what is done.
    """
    try:
        samples, record = (read_record(run.record(job.kind, job.name)) for job in (sampled, made))
    except BenchmarkError:
        return made.shard
    return record.shard_images if samples.spec_hash == spec_hash(sampled.spec()) else made.shard
