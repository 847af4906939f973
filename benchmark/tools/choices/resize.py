"""How images are brought to the size of the network's input."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from benchmark.tools.choices.base import Choice, Known, LeftOut, Option, on_both, on_fake
from benchmark.tools.choices.operations import FILTERS, Fit


class Resize(Choice):
    """Which filter brings images to the size of the network's input, in whole grey levels."""

    kind: Literal["resize"] = "resize"

    def options(self, known: Known) -> Iterator[Option | LeftOut]:
        """Yield the other filters, if any image has another size than the network's input."""
        if known.fake.holds != "images":
            yield LeftOut("B holds no images")
            return
        if set(known.sizes) == {(known.width, known.width)}:
            return
        target = f"to {known.width}×{known.width}"
        for name, text in FILTERS.items():
            fit = Fit(known.width, known.width, name)
            if known.real.holds == "images":
                yield on_both(f"A and B {target}: {text}", fit)
            else:
                yield on_fake(f"B {target}: {text}", fit)
