"""Fashion-MNIST: from a folder, such as that of a package of Debian, or downloaded."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import UserPath
from benchmark.data.idx import read_idx
from benchmark.data.sources.base import Candidates, Item, Offer, Source, drawn
from benchmark.storage.atomic import atomic_path
from benchmark.storage.downloads import Download, fetch

SIDE = 28
CLASSES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
ADDRESS = "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/"


class Published(NamedTuple):
    """A published file: its size, and the SHA-256 of what it holds when it is unpacked."""

    size: int
    sha256: str


# The images and the labels of the training set, and of the test set.
SETS = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "held_out": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
FILES = {
    "train-images-idx3-ubyte": Published(
        26_421_880, "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"
    ),
    "train-labels-idx1-ubyte": Published(
        29_515, "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"
    ),
    "t10k-images-idx3-ubyte": Published(
        4_422_102, "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"
    ),
    "t10k-labels-idx1-ubyte": Published(
        5_148, "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"
    ),
}


class FashionMNIST(Source):
    """Fashion-MNIST: photographs of clothes, 28×28 and grey, in ten classes.

    Training images are drawn from its 60,000, and held-out images from its test set of 10,000.
    """

    enlarges: ClassVar[bool] = False
    source: Literal["fashion-mnist"] = "fashion-mnist"
    resolution: int = Field(
        default=SIDE,
        ge=SIDE,
        le=4096,
        description="28: images as they are; more: with a border of black pixels, never enlarged",
    )
    train: int = Field(
        ge=1, le=60_000, description="Images to train on, of 60,000", examples=[50_000]
    )
    held_out: int = Field(
        ge=1,
        le=10_000,
        description="Images that are never trained on, of the test set",
        examples=[10_000],
    )
    channels: Literal[1, 3] = Field(default=1, description="1: grey; 3: grey, three times")
    path: UserPath | None = Field(
        default=None,
        description="Folder of the four idx files, packed by gzip or not, as "
        "/usr/share/datasets/fashion-mnist of Debian's package dataset-fashion-mnist; null: they "
        "are downloaded",
        examples=["/usr/share/datasets/fashion-mnist"],
    )

    def classes(self) -> tuple[str, ...]:
        """Return the names of the ten classes, in the order of their numbers."""
        return CLASSES

    def offer(self) -> Offer:
        """Read the files, or download those that are not in the cache yet."""
        folder = self.path or _downloaded()
        train, held_out = (_candidates(folder, *names, self.seed) for names in SETS.values())
        return Offer(
            train=train,
            held_out=held_out,
            origin=f"Fashion-MNIST, {self.path or ADDRESS}",
            licence="MIT (https://github.com/zalandoresearch/fashion-mnist/blob/master/LICENSE)",
            attribution="Fashion-MNIST: Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747",
        )

    def fit(self, image: Image.Image) -> Image.Image:
        """Return an RGB image of 28×28 pixels in the middle of a black square."""
        margin = (self.resolution - SIDE) // 2
        square = Image.new("RGB", (self.resolution, self.resolution))
        square.paste(image, (margin, margin))
        return square

    def unfetched(self) -> Download | None:
        """Return the download; None: a folder or the cache has all files."""
        if self.path is not None or all(map(functools.partial(_find, _cache()), FILES)):
            return None
        return Download((ADDRESS,), "give a folder of its four files with path: FOLDER")

    def local_files(self) -> tuple[Path, list[str]] | None:
        """Return the folder and the four files; None: they are downloaded."""
        if self.path is None:
            return None
        return self.path, [_located(self.path, name).name for name in FILES]

    def check_files(self, at: str) -> None:
        """Refuse a folder that lacks one of the files."""
        for name in FILES if self.path else ():
            assert self.path is not None
            _located(self.path, name, f"{at}.")


def _candidates(folder: Path, images: str, labels: str, seed: int) -> Candidates:
    pixels = _array(folder, images, (SIDE, SIDE))
    numbers = _array(folder, labels, ())
    if len(pixels) != len(numbers) or int(numbers.max(initial=0)) >= len(CLASSES):
        raise BenchmarkError(
            f"path: {folder}: {images} has {len(pixels)} images and {labels} {len(numbers)} labels "
            f"up to {int(numbers.max(initial=0))}: a label from 0 to {len(CLASSES) - 1} for each "
            "image would be right"
        )

    def read(indices: Sequence[int]) -> Iterator[Item]:
        for index in indices:
            load = functools.partial(Image.fromarray, pixels[index])
            yield Item(f"{images}#{index}", load, int(numbers[index]))

    return Candidates(drawn(len(pixels), seed), read)


def _array(folder: Path, name: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return the array in a file, uint8 N×shape."""
    path = _located(folder, name)
    array = read_idx(path)
    if array.shape[1:] != shape:
        wanted = "×".join(map(str, ("N", *shape)))
        raise BenchmarkError(f"{path}: its array is {array.shape}: {wanted} would be right")
    return array


def _find(folder: Path, name: str) -> Path | None:
    paths = (folder / f"{name}{suffix}" for suffix in (".gz", ""))
    return next((path for path in paths if path.is_file()), None)


def _located(folder: Path, name: str, at: str = "") -> Path:
    path = _find(folder, name)
    if path is None:
        raise BenchmarkError(
            f"{at}path: {folder}: no {name}.gz or {name}: the four files of Fashion-MNIST would be "
            "right, as Debian's package dataset-fashion-mnist has them"
        )
    return path


def _cache() -> Path:
    """Return the folder of downloaded files, which all runs of this user share."""
    place = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(place) / "diffusion-benchmark" / "fashion-mnist"


def _downloaded() -> Path:
    """Download the files that the cache lacks; return its folder.

    Raises:
        BenchmarkError: a file cannot be had, or is not the published one.
    """
    folder = _cache()
    for name, published in FILES.items():
        target = folder / f"{name}.gz"
        if target.is_file():
            continue
        try:
            with atomic_path(target) as temporary:
                fetch(f"{ADDRESS}{name}.gz", published.size, temporary)
                check_published(temporary, published)
        except OSError as error:
            raise BenchmarkError(
                f"{ADDRESS}{name}.gz cannot be had: {error}: give a folder of the four files with "
                "path: FOLDER"
            ) from None
    return folder


def check_published(path: Path, published: Published) -> None:
    """Refuse a file that does not hold the published bytes when it is unpacked.

    Raises:
        BenchmarkError: it does not.
    """
    found = hashlib.sha256(read_idx(path, raw=True).data).hexdigest()
    if found != published.sha256:
        raise BenchmarkError(
            f"{path.name}: what it holds has the SHA-256 {found}, not {published.sha256}: damaged "
            "on the way, or another file; run the command again"
        )
