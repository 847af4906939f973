"""Whether images that stand several times in a set count several times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from benchmark.tools.choices.base import Choice, Known, LeftOut, Option, Recipe


class Duplicates(Choice):
    """Whether images that stand several times in a set count several times."""

    kind: Literal["duplicates"] = "duplicates"

    def options(self, known: Known) -> Iterator[Option | LeftOut]:
        """Yield each image once, of a set that has some more than once."""
        for name, facts, change in (("A", known.real, _real), ("B", known.fake, _fake)):
            more = facts.count - facts.distinct if facts.holds != "statistics" else 0
            if more:
                yield Option(f"{name} without {more} copies of its own images", change)


def _real(recipe: Recipe) -> Recipe:
    return replace(recipe, real=replace(recipe.real, distinct=True))


def _fake(recipe: Recipe) -> Recipe:
    return replace(recipe, fake=replace(recipe.fake, distinct=True))
