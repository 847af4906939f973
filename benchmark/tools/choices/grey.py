"""Whether the colours of a set count where the other set, or a part of it, has none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from benchmark.tools.choices import operations
from benchmark.tools.choices.base import Choice, Known, LeftOut, Option, on_both


class Grey(Choice):
    """Whether colours count, where some images are grey and others are not."""

    kind: Literal["grey"] = "grey"

    def options(self, known: Known) -> Iterator[Option | LeftOut]:
        """Yield both sets without colours, if some images but not all are grey."""
        grey = known.real.grey + known.fake.grey
        if known.has_images and 0 < grey < known.real.count + known.fake.count:
            yield on_both("A and B without colours", operations.Grey())
