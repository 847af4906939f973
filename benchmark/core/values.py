"""One measured number."""

from __future__ import annotations

from pydantic import Field

from benchmark.core.strict import Strict


class Value(Strict):
    """One measured number with its uncertainty, in the unit that its name states."""

    value: float
    std_error: float | None = None
    low: float | None = Field(default=None, description="Lower end of the 95 % interval")
    high: float | None = Field(default=None, description="Upper end of the 95 % interval")
