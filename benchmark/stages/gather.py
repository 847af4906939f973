"""Gather images that another program has made, so that they are judged as samples are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.core.cores import available_cores
from benchmark.core.errors import BenchmarkError
from benchmark.core.progress import track
from benchmark.data.listing import tell_ignored
from benchmark.records.draft import Draft
from benchmark.records.provenance import Work
from benchmark.records.record import Record
from benchmark.records.sections import AskedClasses, Gathered
from benchmark.records.sketch import sketch_of
from benchmark.stages.prepare import counted, print_conversions
from benchmark.stages.reading import ReadImage, reading
from benchmark.storage.arrays import write_placed
from benchmark.storage.paths import Run
from benchmark.storage.pictures import save_grid

if TYPE_CHECKING:
    from benchmark.config.jobs.gather import GatherJob


def stage(job: GatherJob, run: Run, threads: int | None = None) -> Record:
    """Crop and resize the images of a cell as those of its data set, and write the record.

    As many images as the cell has samples are drawn by the cell's seed. They are in random order,
    so that the first ones are a random sample too.

    Args:
        job: which images, and how many.
        run: the run that has the cell.
        threads: processes that read images; None: one for each core that this process may use.

    Raises:
        BenchmarkError: there are too few images, or one cannot be read or has no class.
    """
    draft = Draft(job.kind, job.name, job.spec())
    threads = threads or available_cores()
    cell, made = job.cell, job.made
    offer = made.offer(cell.seed)
    made.check_count(len(offer.train.order), cell.samples)
    tell_ignored(made.path, offer.ignored)
    numbers = made.numbers(job.classes) if made.labels is not None else []
    place = {index: i for i, index in enumerate(offer.train.order[: cell.samples])}
    conversions: Counter[str] = Counter()
    names = [""] * cell.samples
    labels: dict[int, int] = {}

    def rows(pictures: Iterable[ReadImage]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        # In ascending order, so that a file of many images is read once from front to back.
        for index, picture in zip(sorted(place), pictures, strict=True):
            if picture.pixels is None:
                raise BenchmarkError(
                    f"{made.key}.images: {made.path}: {picture.name}: {picture.problem}"
                )
            conversions.update(picture.notes)
            names[place[index]] = picture.name
            if picture.label is not None:
                labels[place[index]] = numbers[picture.label]
            yield place[index], picture.pixels

    shape = (cell.samples, cell.resolution, cell.resolution, job.source.channels)
    with reading(cell.samples, threads) as read:
        pictures = read(job.source, offer.train.read(sorted(place)))
        told = track(rows(pictures), cell.samples, f"gather {job.name}")
        write_placed(run.samples(job.name), told, shape, np.uint8)
    print_conversions(made.path, conversions)
    images = np.load(run.samples(job.name), mmap_mode="r")
    save_grid(images, run.grid(job.name))
    asked = AskedClasses(classes=list(job.classes), labels=[labels[i] for i in sorted(labels)])
    return draft.write(
        run,
        Work(threads=threads),
        cell=cell,
        sketch=sketch_of(images),
        asked=asked if labels else None,
        gathered=Gathered(
            folder=made.path.name,
            images_in_folder=len(offer.train.order),
            ignored_files=counted(offer.ignored),
            files=names,
            conversions=counted(conversions),
        ),
    )
