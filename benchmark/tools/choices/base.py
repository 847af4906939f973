"""What all choices share: how a figure is made, what is known of the two sets, and their options.

A choice has options. Each changes a recipe, which says how a figure is made, in one respect. So
the options of several choices can be combined, by one change after the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.core.strict_model import StrictModel
from benchmark.data.pixels import Background
from benchmark.tools.choices.operations import Operation

Holds = Literal["images", "features", "statistics"]


@dataclass(frozen=True)
class Side:
    """How one of the two sets is read.

    Attributes:
        paths: its folders or files, whose images stand one behind the other.
        background: what transparent pixels are blended with.
        operations: what is done to each image, in this order.
        distinct: whether equal images are taken once.
        part: the share of the images that is taken; smaller shares are subsets of larger ones.
    """

    paths: tuple[Path, ...]
    background: Background = "white"
    operations: tuple[Operation, ...] = ()
    distinct: bool = False
    part: float = 1.0

    def after(self, operation: Operation) -> Side:
        """Return this side with one operation more, which takes its place among the others."""
        operations = sorted((*self.operations, operation), key=lambda known: known.order)
        return replace(self, operations=tuple(operations))


@dataclass(frozen=True)
class Recipe:
    """How a figure is made.

    Attributes:
        extractor: name of the extractor.
        real: how the reference is read.
        fake: how what is judged is read.
        endless: whether the distance is extrapolated to infinitely many images.
    """

    extractor: str
    real: Side
    fake: Side
    endless: bool = False


@dataclass(frozen=True, eq=False)
class Facts:
    """What is known of one path.

    Attributes:
        holds: what is there.
        count: number of images; 0: unknown, as of some statistics.
        sizes: number of images by width and height.
        transparent: number of images with transparent pixels.
        grey: number of images without colours.
        first: for each image the number of the first image that is equal to it, of shape (count,).
    """

    holds: Holds
    count: int
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    transparent: int = 0
    grey: int = 0
    first: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, np.intp))

    @property
    def distinct(self) -> int:
        """The number of images of which none equals another."""
        return len(np.unique(self.first))


@dataclass(frozen=True)
class Known:
    """What is known before anything is scored in another way.

    Attributes:
        baseline: the recipe that the options change.
        real: what is known of the reference.
        fake: what is known of what is judged.
        split: a folder with the rest of the reference; None: none was named.
        cache: folder of downloaded weights.
        width: width and height of the network's input, in pixels.
        dimension: dimension of the features.
        group: images in a group of the jackknife, of which none can be without one.
    """

    baseline: Recipe
    real: Facts
    fake: Facts
    split: Path | None
    cache: Path
    width: int
    dimension: int
    group: int

    @property
    def has_images(self) -> bool:
        """Whether both sets are images."""
        return self.real.holds == self.fake.holds == "images"

    @property
    def sizes(self) -> Counter[tuple[int, int]]:
        """Number of images of both sets by width and height."""
        return self.real.sizes + self.fake.sizes


@dataclass(frozen=True)
class Option:
    """Another way to make the figure.

    Attributes:
        text: what is done otherwise.
        change: makes of a recipe one that differs in this alone.
        is_comparable: whether the figure is on the same scale as that of the baseline; if not, it
            is told but not ranked.
    """

    text: str
    change: Callable[[Recipe], Recipe]
    is_comparable: bool = True


class LeftOut(NamedTuple):
    """Why something is not scored, in words."""

    why: str


class Choice(StrictModel):
    """Something that people choose differently, so that their figures of equal images differ.

    Attributes:
        kind: its name.
    """

    kind: str

    def options(self, known: Known) -> Iterator[Option | LeftOut]:
        """Yield what else can be chosen here; nothing if it makes no difference to these images."""
        raise NotImplementedError


def on_both(text: str, operation: Operation) -> Option:
    """Return the option that an operation is done to the images of both sets."""
    return Option(
        text,
        lambda recipe: replace(
            recipe, real=recipe.real.after(operation), fake=recipe.fake.after(operation)
        ),
    )


def on_real(text: str, operation: Operation) -> Option:
    """Return the option that an operation is done to the images of the reference alone."""
    return Option(text, lambda recipe: replace(recipe, real=recipe.real.after(operation)))


def on_fake(text: str, operation: Operation) -> Option:
    """Return the option that an operation is done to the judged images alone."""
    return Option(text, lambda recipe: replace(recipe, fake=recipe.fake.after(operation)))
