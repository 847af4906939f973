"""One measured number."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from benchmark.core.strict_model import StrictModel


class Value(StrictModel):
    """One measured number with its uncertainty, in the unit that its name states."""

    value: float
    std_error: float | None = None
    low: float | None = Field(default=None, description="Lower end of the 95 % interval")
    high: float | None = Field(default=None, description="Upper end of the 95 % interval")

    @model_validator(mode="after")
    def _has_both_ends(self) -> Self:
        if (self.low is None) != (self.high is None):
            raise ValueError("low, high: an interval has both of these keys")
        return self
