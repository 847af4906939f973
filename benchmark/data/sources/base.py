"""What a source of images is: the fields that all share, and what it offers to `prepare`."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np
from PIL import Image
from pydantic import Field

from benchmark.core.strict_model import MOST_IMAGES, Seed, StrictModel
from benchmark.data.pixels import Filter, fit_square
from benchmark.storage.downloads import Download


class Item(NamedTuple):
    """One image that has not been read yet; `load` is called in a worker process."""

    name: str
    load: Callable[[], Image.Image]


@dataclass(frozen=True)
class Candidates:
    """Images that may be taken.

    Attributes:
        order: indices in the order in which they are tried.
        read: gives the items of some ascending indices, in that order.
    """

    order: Sequence[int]
    read: Callable[[Sequence[int]], Iterator[Item]]


@dataclass(frozen=True)
class Offer:
    """What a source has.

    Attributes:
        train: candidates for the training set.
        held_out: candidates for the held-out set; None where the source has no split of its own,
            and the held-out set is what follows the training set in the order of `train`.
        origin: where the images come from, exactly enough to find them again.
        licence: what may be done with them.
        attribution: whom to name.
        distinct: images with the pixels of an earlier one are passed over in every set.
        skip_bad: an image that cannot be read is counted and passed over.
        ignored: files that do not look like images, counted by suffix.
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
    """The fields of every source. A subclass adds `source`, a literal that is its name."""

    # Fields that say where files lie. Results depend on what the files hold, not on these.
    places: ClassVar[frozenset[str]] = frozenset({"path"})

    resolution: int = Field(
        ge=8, le=4096, description="Height and width of the prepared images, in pixels"
    )
    train: int = Field(ge=1, le=MOST_IMAGES, description="Images to train on")
    held_out: int = Field(ge=1, le=MOST_IMAGES, description="Images that are never trained on")
    seed: Seed = Field(default=0, description="Which images are drawn, and into which set")

    @abc.abstractmethod
    def offer(self) -> Offer:
        """Find the images, reading none of them; raise BenchmarkError where there are none."""

    def unfetched(self) -> Download | None:
        """Return what `offer` would have to download; None: nothing."""
        return None

    def local_files(self) -> tuple[Path, list[str]] | None:
        """Return a folder of the user's, and the files in it that are read; None: there is none.

        Raises:
            BenchmarkError: the folder cannot be listed, or has no such files.
        """
        return None

    def check_files(self, at: str) -> None:
        """Refuse files of the user's that `offer` could not read; none is opened.

        Args:
            at: the key of this source in the config.

        Raises:
            BenchmarkError: with the key and the file, or what is missing.
        """

    def fit(self, image: Image.Image) -> Image.Image:
        """Bring an RGB image to resolution × resolution; raise ValueError where it cannot be.

        An image of this size stays as it is; of others the largest centred square is resized.
        """
        return fit_square(image, self.resolution, "centre", "lanczos")


class Photographs(Source):
    """The fields of sources that read image files."""

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
