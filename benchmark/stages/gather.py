"""Gather images that were made elsewhere, to be judged as samples are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from benchmark.config.config import Config
from benchmark.core.cores import available_cores
from benchmark.core.errors import BenchmarkError
from benchmark.core.progress import track
from benchmark.data.image_files import file_candidates
from benchmark.data.listing import image_files, tell_ignored
from benchmark.records.draft import Draft
from benchmark.records.provenance import Work
from benchmark.records.record import Record
from benchmark.records.sections import Gathered
from benchmark.stages.prepare import ReadImage, counted, reading, tell_conversions
from benchmark.storage.arrays import write_blocks
from benchmark.storage.paths import Run
from benchmark.storage.pictures import save_grid


def stage(config: Config, name: str, run: Run, threads: int | None = None) -> Record:
    """Bring the images of the cell `name` to the resolution of its data set; write the record.

    They are cropped and resized as the data set's own. The cell's seed draws as many as the cell
    has samples, in an order of chance, so that the first ones stand for all.

    Args:
        config: of the run.
        name: of the cell.
        run: where it is written.
        threads: processes that read images; None: one for each core that this process may use.

    Raises:
        BenchmarkError: no folder, too few images in it, or one that cannot be read.
    """
    draft = Draft("sample", name, config.gather_spec(name))
    threads = threads or available_cores()
    cell = config.cell(name)
    at, folder = f"models.{cell.model}.images", config.models[cell.model].images
    assert folder is not None
    files, ignored = image_files(folder, at)
    tell_ignored(folder, ignored)
    if len(files) < cell.samples:
        raise BenchmarkError(f"{at}: {len(files)} images in {folder}: {cell.samples} are asked for")
    candidates = file_candidates(folder, files, cell.seed)
    items = candidates.read(candidates.order[: cell.samples])
    conversions: Counter[str] = Counter()
    names: list[str] = []

    def rows(pictures: Iterable[ReadImage]) -> Iterator[NDArray[np.uint8]]:
        for picture in track(pictures, cell.samples, f"gather {name}"):
            if picture.pixels is None:
                raise BenchmarkError(f"{at}: {folder}: {picture.name}: {picture.problem}")
            conversions.update(picture.notes)
            names.append(picture.name)
            yield picture.pixels

    shape = (cell.samples, cell.resolution, cell.resolution, 3)
    with reading(cell.samples, threads) as read:
        pictures = read(config.data[cell.dataset], items)
        write_blocks(run.samples(name), rows(pictures), shape, np.uint8)
    tell_conversions(folder, conversions)
    save_grid(np.load(run.samples(name), mmap_mode="r"), run.grid(name))
    return draft.write(
        run,
        Work(threads=threads),
        cell=cell,
        gathered=Gathered(
            folder=folder.name,
            images_in_folder=len(files),
            ignored_files=counted(ignored),
            files=names,
            conversions=counted(conversions),
        ),
    )
