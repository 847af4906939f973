"""Gather images that another program has made, so that they are judged as samples are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.core.cores import available_cores
from benchmark.core.errors import BenchmarkError
from benchmark.core.progress import track
from benchmark.data.image_files import file_candidates
from benchmark.data.labels import labels_among
from benchmark.data.listing import image_files, tell_ignored
from benchmark.records.draft import Draft
from benchmark.records.provenance import Work
from benchmark.records.record import Record
from benchmark.records.sections import AskedClasses, Gathered
from benchmark.records.sketch import sketch_of
from benchmark.stages.prepare import counted, print_conversions
from benchmark.stages.reading import ReadImage, reading
from benchmark.storage.arrays import write_blocks
from benchmark.storage.paths import Run
from benchmark.storage.pictures import save_grid

if TYPE_CHECKING:
    from benchmark.config.jobs.gather import GatherJob
    from benchmark.data.sources.base import Item


def stage(job: GatherJob, run: Run, threads: int | None = None) -> Record:
    """Crop and resize the images of a cell as those of its data set, and write the record.

    As many images as the cell has samples are drawn by the cell's seed. They are in random order,
    so that the first ones are a random sample too.

    Args:
        job: which images, and how many.
        run: the run that has the cell.
        threads: processes that read images; None: one for each core that this process may use.

    Raises:
        BenchmarkError: the folder is missing, it has too few images, or one cannot be read.
    """
    draft = Draft(job.kind, job.name, job.spec())
    threads = threads or available_cores()
    cell, at, folder = job.cell, f"{job.key}.images", job.folder
    files, ignored = image_files(folder, at)
    tell_ignored(folder, ignored)
    items = _drawn(job, files)
    conversions: Counter[str] = Counter()
    names: list[str] = []
    labels: list[int] = []

    def rows(pictures: Iterable[ReadImage]) -> Iterator[NDArray[np.uint8]]:
        for picture in track(pictures, cell.samples, f"gather {job.name}"):
            if picture.pixels is None:
                raise BenchmarkError(f"{at}: {folder}: {picture.name}: {picture.problem}")
            conversions.update(picture.notes)
            names.append(picture.name)
            if picture.label is not None:
                labels.append(picture.label)
            yield picture.pixels

    shape = (cell.samples, cell.resolution, cell.resolution, job.source.channels)
    with reading(cell.samples, threads) as read:
        pictures = read(job.source, items)
        write_blocks(run.samples(job.name), rows(pictures), shape, np.uint8)
    print_conversions(folder, conversions)
    images = np.load(run.samples(job.name), mmap_mode="r")
    save_grid(images, run.grid(job.name))
    return draft.write(
        run,
        Work(threads=threads),
        cell=cell,
        sketch=sketch_of(images),
        asked=AskedClasses(classes=list(job.classes), labels=labels) if labels else None,
        gathered=Gathered(
            folder=folder.name,
            images_in_folder=len(files),
            ignored_files=counted(ignored),
            files=names,
            conversions=counted(conversions),
        ),
    )


def _drawn(job: GatherJob, files: Sequence[str]) -> Iterator[Item]:
    """Draw as many of the files as the cell has samples, by its seed."""
    count, labels = job.cell.samples, None
    if len(files) < count:
        raise BenchmarkError(
            f"{job.key}.images: {len(files)} images in {job.folder}: {count} are asked for"
        )
    if job.labels is not None:
        labels = labels_among(files, job.folder, job.labels, job.classes, job.key)
    candidates = file_candidates(job.folder, files, job.cell.seed, labels)
    return candidates.read(candidates.order[:count])
