"""The job that prepares a data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmark.config.jobs.base import Files, RecordedJob, data_spec
from benchmark.core.errors import BenchmarkError

if TYPE_CHECKING:
    from benchmark.data.sources.base import Source


@dataclass(frozen=True, kw_only=True)
class PrepareJob(RecordedJob):
    """Prepare the data set `name`.

    Attributes:
        source: source of its images.
    """

    kind = "data"
    source: Source

    def spec(self) -> dict[str, Any]:
        """Return all that the images depend on, except files."""
        return data_spec(self.source)

    def modules(self) -> list[str]:
        """Return the stage, and the source."""
        return ["benchmark.stages.prepare", type(self.source).__module__]

    def files(self) -> Files | None:
        """Return the user's images.

        Raises:
            BenchmarkError: their folder is missing; the message has its config key.
        """
        try:
            return self.source.local_files()
        except BenchmarkError as error:
            raise BenchmarkError(f"data.{self.name}.{error}") from None
