"""What is done with images that are not square."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from benchmark.tools.choices.base import Choice, Known, LeftOut, Option, on_both
from benchmark.tools.choices.operations import CentreCrop


class Crop(Choice):
    """Whether images that are not square are squeezed or cut to their centre."""

    kind: Literal["crop"] = "crop"

    def options(self, known: Known) -> Iterator[Option | LeftOut]:
        """Yield the centre crop, if some image is not square."""
        if known.has_images and any(width != height for width, height in known.sizes):
            yield on_both("A and B cut to their centre, not squeezed", CentreCrop())
