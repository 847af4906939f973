"""Options of the metrics of `score`: those of the user, else those of the extractor's library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.core.errors import BenchmarkError
from benchmark.metrics import METRICS, Metric
from benchmark.tools.score_libraries import KID_SUBSET, library_of

INCEPTION_SCORE, KERNEL = "inception-score", "kernel"


@dataclass(frozen=True)
class MetricChoice:
    """The user's options of metrics; where they are None, those of the extractor's library hold.

    Attributes:
        isc_splits: number of parts over which the Inception score is averaged.
        kid_subsets: number of random subsets over which the kernel distance is averaged; 0: all
            pairs of images are used once.
        kid_subset_size: images of each side in a subset.
    """

    isc_splits: int | None = None
    kid_subsets: int | None = None
    kid_subset_size: int | None = None

    def check(self, names: Sequence[str]) -> None:
        """Refuse options of metrics that are not among `names`.

        Raises:
            BenchmarkError: an option is of another metric.
        """
        for option, given, name, short in (
            ("--isc-splits", self.isc_splits, INCEPTION_SCORE, "is"),
            ("--kid-subsets", self.kid_subsets, KERNEL, "kid"),
            ("--kid-subset-size", self.kid_subset_size, KERNEL, "kid"),
        ):
            if given is not None and name not in names:
                raise BenchmarkError(f"{option}: {name} is not measured: add {short} to --metrics")

    def of(self, name: str, extractor: str | None, fewest: int) -> Metric:
        """Return a metric with its options.

        Args:
            name: name of the metric.
            extractor: name of the extractor; None: unknown.
            fewest: number of images of the smaller side.

        Raises:
            BenchmarkError: the size of subsets is given, and there are no subsets.
        """
        options: dict[str, Any] = {}
        if name == INCEPTION_SCORE and self.isc_splits is not None:
            options["splits"] = self.isc_splits
        if name == KERNEL:
            options = self._kernel(extractor, fewest)
        return METRICS.make(name, **options)

    def _kernel(self, extractor: str | None, fewest: int) -> dict[str, int]:
        library = library_of(extractor) if extractor else None
        subsets, size = self.kid_subsets, self.kid_subset_size
        if subsets is None:
            subsets = library.kid_subsets if library else 0
        if not subsets and size is not None:
            raise BenchmarkError(
                "--kid-subset-size: all pairs of images are taken, once: give --kid-subsets too"
            )
        if not subsets:
            return {"subsets": 0}
        if size is None:
            shrinks = library is not None and library.kid_shrinks
            size = min(KID_SUBSET, fewest) if shrinks else KID_SUBSET
        seed = library.kid_seed if library else 0
        return {"subsets": subsets, "subset_size": size, "seed": seed}
