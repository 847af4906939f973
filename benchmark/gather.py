"""Gather images that were made elsewhere, to be judged as samples are."""

from __future__ import annotations

from collections import Counter

import numpy as np

from benchmark.atomic import atomic_path
from benchmark.config import Config
from benchmark.data.folder import file_candidates, find_images
from benchmark.errors import BenchmarkError
from benchmark.paths import Run
from benchmark.pictures import save_grid
from benchmark.prepare import reading
from benchmark.progress import track
from benchmark.records import Record, Stopwatch, provenance, spec_hash


def stage(config: Config, name: str, run: Run) -> Record:
    """Bring the images of the cell `name` to the resolution of its data set; write the record.

    They are cropped and resized as the data set's own. Of a folder with more images than the cell
    has samples, the cell's seed draws some.

    Raises:
        BenchmarkError: no folder, too few images in it, or one that cannot be read.
    """
    watch = Stopwatch()
    spec, cell = config.gather_spec(name), config.cell(name)
    at, folder = f"models.{cell.model}.images", config.models[cell.model].images
    assert folder is not None
    files, _ = find_images(folder)
    if len(files) < cell.samples:
        raise BenchmarkError(f"{at}: {len(files)} images in {folder}: {cell.samples} are asked for")
    candidates = file_candidates(folder, files, cell.seed)
    items = candidates.read(sorted(candidates.order[: cell.samples]))
    images = np.empty((cell.samples, cell.resolution, cell.resolution, 3), np.uint8)
    conversions: Counter[str] = Counter()
    with reading(cell.samples) as read:
        pictures = track(read(config.data[cell.dataset], items), cell.samples, f"gather {name}")
        for row, picture in enumerate(pictures):
            if picture.pixels is None:
                raise BenchmarkError(f"{at}: {folder}: {picture.name}: {picture.problem}")
            images[row] = picture.pixels
            conversions.update(picture.notes)
    with atomic_path(run.samples(name)) as temporary:
        np.save(temporary, images)
    save_grid(images, run.grid(name))
    record = Record(
        kind="sample",
        id=name,
        spec=spec,
        spec_hash=spec_hash(spec),
        provenance=provenance(watch),
        cell=cell,
        facts={
            "folder": folder.name,
            "images_in_folder": len(files),
            "conversions": [f"{what}: {count}" for what, count in sorted(conversions.items())],
        },
    )
    record.write(run.record("sample", name))
    return record
