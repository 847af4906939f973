"""Checkpoints of ermongroup/ncsn."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, ValidationError

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import UserPath, explain
from benchmark.diffusion.schedules import SCHEDULES
from benchmark.models.checkpoints.base import Hashed
from benchmark.models.description import Description, Loaded
from benchmark.models.headers import WeightFiles, check_pointer
from benchmark.models.networks.refinenet import RefineNet


class NcsnCheckpoint(Hashed):
    """A checkpoint of ermongroup/ncsn, which contains weights, but no description of them."""

    described_in: ClassVar[str] = "the config"
    kind: Literal["ncsn"] = "ncsn"
    path: UserPath = Field(description="checkpoint.pth", examples=["checkpoint.pth"])
    network: RefineNet = Field(default=RefineNet(), description="The network of the weights")
    resolution: int = Field(
        default=32, ge=2, le=4096, description="Height and width of the images, in pixels"
    )
    sigma_min: float = Field(default=0.01, gt=0, le=1e6, description="The smallest noise level")
    sigma_max: float = Field(default=1.0, gt=0, le=1e6, description="The largest noise level")

    def describe(self) -> Description:
        """Return what the config says of the weights; the file may be missing.

        Raises:
            BenchmarkError: the noise levels are no valid schedule, or the file is a git-lfs
                pointer.
        """
        check_pointer(self.path)
        options = {
            "levels": self.network.levels,
            "sigma_min": self.sigma_min,
            "sigma_max": self.sigma_max,
        }
        try:
            schedule = SCHEDULES.make("geometric", **options)
        except ValidationError as error:
            raise BenchmarkError(explain(error, options)) from None
        channels = self.network.image_channels
        embeddings = None if self.network.classes is None else self.network.classes + 1
        return Description(
            self.network, schedule, "score", False, self.resolution, channels, embeddings
        )

    def load(self, cache: Path) -> Loaded:
        """Load the state of the network, which is the first in the list that the file contains."""
        import torch

        from benchmark.models.tensors import check_sha256, fill, is_weights, read_tensors

        found = self.describe()
        sha256 = check_sha256(WeightFiles(self.path, (self.path,)), self.sha256)
        states = read_tensors(self.path)
        if not isinstance(states, list | tuple) or not states or not is_weights(states[0]):
            raise BenchmarkError(
                f"{self.path}: no checkpoint of ermongroup/ncsn, which is a list of the network's "
                "and the optimiser's state"
            )
        with torch.device("meta"):
            network = self.network.build(self.resolution)
        choices = fill(network, states[0], self.path, "network")
        facts = {"network": self.network.model_dump(mode="json")}
        return found.loaded(network, choices, name=self.path.name, sha256=sha256, facts=facts)

    def local_files(self) -> tuple[Path, list[str]]:
        """Return the file, if it is there."""
        return self.path.parent, [self.path.name] if self.path.is_file() else []

    def missing_file(self) -> Path | None:
        """Return the file if it does not exist yet."""
        return None if self.path.is_file() else self.path
