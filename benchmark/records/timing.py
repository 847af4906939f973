"""The times of a sampler, as they were taken."""

from __future__ import annotations

from typing import Literal, NamedTuple, Self

from pydantic import Field, model_validator

from benchmark.core.strict_model import Count, NotNegative, Positive, StrictModel
from benchmark.core.values import Value


class Lap(NamedTuple):
    """A part of a batch that was timed."""

    seconds: float
    images: float  # share of the batch's images, in proportion to the lap's network evaluations
    batch: int  # images of the batch


class Timing(StrictModel):
    """How long the sampler alone took, after warm-up, with the device synchronised."""

    warmup_batches: int = Field(ge=0)
    batch: Count = Field(description="Images in the first batch")
    batch_seconds: list[Positive] = Field(min_length=1, description="Wall time of each timed batch")
    batch_images: list[Count] = Field(description="Images in each timed batch")
    batch_laps: list[list[tuple[Positive, Count]]] = Field(
        default_factory=list,
        description="Wall time and network evaluations of each part of each timed batch; empty: "
        "not told",
    )
    network_evaluations: Positive = Field(description="Forward passes per image, counted")
    peak_memory_bytes: int = Field(
        ge=0,
        description="Peak of the GPU, or of the job's processes on a CPU; what they share counts "
        "in each",
    )
    peak_memory_of: Literal["device", "process"]
    joules: NotNegative | None = Field(
        default=None,
        description="Energy of the GPU, or else of the CPU packages, in the timed batches; null: "
        "the machine does not tell",
    )
    gpu_clock_mhz: NotNegative | None = Field(
        default=None, description="Clock of the multiprocessors, right after the last batch"
    )
    gpu_throttled: list[str] | None = Field(
        default=None, description="Why the clock was held back then, in NVML's words"
    )

    @model_validator(mode="after")
    def _is_of_every_batch(self) -> Self:
        lengths = {len(self.batch_seconds), len(self.batch_images)}
        if self.batch_laps:
            lengths.add(len(self.batch_laps))
        if len(lengths) > 1:
            raise ValueError("batch_seconds, batch_images and batch_laps do not fit each other")
        if not all(self.batch_laps):
            raise ValueError("batch_laps: a batch without laps")
        return self

    @property
    def batches(self) -> int | str:
        """Images in each batch, except a smaller last one; if the number changed, all numbers."""
        sizes = sorted({*(self.batch_images[:-1] or self.batch_images)})
        return self.batch if len(sizes) == 1 else " + ".join(map(str, sizes))

    @property
    def seconds(self) -> float:
        """Total seconds of the timed batches."""
        return sum(self.batch_seconds)

    @property
    def laps(self) -> list[Lap]:
        """The laps of all batches in the order of time; a record without laps has whole batches."""
        whole = [[(seconds, 1)] for seconds in self.batch_seconds]
        return [
            Lap(seconds, images * evaluations / sum(n for _, n in laps), images)
            for laps, images in zip(self.batch_laps or whole, self.batch_images, strict=True)
            for seconds, evaluations in laps
        ]

    @property
    def full_laps(self) -> list[Lap]:
        """The laps without those of a last batch that is smaller than the others."""
        least = min(self.batch_images[:-1] or self.batch_images)
        return [lap for lap in self.laps if lap.batch >= least]

    @property
    def values(self) -> dict[str, Value]:
        """The values of the record of the samples."""
        return {"sample_seconds": Value(value=self.seconds)}
