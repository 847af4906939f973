"""The small trained networks that come with this package."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import Name, nearest_names
from benchmark.models.checkpoints.base import CheckpointFormat
from benchmark.models.checkpoints.own import OwnCheckpoint
from benchmark.models.description import Description, Loaded

ZOO = Path(__file__).parents[2] / "zoo"


class ZooCheckpoint(CheckpointFormat):
    """A network for the embedded data that comes with this package, with its model card."""

    kind: Literal["zoo"] = "zoo"
    name: Name = Field(description="A file of benchmark/zoo/", examples=["avatars-ddpm"])

    def describe(self) -> Description:
        """Return what the header of the file says."""
        return self._file().describe()

    def load(self, cache: Path) -> Loaded:
        """Load the file of the network."""
        return self._file().load(cache)

    def local_files(self) -> tuple[Path, list[str]]:
        """Return the file, if there is one of this name."""
        return self._at().local_files()

    def _file(self) -> OwnCheckpoint:
        """Return the file; raise BenchmarkError with the nearest known name."""
        names = {path.stem for path in ZOO.glob("*.safetensors")}
        if self.name not in names:
            raise BenchmarkError(f"no {self.name!r} in the zoo: {nearest_names(self.name, names)}")
        return self._at()

    def _at(self) -> OwnCheckpoint:
        return OwnCheckpoint(path=ZOO / f"{self.name}.safetensors")
