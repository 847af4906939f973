"""Measures how time and memory of the stages grow with samples, resolution, steps and images.

Each point is measured in a process of its own, so that its peak of memory is known. This module
does not import torch: the memory of a process counts in the peak of those that it starts.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.core.cores import available_cores
from benchmark.runtime.memory import peak_of_process
from benchmark.storage.arrays import read_blocks, write_blocks
from benchmark.storage.atomic import write_text
from benchmark.tools.speed.alone import in_new_process
from benchmark.tools.speed.telling import Told, tell

if TYPE_CHECKING:
    from benchmark.storage.paths import Run

DATA, CELL = "made", "DDIM-linear-ddim-{steps}-s0"
_FEW = 64  # samples, where another size grows
_BLOCK = 500  # rows that are made at a time
DECADE = 10  # the exponent is fitted to sizes from the largest down to the largest over this


@dataclass(frozen=True)
class GrowthSizes:
    """The sizes of each curve, in ascending order."""

    samples: tuple[int, ...] = (100, 300, 1000, 3000, 10_000)
    embedded: tuple[int, ...] = (100, 1000, 10_000)
    resolutions: tuple[int, ...] = (32, 64, 128, 256)
    steps: tuple[int, ...] = (10, 30, 100, 300, 1000)
    images: tuple[int, ...] = (1000, 20_000, 200_000)
    retrieved: tuple[int, ...] = (1000, 2000, 5000, 10_000)  # the first cell's time is quadratic


QUICK = GrowthSizes(
    samples=(16, 128),
    embedded=(4, 8),
    resolutions=(16, 32),
    steps=(2, 8),
    images=(40, 80),
    retrieved=(40, 80),
)


class Case(NamedTuple):
    """The sizes of one measurement. In a curve, one of them grows.

    Attributes:
        samples: samples of the cell.
        resolution: height and width of the images in pixels.
        steps: steps of the sampler.
        images: training images.
    """

    samples: int = _FEW
    resolution: int = 32
    steps: int = 10
    images: int = 100


class ResourceUse(NamedTuple):
    """The time that a stage took, and the peak memory of its process."""

    seconds: float
    megabytes: float


class GrowthCurve(NamedTuple):
    """Time and memory of a stage against one size.

    Attributes:
        stage: name of the stage.
        against: the field of `Case` that grows.
        sizes: the sizes, in ascending order.
        uses: time and memory at each size.
    """

    stage: str
    against: str
    sizes: list[int]
    uses: list[ResourceUse]

    @property
    def exponent(self) -> float:
        """The slope of log time against log size, over the largest decade of sizes."""
        points = [
            (size, use.seconds)
            for size, use in zip(self.sizes, self.uses, strict=True)
            if size * DECADE >= self.sizes[-1]
        ]
        size, seconds = np.log(np.array(points)).T
        return float(np.polyfit(size, seconds, 1)[0])

    def text(self) -> str:
        """Return the curve as a line."""
        points = ", ".join(
            f"{size}: {use.seconds:.3g} s {use.megabytes:.0f} MB"
            for size, use in zip(self.sizes, self.uses, strict=True)
        )
        return f"{self.stage} against {self.against}: exponent {self.exponent:.2f}; {points}"


def grow(
    sizes: GrowthSizes, output: Path | None = None, figure: Path | None = None
) -> list[GrowthCurve]:
    """Measure all curves, print each as soon as it is measured, and return them.

    Args:
        sizes: the sizes of each curve.
        output: file to write all figures to, JSON.
        figure: file to write the picture to, PNG; SVG and PDF are written beside it.
    """
    curves = []

    def rows() -> Iterator[Told]:
        for curve in measured(sizes):
            curves.append(curve)
            yield Told(curve.text(), {**curve._asdict(), "exponent": curve.exponent})

    tell("growth", "curves", rows(), output)
    if figure is not None:
        from benchmark.tools.speed.growth_figure import draw

        draw(curves, figure)
    return curves


def measured(sizes: GrowthSizes) -> Iterator[GrowthCurve]:
    """Measure and yield one curve after the other."""
    yield curve("sample", sample, "samples", sizes.samples)
    yield curve("features", features, "samples", sizes.embedded)
    yield curve("sample", sample, "resolution", sizes.resolutions)
    yield curve("sample", sample, "steps", sizes.steps)
    yield curve("prepare", prepare, "images", sizes.images)
    yield curve("evaluate", evaluate, "images", sizes.images)
    yield curve("retrieve, first cell", retrieve, "images", sizes.retrieved)
    yield curve("retrieve, further cells", retrieve_again, "images", sizes.retrieved)


_Work = Callable[[Case, Path], float]


def curve(stage: str, work: _Work, against: str, sizes: Sequence[int]) -> GrowthCurve:
    """Measure a stage at each size, everything else being equal."""
    uses = [use_of(work, Case(**{against: size})) for size in sizes]
    return GrowthCurve(stage, against, list(sizes), uses)


def use_of(work: _Work, case: Case) -> ResourceUse:
    """Measure one case in a new process, and in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="growth-") as folder:
        return in_new_process(_use, work, case, Path(folder))


def sample(case: Case, folder: Path) -> float:
    """Sample a tiny network with random weights."""
    import torch

    from benchmark.models.weights import save_weights

    config, run = _laid_out(case, folder)
    cell = config.cells[0]
    torch.manual_seed(0)
    network = config.networks["tiny"].build(case.resolution)
    trained = config.job("train", cell.trained_as)
    save_weights(run.weights(trained.name), network.state_dict(), trained.spec())
    return _seconds("sample", case, folder, cell.id, threads=available_cores())


