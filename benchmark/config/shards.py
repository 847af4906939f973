"""Parts of a cell that jobs of their own sample or embed, before `merge` makes one of them."""

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

Sharded = Literal["sample", "features"]  # of the records of what is made in parts


def split(count: int, batch: int, size: int | None) -> list[range]:
    """Return the parts of `count` images: whole batches of all, of at least `size` images each.

    The last part may be smaller; without a size there is only one.
    """
    step = count if size is None else -(-size // batch) * batch
    return [range(start, min(start + step, count)) for start in range(0, count, step)]


def shard_name(part: range) -> str:
    """Return the name of a part: its first image, and the one behind its last."""
    return f"{part.start}-{part.stop}"


def parse_shard(shard: str, count: int, batch: int) -> range:
    """Return the images of the part called `shard`, as 0-1000.

    Raises:
        BenchmarkError: it is not a part of `count` images, or would begin or end within a batch.
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

    What is done keeps the size that it was made in: its images do not depend on it, so a config
    with another one makes nothing again.

    Args:
        made: the job that makes all of them, samples or features.
        sampled: the job that samples them.
        run: whose records tell what is done.
    """
    try:
        samples, record = (read_record(run.record(job.kind, job.name)) for job in (sampled, made))
    except BenchmarkError:
        return made.shard
    return record.shard_images if samples.spec_hash == spec_hash(sampled.spec()) else made.shard
