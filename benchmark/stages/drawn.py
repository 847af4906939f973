"""Samples that were drawn before: a cell with more of them takes these, and draws the rest.

Image i has its noise from the seed and from i, so the first images of a cell are the same however
many are wanted. Snakemake removes the outputs of a job before it runs again, so a second name of
the file of the samples, which takes no room, is kept where no rule looks.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.core.errors import BenchmarkError
from benchmark.records.joining import Part, cut, join
from benchmark.records.record import Record, read_record
from benchmark.records.sections import AskedClasses, ShardIdentity
from benchmark.storage.arrays import open_array, read_blocks
from benchmark.storage.paths import Run

if TYPE_CHECKING:
    from benchmark.config.jobs.sample import SampleJob

_KIND = "sample"
_BLOCK = 256  # images that are in memory at a time


@dataclass(frozen=True)
class Drawn:
    """Images of a cell, or of a shard of it, that need not be drawn again.

    Attributes:
        name: id of the cell.
        images: their numbers in the cell; empty: all are to be drawn.
        place: folder in which they are kept.
        record: record of these images alone; None: there are none.
    """

    name: str
    images: range
    place: Run
    record: Record | None

    def blocks(self) -> Iterator[NDArray[np.uint8]]:
        """Yield the images, uint8 B×H×W×C."""
        if self.images:
            yield from read_blocks(self.place.samples(self.name), self.images, _BLOCK)

    def joined(self, drawn: Record, part: range) -> Record:
        """Return the record of these images and of those that were drawn now.

        Args:
            drawn: record of the images that were drawn now, if any were.
            part: all these images.
        """
        if self.record is None:
            return drawn
        before = Part(self.images, self.record)
        if self.images == part:
            return join([before], drawn, drawn.provenance)
        return join([before, Part(range(self.images.stop, part.stop), drawn)], drawn)


def drawn_before(
    job: SampleJob,
    run: Run,
    part: range,
    identity: ShardIdentity,
    device: str,
    classes: AskedClasses | None,
) -> Drawn:
    """Return which images of a part of a cell need not be drawn again: whole batches, if any.

    A cell with as many samples as before is drawn anew, since somebody has asked for that.

    Args:
        job: what is sampled, and how.
        run: the run.
        part: numbers of the images that are wanted.
        identity: hashes of the code and of the files that make the images what they are.
        device: device on which they are drawn: cpu or cuda.
        classes: classes of which samples are asked; None: of none.
    """
    place = run.drawn(job.name)
    none = Drawn(job.name, part[:0], place, None)
    try:
        record = read_record(place.record(_KIND, job.name))
        count = len(open_array(place.samples(job.name)))
    except BenchmarkError:  # nothing was kept, or it is damaged
        return none
    if (
        record.cell is None
        or record.timing is None
        or count != record.cell.samples
        or count == job.cell.samples
        or record.shard_identity != identity
        or record.provenance.device != device
        or {**record.spec, "samples": 0} != {**job.spec(), "samples": 0}
    ):
        return none
    whole = itertools.takewhile(lambda size: size == job.batch, record.timing.batch_images)
    stop = min(sum(whole), part.stop) // job.batch * job.batch
    images = range(part.start, max(part.start, stop))
    if not images or not _are_of(record.asked, classes, images.stop):
        return none
    at = record.provenance.started[:10]
    print(
        f"{job.name}: {len(images)} of {len(part)} images were drawn before ({at}), and are kept",
        file=sys.stderr,
    )
    return Drawn(job.name, images, place, cut(record, images))


def keep(run: Run, record: Record, identity: ShardIdentity) -> None:
    """Keep the samples of a cell, for one with more of them; nothing on a disk without hard links.

    Args:
        run: the run, with all files of the cell.
        record: record of the samples.
        identity: hashes of the code and of the files that make the images what they are.
    """
    place, name = run.drawn(record.id), record.id
    kept = place.record(_KIND, name)
    shutil.rmtree(place.root, ignore_errors=True)
    with contextlib.suppress(OSError):
        for path, source in (
            (place.samples(name), run.samples(name)),
            (place.movie(name), run.movie(name)),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            os.link(source, path)
        record.model_copy(update={"shard_identity": identity}).write(kept)


def _are_of(before: AskedClasses | None, now: AskedClasses | None, count: int) -> bool:
    """Tell whether the first samples of two cells are asked to be of the same classes."""
    if before is None or now is None:
        return before is now
    return (before.classes, before.labels[:count]) == (now.classes, now.labels[:count])