def features(case: Case, folder: Path) -> float:
    """Embed random images with the quickstart's extractor."""
    config, run = _laid_out(case, folder)
    cell = config.cells[0].id
    _write_random(run.samples(cell), _images_shape(case, case.samples), np.uint8)
    return _seconds("features", case, folder, cell, threads=available_cores())


def prepare(case: Case, folder: Path) -> float:
    """Prepare a folder of random images."""
    from PIL import Image

    files = folder / "files"
    files.mkdir()
    shape = _images_shape(case, _all_images(case))
    for number, pixels in enumerate(row for block in _random(shape, np.uint8) for row in block):
        Image.fromarray(pixels).save(files / f"{number:06}.bmp")
    return _seconds("prepare", case, folder, DATA)


def evaluate(case: Case, folder: Path) -> float:
    """Measure the Fréchet distance of random features."""
    make_features(case, folder)
    return _seconds("evaluate", case, folder, CELL.format(steps=case.steps))


def retrieve(case: Case, folder: Path) -> float:
    """Look for copies in the first cell; it compares all training images with each other."""
    make_features(case, folder)
    return _seconds("retrieve", case, folder, CELL.format(steps=case.steps))


def retrieve_again(case: Case, folder: Path) -> float:
    """Look for copies in a further cell; the comparison of training images is in the cache."""
    retrieve(case, folder)
    return _seconds("retrieve", case, folder, CELL.format(steps=case.steps))


def _use(work: _Work, case: Case, folder: Path) -> ResourceUse:
    seconds = work(case, folder)
    return ResourceUse(seconds, peak_of_process() / 1e6)


def _seconds(stage: str, case: Case, folder: Path, name: str, **options: int) -> float:
    config, run = _laid_out(case, folder)
    module = import_module(f"benchmark.stages.{stage}")
    job = config.job(stage, name)
    start = time.perf_counter()
    module.stage(job, run, **options)
    return time.perf_counter() - start


def _laid_out(case: Case, folder: Path) -> tuple[Any, Run]:
    """Return a config with one cell of these sizes, and its run."""
    from benchmark.config.loading import parse_config
    from benchmark.storage.paths import Run

    return parse_config(content_of(case, folder)), Run(folder / "growth")


def content_of(case: Case, folder: Path) -> dict[str, Any]:
    """Return the content of a config with one cell of these sizes, whose run is called growth."""
    grid = {"table": "growth", "model": "DDIM", "schedule": "linear", "sampler": "ddim"}
    return {
        "run": "growth",
        "device": "cpu",
        "data": {
            DATA: {
                "source": "folder",
                "path": str(folder / "files"),
                "resolution": case.resolution,
                "train": case.images,
                "held_out": _held_out(case),
            }
        },
        "networks": {
            "tiny": {
                "kind": "unet",
                "patch": 4,
                "channels": [16, 16],
                "layers": 1,
                "groups": 4,
                "attention": [False, False],
                "mid_attention": False,
            }
        },
        "training": {"none": {"steps": 1}},
        "models": {"DDIM": {"family": "DDIM", "data": DATA, "network": "tiny", "training": "none"}},
        "grid": [{**grid, "steps": case.steps, "samples": case.samples}],
        "evaluation": {"metrics": {"fd": {"kind": "frechet"}}, "neighbours": 5, "controls": []},
    }


def make_features(case: Case, folder: Path) -> Run:
    """Write random images and features of a data set and of a cell, and the manifest.

    Returns:
        The run that has them.
    """
    from benchmark.data.prepared import BadImages, Duplicates, Manifest, Split, Splits
    from benchmark.extractors import EXTRACTORS

    config, run = _laid_out(case, folder)
    extractor, total = EXTRACTORS.make(config.evaluation.extractor), _all_images(case)
    cell = config.cells[0].id
    for name, images, count in (
        (DATA, run.images(DATA), total),
        (cell, run.samples(cell), case.samples),
    ):
        _write_random(images, _images_shape(case, count), np.uint8)
        shape = (count, extractor.dimension)
        _write_random(run.features(extractor.kind, name), shape, np.float32)

    def split(rows: range) -> Split:
        sha256 = hashlib.sha256()
        for block in read_blocks(run.images(DATA), rows, _BLOCK):
            sha256.update(block.data)
        return Split(start=rows.start, stop=rows.stop, sha256=sha256.hexdigest())

    manifest = Manifest(
        source={},
        origin="random",
        licence="none",
        attribution="",
        resolution=case.resolution,
        count=total,
        splits=Splits(train=split(range(case.images)), held_out=split(range(case.images, total))),
        duplicates=Duplicates(kept_groups=0, kept=[], passed_over_count=0, passed_over=[]),
        bad_images=BadImages(count=0, all=[]),
        conversions={},
        ignored_files={},
    )
    write_text(run.manifest(DATA), manifest.model_dump_json())
    return run


def _write_random(path: Path, shape: tuple[int, ...], dtype: type) -> None:
    write_blocks(path, _random(shape, dtype), shape, dtype)


def _random(shape: tuple[int, ...], dtype: type) -> Iterator[NDArray[Any]]:
    rng = np.random.default_rng([0, *shape])
    for start in range(0, shape[0], _BLOCK):
        block = (min(_BLOCK, shape[0] - start), *shape[1:])
        if dtype is np.uint8:
            yield rng.integers(0, 256, block, np.uint8)
        else:
            yield rng.standard_normal(block, np.float32)


def _images_shape(case: Case, count: int) -> tuple[int, ...]:
    return count, case.resolution, case.resolution, 3


def _held_out(case: Case) -> int:
    return max(20, case.images // 10)


def _all_images(case: Case) -> int:
    return case.images + _held_out(case)
