"""The large arrays that a run writes: how many images and bytes each has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmark.config.config import Config
from benchmark.extractors import EXTRACTORS
from benchmark.storage.paths import Run

FLOAT_BYTES = 4
FEATURES = "features"  # a kind of arrays; all other kinds are of images


class _Array(NamedTuple):
    """An array of images, or of their features.

    Attributes:
        kind: prepared images, samples, controls or features.
        name: name of the data set, of the cell, or of all controls of a data set.
        path: path of the array.
        images: number of its rows.
        size: its size in bytes.
    """

    kind: str
    name: str
    path: Path
    images: int
    size: int


def arrays(config: Config, run: Run) -> Iterator[_Array]:
    """Yield every array of images and features; all other files of a run are small."""
    extractor = EXTRACTORS.make(config.evaluation.extractor)
    for kind, name, path, images, values in _images(config, run):
        yield _Array(kind, name, path, images, images * values)
        size = images * extractor.dimension * FLOAT_BYTES
        yield _Array(FEATURES, name, run.features(extractor.kind, name), images, size)


def _images(config: Config, run: Run) -> Iterator[tuple[str, str, Path, int, int]]:
    """Yield kind, name, path, number and values of each of all images that are embedded."""

    def values(dataset: str) -> int:
        source = config.data[dataset]
        return source.channels * source.resolution**2

    for name in sorted({cell.dataset for cell in config.cells}):
        source, controls = config.data[name], config.controls_of(name)
        images = source.train + source.held_out
        yield "prepared images", name, run.images(name), images, values(name)
        made = len(config.evaluation.controls) * config.control_count(name)
        if made:
            yield "controls", controls, run.samples(controls), made, values(name)
    for cell in config.cells:
        yield "samples", cell.id, run.samples(cell.id), cell.samples, values(cell.dataset)
