"""What transparent pixels become."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from benchmark.data.pixels import Background
from benchmark.tools.choices.base import Choice, Known, LeftOut, Option, Recipe


class Alpha(Choice):
    """Whether transparent pixels are blended with white or black, or lose their transparency."""

    kind: Literal["alpha"] = "alpha"

    def options(self, known: Known) -> Iterator[Option | LeftOut]:
        """Yield both other ways, if some image has transparent pixels."""
        if known.real.transparent or known.fake.transparent:
            black: Background = "black"
            yield Option("transparent pixels on black", functools.partial(_on, black))
            dropped: Background = "dropped"
            text = "transparency dropped, as by convert('RGB') of Pillow"
            yield Option(text, functools.partial(_on, dropped))


def _on(background: Background, recipe: Recipe) -> Recipe:
    return replace(
        recipe,
        real=replace(recipe.real, background=background),
        fake=replace(recipe.fake, background=background),
    )
