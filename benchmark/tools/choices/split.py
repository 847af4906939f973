"""Which part of the data the reference is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

from benchmark.tools.choices.base import Choice, Known, LeftOut, Option, Recipe


class Split(Choice):
    """Which part of the data is the reference: A, the folder of --reference-split, or both."""

    kind: Literal["split"] = "split"

    def options(self, known: Known) -> Iterator[Option | LeftOut]:
        """Yield the other split alone and both together, if a folder was named."""
        if (other := known.split) is None:
            return

        def taken(*paths: Path) -> Option:
            text = f"the reference is {' and '.join(path.name for path in paths)}"
            return Option(text, lambda recipe: _with(recipe, *paths))

        yield taken(*known.baseline.real.paths, other)
        yield taken(other)


def _with(recipe: Recipe, *paths: Path) -> Recipe:
    return replace(recipe, real=replace(recipe.real, paths=paths))
