"""What two sets of images have that is not their content: sizes, formats, conversions, number."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from benchmark.core.errors import BenchmarkError
from benchmark.tools.score_inputs import ARRAY, Picture

_KINDS = 3  # named of each aspect; the others are counted
FACT = "images_read"  # in a file of statistics: how its images were read
_UNCHANGED = "RGB"  # colours that needed no conversion
_SHARE = 0.1  # a difference in the share of a kind that is told


@dataclass
class Census:
    """Counts what the images of one side have in common.

    Attributes:
        images: how many there are.
        sizes: images by width and height.
        formats: images by file format.
        colours: images by the conversions that brought them to 8-bit sRGB; "RGB" where none was
            needed.
        conversions: images by each conversion.
    """

    images: int = 0
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    formats: Counter[str] = field(default_factory=Counter)
    colours: Counter[str] = field(default_factory=Counter)
    conversions: Counter[str] = field(default_factory=Counter)

    def watch(self, pictures: Iterable[Picture]) -> Iterator[Picture]:
        """Pass pictures on and count them; none is kept until the next one is asked for."""
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
        """Return what the shape of an array, N×H×W×3, tells of its images."""
        count, height, width = shape[:3]
        return cls(
            count,
            Counter({(width, height): count}),
            Counter({ARRAY: count}),
            Counter({_UNCHANGED: count}),
        )

    def to_fact(self) -> str:
        """Return what a file of statistics keeps of its images: JSON."""
        sizes = _sizes(self)
        return json.dumps([self.images, sizes, self.formats, self.colours, self.conversions])

    @classmethod
    def from_fact(cls, fact: object) -> Census:
        """Return what `to_fact` kept.

        Raises:
            BenchmarkError: the text is not of this kind.
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
        """Return the conversions in one line; "" where no image needed one."""
        found = ", ".join(f"{count} × {name}" for name, count in sorted(self.conversions.items()))
        return f"converted to 8-bit sRGB: {found}" if found else ""


def differences(
    real: Census | None, fake: Census | None, counts: tuple[int | None, int | None]
) -> list[str]:
    """Return one line for each aspect in which two sides are known to differ, the real one first.

    Args:
        real: of the reference; None: nothing is known of its images.
        fake: of what is judged.
        counts: of the images of the two, of which more is known than of their form; None: unknown.
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
    """Tell whether one side has a kind that the other has not, or much more of it."""
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
