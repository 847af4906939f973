"""The base class of sources of images, and what a source offers to `prepare`."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from benchmark.core.strict_model import MOST_IMAGES, Seed, StrictModel
from benchmark.data.pixels import Filter, fit_square
from benchmark.storage.downloads import Download

JOINT = "+"  # between what makes up a class together


class Item(NamedTuple):
    """An image that has not been read yet; `load` reads it in a worker process.

    Attributes:
        name: its name in the source.
        load: function that reads it.
        label: number of its class among the classes of the source, or a function that finds it in
            a worker process; None: the source has no classes.
        held: bytes of the image that `load` holds in memory; 0: it takes them from a file.
    """

    name: str
    load: Callable[[], Image.Image]
    label: int | Callable[[], int] | None = None
    held: int = 0


@dataclass(frozen=True)
class Candidates:
    """Images that may be taken into a set.

    Attributes:
        order: indices of the images, in the order in which they are tried.
        read: function that yields the items of ascending indices, in that order.
    """

    order: Sequence[int]
    read: Callable[[Sequence[int]], Iterator[Item]]


@dataclass(frozen=True)
class Offer:
    """What a source has.

    Attributes:
        train: candidates for the training set.
        held_out: candidates for the held-out set; None: the source has no such split, and images
            that follow the training set in the order of `train` are held out.
        origin: where the images come from, exactly enough to find them again.
        licence: what may be done with the images.
        attribution: whom to credit.
        distinct: whether an image is left out if an earlier one of either set has the same pixels.
        skip_bad: whether an image that cannot be read is counted and left out.
        ignored: number of files that are not images, by suffix.
    """

    train: Candidates
    held_out: Candidates | None
    origin: str
    licence: str
    attribution: str
    distinct: bool = False
    skip_bad: bool = False
    ignored: dict[str, int] = field(default_factory=dict)


class Source(StrictModel, abc.ABC):
    """The base class of sources. A subclass adds the field `source`, a literal with its name."""

    # Fields that say where files are. Results depend on the contents of the files, not on these
    # fields.
    places: ClassVar[frozenset[str]] = frozenset({"path"})
    # Keys that earlier versions did not have, with the values that say what these did. Where a key
    # has this value, specifications and manifests leave it out, so that they stay as they were.
    unsaid: ClassVar[dict[str, Any]] = {"channels": 3, "label": None, "labels": None}

    # Whether `fit` enlarges images that are smaller than the resolution.
    enlarges: ClassVar[bool] = True

    resolution: int = Field(
        ge=8,
        le=4096,
        description="Height and width of the prepared images, in pixels",
        examples=[64],
    )
    train: int = Field(ge=1, le=MOST_IMAGES, description="Images to train on", examples=[9000])
    held_out: int = Field(
        ge=1, le=MOST_IMAGES, description="Images that are never trained on", examples=[1000]
    )
    seed: Seed = Field(default=0, description="Which images are drawn, and into which set")
    channels: Literal[1, 3] = Field(
        default=3, description="3: colour, to which grey images are converted; 1: grey"
    )

    @abc.abstractmethod
    def offer(self) -> Offer:
        """Find the images without reading them; raise BenchmarkError if there are none."""

    def classes(self) -> tuple[str, ...]:
        """Return the names of the classes of its images, which labels number; none: no labels.

        Raises:
            BenchmarkError: they are told by files that cannot be read.
        """
        return ()

    def unfetched(self) -> Download | None:
        """Return what `offer` would download; None: nothing."""
        return None

    def local_files(self) -> tuple[Path, list[str]] | None:
        """Return the user's folder, and the files in it that are read; None: there is none.

        Raises:
            BenchmarkError: the folder cannot be listed, or has no such files.
        """
        return None

    def check_files(self, at: str) -> None:
        """Refuse files of the user that `offer` could not read, without opening them.

        Args:
            at: config key of this source.

        Raises:
            BenchmarkError: files are missing or bad; the message has the key.
        """

    def fit(self, image: Image.Image) -> Image.Image:
        """Return an RGB image at resolution × resolution; raise ValueError if that is impossible.

        An image of this size stays as it is; of another one the largest centred square is resized.
        """
        return fit_square(image, self.resolution, "centre", "lanczos")

    def pixels(self, image: Image.Image) -> NDArray[np.uint8]:
        """Return an RGB image as it is prepared, uint8 H×W×C; raise ValueError as `fit` does.

        Grey is the luma of ITU-R BT.601, by which an image that was grey stays as it is.
        """
        fitted = self.fit(image)
        return (
            np.asarray(fitted) if self.channels == 3 else np.asarray(fitted.convert("L"))[..., None]
        )


class Photographs(Source):
    """The base class of sources that read image files."""

    crop: Literal["centre", "none"] | Annotated[int, Field(ge=1)] = Field(
        default="centre",
        description="centre: the largest centred square; a number: the centred square of so many "
        "pixels of the original; none: the whole image, squeezed to a square",
    )
    resize: Filter = Field(default="lanczos", description="Antialiasing filter")
    on_bad_image: Literal["error", "skip"] = Field(
        default="error", description="skip: unreadable images are left out and listed"
    )

    def fit(self, image: Image.Image) -> Image.Image:
        """Crop, then resize with antialiasing."""
        return fit_square(image, self.resolution, self.crop, self.resize)


def drawn(count: int, seed: int) -> Sequence[int]:
    """Return the numbers 0 … count-1 in an order that follows from `seed` alone."""
    order: list[int] = np.random.Generator(np.random.PCG64(seed)).permutation(count).tolist()
    return order
