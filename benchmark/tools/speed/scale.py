"""Runs the stages on many real images, each in a process of its own, and prints time and memory.

The images are crops, of random place and size, of embedded faces: all are different, and they look
alike as photographs of one kind do, which random pixels do not.
"""

from __future__ import annotations

import functools
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.core.cores import available_cores
from benchmark.core.progress import track
from benchmark.runtime.memory import peak_of_process
from benchmark.storage.paths import Run
from benchmark.tools.speed.alone import in_new_process
from benchmark.tools.speed.growth import CELL, DATA, Case, content_of
from benchmark.tools.speed.telling import Told, tell

if TYPE_CHECKING:
    from PIL.Image import Image

    from benchmark.config.config import Config

_FACES = 100  # whole faces, of which crops are taken
_WHOLE = 128  # their height and width in pixels
_LEAST = 0.3  # the smallest crop, as a share of the height
_GAP = 2  # neighbours that are asked for among training images: the first is the image itself
_NEAR = 50  # neighbours by which the distance of a copy is calibrated
_SHOWN = 5  # neighbours that are shown beside a sample


@dataclass(frozen=True)
class ScaleSizes:
    """How many images there are, all of 32×32 pixels.

    Attributes:
        images: training images.
        held_out: held-out images.
        samples: samples of the cell.
    """

    images: int = 200_000
    held_out: int = 2000
    samples: int = 1000


QUICK = ScaleSizes(images=60, held_out=20, samples=8)


class StageUse(NamedTuple):
    """What a stage took.

    Attributes:
        stage: name of the stage, and of what it works on.
        seconds: time by the clock.
        processor: processor time of its process and of those that it started, in seconds.
        megabytes: peak memory of its process, without those that it started.
    """

    stage: str
    seconds: float
    processor: float
    megabytes: float

    def text(self) -> str:
        """Return the figures as a line."""
        return (
            f"{self.stage}: {self.seconds:.4g} s, {self.processor:.4g} s of processor time, "
            f"{self.megabytes:.0f} MB"
        )


def scale(sizes: ScaleSizes, output: Path | None = None, *, with_faiss: bool = False) -> None:
    """Run prepare, features, evaluate and retrieve once, and print what each took.

    Args:
        sizes: how many images there are.
        output: file to write all figures to, JSON.
        with_faiss: also make the searches of `retrieve` by Faiss alone.
    """
    lines = (Told(use.text(), use._asdict()) for use in measured(sizes, with_faiss))
    tell(f"scale, {sizes.images} images", "stages", lines, output, **asdict(sizes))


def measured(sizes: ScaleSizes, with_faiss: bool) -> Iterator[StageUse]:
    """Measure and yield one stage after the other."""
    cell, apart = CELL.format(steps=Case().steps), functools.partial(in_new_process, _use)
    with tempfile.TemporaryDirectory(prefix="scale-") as place:
        folder = Path(place)
        write_crops(sizes.images + sizes.held_out, folder / "images.npy", seed=0)
        yield apart("prepare", _stage, sizes, folder, "prepare", DATA)
        drawn = folder / "growth" / "samples" / cell / "samples.npy"
        drawn.parent.mkdir(parents=True)
        write_crops(sizes.samples, drawn, seed=1)
        yield apart("features of the data", _stage, sizes, folder, "features", DATA)
        yield apart("features of the samples", _stage, sizes, folder, "features", cell)
        yield apart("evaluate", _stage, sizes, folder, "evaluate", cell)
        yield apart("retrieve, first cell", _stage, sizes, folder, "retrieve", cell)
        yield apart("retrieve, further cells", _stage, sizes, folder, "retrieve", cell)
        if with_faiss:
            yield apart("the searches of the first cell by Faiss alone", _bare, sizes, folder)


def write_crops(count: int, path: Path, seed: int) -> None:
    """Write random crops of embedded faces as an array, uint8 N×32×32×3.

    Args:
        count: N.
        path: the file, .npy.
        seed: crops of another seed are of other places.
    """
    from PIL.Image import Resampling

    faces = _faces()
    rng = np.random.default_rng(seed)
    side = Case().resolution
    crops = np.lib.format.open_memmap(path, "w+", np.uint8, (count, side, side, 3))
    for number in track(range(count), count, "crops"):
        face = faces[rng.integers(_FACES)]
        size = rng.uniform(_LEAST, 1) * _WHOLE
        left, top = rng.uniform(0, _WHOLE - size, 2)
        box = (left, top, left + size, top + size)
        crops[number] = face.resize((side, side), Resampling.BICUBIC, box)
    crops.flush()


@functools.cache
def _faces() -> list[Image]:
    from benchmark.data.sources.avatars import Avatars

    avatars = Avatars(train=_FACES, held_out=1, resolution=_WHOLE)
    return [avatars.render(number) for number in range(_FACES)]


def _use(name: str, work: Callable[..., float], *arguments: object) -> StageUse:
    seconds = work(*arguments)
    return StageUse(name, seconds, sum(os.times()[:4]), peak_of_process() / 1e6)


def _config(sizes: ScaleSizes, folder: Path) -> Config:
    from benchmark.config.loading import parse_config

    content = content_of(Case(images=sizes.images), folder)
    content["data"][DATA] |= {
        "source": "arrays",
        "path": str(folder / "images.npy"),
        "held_out": sizes.held_out,
    }
    content["grid"][0]["samples"] = sizes.samples
    return parse_config(content)


def _stage(sizes: ScaleSizes, folder: Path, stage: str, name: str) -> float:
    """Run a stage, and return the seconds that it took."""
    job, run = _config(sizes, folder).job(stage, name), Run(folder / "growth")
    module = import_module(f"benchmark.stages.{stage}")
    options = {"threads": available_cores()} if stage in ("prepare", "features") else {}
    start = time.perf_counter()
    module.stage(job, run, **options)
    return time.perf_counter() - start


def _bare(sizes: ScaleSizes, folder: Path) -> float:
    """Make the searches of `retrieve` by Faiss alone, and return the seconds that they took.

    By features: the training images among themselves, and the nearest to each sample and to each
    held-out image. By pixels: the same, the samples and held-out images mirrored too.
    """
    from benchmark.metrics.memorisation import pixels

    config, run = _config(sizes, folder), Run(folder / "growth")
    kind, cell = config.evaluation.extractor, config.cells[0].id
    train, held_out = slice(0, sizes.images), slice(sizes.images, None)
    features = np.load(run.features(kind, DATA))
    samples = np.load(run.features(kind, cell))
    start = time.perf_counter()
    _search(features[train], (features[train], _GAP), (samples, _SHOWN), (features[held_out], 1))
    seconds = time.perf_counter() - start
    del features
    all_images, drawn = np.load(run.images(DATA)), np.load(run.samples(cell))
    small = pixels(all_images[train])
    asked = np.concatenate([drawn, all_images[held_out]])
    straight, mirrored = pixels(asked), pixels(asked[:, :, ::-1])
    start = time.perf_counter()
    _search(small, (small, _GAP), (straight, _NEAR), (mirrored, _NEAR))
    return seconds + time.perf_counter() - start


def _search(bank: NDArray[np.float32], *asked: tuple[NDArray[np.float32], int]) -> None:
    import faiss

    index = faiss.IndexFlatL2(bank.shape[1])
    index.add(bank)
    for queries, count in asked:
        index.search(queries, count)
