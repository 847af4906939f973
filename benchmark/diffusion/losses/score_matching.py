"""What the losses share that match scores."""

from __future__ import annotations

from pydantic import Field

from benchmark.diffusion.losses.base import Loss


class ScoreMatching(Loss):
    """Matches the score of noisy images at each level with a weight λ(σ) = σ^p."""

    anneal_power: float | None = Field(
        default=None,
        ge=0,
        le=10,
        description="p of λ(σ) = σ^p where scores are matched, which is the loss of a geometric "
        "schedule; null: 2, as in the paper",
        examples=[1],
    )

    @property
    def power(self) -> float:
        """The p of λ(σ) = σ^p, with which all levels have the same weight by default."""
        return 2.0 if self.anneal_power is None else self.anneal_power
