"""What tests of claims have in common: the cells they name, and the range that a claim wants."""

from __future__ import annotations

from pydantic import Field, model_validator

from benchmark.core.strict_model import StrictModel


class TwoCells(StrictModel):
    """A test that compares two rows of the report, by their names in `cells` of the claims."""

    cell: str
    other: str


class Range(StrictModel):
    """The range in which a claim wants a number."""

    at_least: float | None = Field(default=None, gt=0)
    at_most: float | None = Field(default=None, gt=0)

    @property
    def wanted(self) -> str:
        """The words for the range that the claim wants."""
        low, high = (x is not None and f"{x:.3g}" for x in (self.at_least, self.at_most))
        return (
            f"{low} to {high}" if low and high else f"at least {low}" if low else f"at most {high}"
        )

    @model_validator(mode="after")
    def _check(self) -> Range:
        if self.at_least is None and self.at_most is None:
            raise ValueError("at_least: one of at_least and at_most is needed")
        return self
