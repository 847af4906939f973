"""How larger images were brought to the size of the smaller ones before anything was compared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from benchmark.tools.choices.base import Choice, Known, LeftOut, Option, on_fake, on_real
from benchmark.tools.choices.operations import FILTERS, Scale


class Size(Choice):
    """Which filter brings the set of larger images to the size of the other set."""

    kind: Literal["size"] = "size"

    def options(self, known: Known) -> Iterator[Option | LeftOut]:
        """Yield each filter, if all images of one set have one size, and the others are larger."""
        if not known.has_images or known.real.sizes.keys() == known.fake.sizes.keys():
            return
        for name, on, large, small in (
            ("A", on_real, known.real, known.fake),
            ("B", on_fake, known.fake, known.real),
        ):
            [(width, height), *others] = small.sizes
            if others or any(w < width or h < height for w, h in large.sizes):
                continue
            for filter_name, text in FILTERS.items():
                scale = Scale(width, height, filter_name)
                yield on(f"{name} to {width}×{height} first: {text}", scale)
