"""What is evaluated: cells and controls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.storage.paths import HELD_OUT

if TYPE_CHECKING:
    from benchmark.data.controls import MadeControl
    from benchmark.records.record import Cell, Control


@dataclass(frozen=True)
class Subject:
    """The samples of a cell, or a control.

    Attributes:
        name: name of its records.
        dataset: data set with whose training images it is compared.
        count: number of its images.
        cell: the cell; None: it is a control.
        control: the control as in records; None: it is a cell.
        made: part that makes the images of the control; None: it is a cell, or held-out images.
        array: name of the array of its images and features; empty for held-out images.
        first: its first row in that array.
    """

    name: str
    dataset: str
    count: int
    cell: Cell | None = None
    control: Control | None = None
    made: MadeControl | None = None
    array: str = ""
    first: int = 0

    @property
    def is_held_out(self) -> bool:
        """Whether these are the held-out images of the data set."""
        return self.control is not None and self.control.kind == HELD_OUT

    @property
    def rows(self) -> slice:
        """Its rows in the array."""
        return slice(None) if self.cell else slice(self.first, self.first + self.count)
