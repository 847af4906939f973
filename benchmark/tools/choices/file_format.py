"""As which files images were kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from benchmark.tools.choices.base import Choice, Known, LeftOut, Option, on_both, on_fake, on_real
from benchmark.tools.choices.operations import Jpeg

QUALITIES = (95, 75)  # of clean-fid's and of Pillow's own default


class Format(Choice):
    """Whether images are kept as they are or as JPEG of quality 95 or 75."""

    kind: Literal["format"] = "format"

    def options(self, known: Known) -> Iterator[Option | LeftOut]:
        """Yield both qualities for either set and for both, where these are images."""
        if known.fake.holds != "images":
            yield LeftOut("B holds no images")
        if known.real.holds != "images":
            yield LeftOut("A holds no images")
        for quality in QUALITIES:
            how, jpeg = f"as JPEG of quality {quality}", Jpeg(quality)
            if known.fake.holds == "images":
                yield on_fake(f"B {how}", jpeg)
            if known.real.holds == "images":
                yield on_real(f"A {how}", jpeg)
            if known.has_images:
                yield on_both(f"A and B {how}", jpeg)
