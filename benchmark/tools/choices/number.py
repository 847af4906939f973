"""How many images a figure is of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Literal

from benchmark.core.errors import BenchmarkError
from benchmark.metrics.base import Sizes
from benchmark.metrics.frechet_infinity import FrechetInfinity
from benchmark.tools.choices.base import Choice, Known, LeftOut, Option, Recipe

LEAST = 4  # images of which a figure is still taken


class Number(Choice):
    """How many images: half and a quarter of B, half of A, or infinitely many, by extrapolation."""

    kind: Literal["number"] = "number"

    def options(self, known: Known) -> Iterator[Option | LeftOut]:
        """Yield smaller numbers of images of either side, and the extrapolation where it holds."""
        for name, share in (("half", 2), ("a quarter", 4)):
            count = round(known.fake.distinct / share)
            if count >= LEAST and known.group % share == 0:  # so many are in each group
                yield Option(f"{name} of B, about {count} images", _part_of_fake(1 / share))
        if known.real.holds != "statistics" and known.real.count // 2 >= LEAST:
            yield Option(f"half of A, {known.real.count // 2} images", _half_of_real)
        try:
            sizes = Sizes(known.fake.count, max(known.real.count, 2), known.dimension)
            FrechetInfinity().check_sizes(sizes)
        except BenchmarkError as error:
            yield LeftOut(f"infinitely many images: {error}")
            return
        yield Option(
            "infinitely many images like B, extrapolated",
            lambda recipe: replace(recipe, endless=True),
        )


def _part_of_fake(part: float) -> Callable[[Recipe], Recipe]:
    return lambda recipe: replace(recipe, fake=replace(recipe.fake, part=part))


def _half_of_real(recipe: Recipe) -> Recipe:
    return replace(recipe, real=replace(recipe.real, part=1 / 2))
