"""Compares two sets of images in all but their content: sizes, formats, conversions, number."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from benchmark.core.errors import BenchmarkError
from benchmark.tools.score_decoding import ARRAY, Picture

_KINDS = 3  # of each aspect, so many kinds are named; the others are counted
FACT = "images_read"  # the entry of a file of statistics that has the census of its images
_UNCHANGED = "RGB"  # the name of colours that needed no conversion
_SHARE = 0.1  # two sides differ if the share of a kind does so by more than this


@dataclass
class Census:
    """Counts the images of one side, by their sizes, formats and conversions.

    Attributes:
        images: number of images.
        sizes: number of images by width and height.
        formats: number of images by file format.
        colours: number of images by all conversions that one needed to become 8-bit sRGB; "RGB" if
            it needed none.
        conversions: number of images by each single conversion.
    """

    images: int = 0
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    formats: Counter[str] = field(default_factory=Counter)
    colours: Counter[str] = field(default_factory=Counter)
    conversions: Counter[str] = field(default_factory=Counter)

    def count(self, pictures: Iterable[Picture]) -> Iterator[Picture]:
        """Yield the pictures and count them; none stays in memory."""
        return map(self._counted, pictures)

    def _counted(self, picture: Picture) -> Picture:
        height, width = picture.pixels.shape[:2]
        self.images += 1
        self.sizes[width, height] += 1
        self.formats[picture.format] += 1
        self.colours[", ".join(picture.conversions) or _UNCHANGED] += 1
        self.conversions.update(picture.conversions)
        return picture

    @classmethod
    def of_array(cls, shape: tuple[int, ...]) -> Census:
        """Return the census of an array of images, from its shape N×H×W×3."""
        count, height, width = shape[:3]
        return cls(
            count,
            Counter({(width, height): count}),
            Counter({ARRAY: count}),
            Counter({_UNCHANGED: count}),
        )

    def to_fact(self) -> str:
        """Return the census as JSON, for a file of statistics."""
        sizes = _sizes(self)
        return json.dumps([self.images, sizes, self.formats, self.colours, self.conversions])

    @classmethod
    def from_fact(cls, fact: object) -> Census:
        """Return the census that `to_fact` has written.

        Raises:
            BenchmarkError: the text was not written by `to_fact`.
        """
        try:
            images, sizes, *counts = json.loads(str(fact))
            formats, colours, conversions = (
                Counter({str(k): int(n[k]) for k in n}) for n in counts
            )
            pairs = {
                tuple(int(side) for side in size.split("×")): int(sizes[size]) for size in sizes
            }
            known = Counter({(width, height): n for (width, height), n in pairs.items()})
            return cls(int(images), known, formats, colours, conversions)
        except (ValueError, TypeError, AttributeError):
            raise BenchmarkError(f"{FACT} is {fact!r}: write the statistics again") from None

    def converted(self) -> str:
        """Return the conversions in one line; empty if no image needed one."""
        found = ", ".join(f"{count} × {name}" for name, count in sorted(self.conversions.items()))
        return f"converted to 8-bit sRGB: {found}" if found else ""


def differences(
    real: Census | None, fake: Census | None, counts: tuple[int | None, int | None]
) -> list[str]:
    """Return a line for each aspect in which two sides are known to differ, the real side first.

    Args:
        real: census of the reference; None: nothing is known of its images.
        fake: census of what is judged; None likewise.
        counts: number of images of real and fake, which may be known without a census; None:
            unknown.
    """
    lines = []
    if real is not None and fake is not None:
        for aspect, one, other in (
            ("size", _sizes(real), _sizes(fake)),
            ("format", real.formats, fake.formats),
            ("colour", real.colours, fake.colours),
        ):
            if _differ(one, other):
                lines.append(f"{aspect}: {_told(one)} against {_told(other)}")
    if None not in counts and counts[0] != counts[1]:
        lines.append(f"number: {counts[0]} images against {counts[1]}")
    return lines


def _sizes(census: Census) -> Counter[str]:
    return Counter({f"{w}×{h}": count for (w, h), count in census.sizes.items()})


def _differ(one: Counter[str], other: Counter[str]) -> bool:
    """Return whether one side has a kind that the other lacks, or a larger share of a kind."""
    if one.keys() != other.keys():
        return True
    shares = ((one[kind] / one.total(), other[kind] / other.total()) for kind in one)
    return any(abs(a - b) > _SHARE for a, b in shares)


def _told(kinds: Counter[str]) -> str:
    """Return the most frequent kinds, each with its percentage where there are several."""
    if len(kinds) == 1:
        return next(iter(kinds))
    ordered = sorted(kinds.items(), key=lambda item: (-item[1], item[0]))
    told = ", ".join(f"{kind} ({100 * n / kinds.total():.0f} %)" for kind, n in ordered[:_KINDS])
    more = len(ordered) - _KINDS
    return f"{told} and {more} more" if more > 0 else told
