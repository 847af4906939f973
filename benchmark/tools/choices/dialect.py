"""Which extractor a figure is of."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from benchmark.extractors import EXTRACTORS
from benchmark.tools.choices.base import Choice, Known, LeftOut, Option, Recipe


class Dialect(Choice):
    """Which extractor: the other preprocessings of the same network, and other networks.

    Distances of another network are on another scale: they are told, and not ranked.
    """

    kind: Literal["dialect"] = "dialect"

    def options(self, known: Known) -> Iterator[Option | LeftOut]:
        """Yield the other extractors whose weights are on this machine, and name the rest."""
        own = EXTRACTORS.make(known.baseline.extractor)
        for name in EXTRACTORS.names():
            if name == own.kind:
                continue
            if not known.has_images:
                yield LeftOut(f"{name}: needs images on both sides")
                continue
            other = EXTRACTORS.make(name)
            same = other.weights.sha256 == own.weights.sha256
            if not same and other.weights.is_missing(known.cache):
                yield LeftOut(f"{name}: its weights, {other.weights.file}, are not on this machine")
                continue
            text = f"{name}: {other.preprocessing}"
            yield Option(text, functools.partial(_with, name), is_comparable=same)


def _with(name: str, recipe: Recipe) -> Recipe:
    return replace(recipe, extractor=name)
