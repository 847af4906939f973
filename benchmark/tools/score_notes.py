"""Notes of a score: what its reader must know about the two sides, in one line each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from benchmark.data.listing import ignored_line
from benchmark.extractors import Extractor
from benchmark.metrics.base import Features
from benchmark.metrics.frechet import few
from benchmark.tools.score_inputs import ImageInput, Input, Statistics, count_of
from benchmark.tools.score_libraries import library_of
from benchmark.tools.score_sides import Census, differences


def notes(
    opened: Mapping[Path, Input],
    sides: Mapping[Path, Features | Statistics],
    real: Path,
    fake: Path,
    extractor: Extractor | None,
    censuses: Mapping[Path, Census],
) -> list[str]:
    """Return how the images of each side were read, and in what the sides differ.

    Args:
        opened: the inputs by path.
        sides: features, N×d, or statistics of each side, by path.
        real: path of the reference.
        fake: path of what is judged.
        extractor: extractor of the features; None: unknown.
        censuses: census of the images by path; an input of which nothing is known has none.
    """
    lines = [
        f"{path}: {note}"
        for path, side in opened.items()
        for note in side_notes(path, side, extractor, censuses.get(path))
    ]
    counts = (count_of(opened[real]), count_of(opened[fake]))
    known = differences(censuses.get(real), censuses.get(fake), counts)
    if real.resolve() == fake.resolve():
        lines.append(f"{real}: is compared with itself: equal images have a distance of 0")
    elif _are_equal(sides[real], sides[fake]):
        lines.append(f"{real} and {fake} hold the same images, which have a distance of 0")
    return lines + [f"the two differ in {difference}" for difference in known]


def _are_equal(real: Features | Statistics, fake: Features | Statistics) -> bool:
    """Return whether both sides are the features of the same images in the same order."""
    if isinstance(real, Statistics) or isinstance(fake, Statistics):
        return False
    return np.array_equal(real, fake)


def few_images(
    sides: Mapping[Path, Features | Statistics], extractor: Extractor | None
) -> Iterator[str]:
    """Yield warnings of Fréchet distances that are biased because of too few images.

    Args:
        sides: features, N×d, or statistics of each side, by path.
        extractor: extractor of the features; None: unknown.

    Yields:
        A line for all sides that have too few images for the same number.
    """
    label = extractor.label if extractor else "the Fréchet distance"
    sizes = {path: (count_of(side), _dimension(side)) for path, side in sides.items()}
    for dimension in dict.fromkeys(each for _, each in sizes.values()):
        short = [
            f"{path}: {count} images"
            for path, (count, each) in sizes.items()
            if each == dimension and count is not None and count < few(dimension)
        ]
        if short:
            yield (
                f"{' and '.join(short)} are fewer than {few(dimension)}, which {dimension} "
                f"dimensions need: the bias of {label} is large; compare it only at equal numbers "
                "of images"
            )


def _dimension(side: Features | Statistics) -> int:
    return side.gaussian.mean.size if isinstance(side, Statistics) else side.shape[1]


def side_notes(
    path: Path, side: Input, extractor: Extractor | None, census: Census | None
) -> Iterator[str]:
    """Yield how the images of one side were read, where that is not obvious.

    Args:
        path: path of the side, as the user gave it.
        side: what was opened there.
        extractor: extractor of the features; None: unknown.
        census: census of the images; None: nothing is known of them.

    Yields:
        Sentences without their full stops.
    """
    if isinstance(side, ImageInput) and side.path != path:
        yield f"the images are those of {side.path.name}, beside its pictures"
    if isinstance(side, ImageInput) and side.ignored:
        yield f"files: {ignored_line(side.ignored)}"
    library = library_of(extractor.kind) if extractor else None
    if (
        isinstance(side, ImageInput)
        and library is not None
        and (left_out := library.left_out(side.files))
    ):
        kinds = ", ".join(f"{count} × {kind}" for kind, count in left_out.items())
        yield (
            f"{library.name} reads {side.count - sum(left_out.values())} of these {side.count} "
            f"images, not {kinds}: give --files {library.name} to read as it does"
        )
    if census and (converted := census.converted()):
        yield converted
