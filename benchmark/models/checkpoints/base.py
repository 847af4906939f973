"""The base class of formats of checkpoints."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import Sha256, StrictModel
from benchmark.diffusion.processes.base import Process
from benchmark.models.description import Architecture, Description, Loaded
from benchmark.storage.downloads import Download


class CheckpointFormat(StrictModel):
    """Where ready weights are, as a config says it, and how they are read.

    Configs are read without torch, so only `load` may import it.

    Attributes:
        described_in: words for what describes the network.
    """

    described_in: ClassVar[str] = "its header"

    @abstractmethod
    def describe(self) -> Description | None:
        """Return what the files say of the network; None: they must be downloaded first.

        Raises:
            BenchmarkError: a file is missing or damaged, or the network cannot be sampled.
        """

    @abstractmethod
    def load(self, cache: Path) -> Loaded:
        """Load the weights on the CPU; what is downloaded is stored in the folder `cache`.

        Raises:
            BenchmarkError: a file cannot be downloaded or read, has another hash than `sha256`,
                holds code, or does not fit the description of the network.
        """

    @abstractmethod
    def local_files(self) -> tuple[Path, list[str]]:
        """Return the folder of the weights on this machine, and the files in it that may be read.

        Files in a hub's cache and unrelated files of the folder are not among them.
        """

    @property
    def places(self) -> frozenset[str]:
        """The fields that say where files are: samples depend only on what the files contain."""
        return frozenset({"path"})

    def missing_file(self) -> Path | None:
        """Return the file of the weights if the config describes it but it does not exist yet."""
        return None

    def is_remote(self) -> bool:
        """Tell whether the weights must be downloaded, if no cache has them."""
        return False

    def unfetched(self, cache: Path) -> Download | None:
        """Return what `load` would download; None: nothing."""
        return None

    def check_process(self, at: str, found: Description, schedule: str, process: Process) -> None:
        """Refuse weights whose network cannot embed the times or noise levels of their process.

        Args:
            at: config key of the weights, with which the message begins.
            found: result of `describe`.
            schedule: name of the schedule in the grid.
            process: process for which the weights were trained.

        Raises:
            ValueError: the network cannot; the message says which process or option would be right.
        """
        if found.spec is not None:
            found.spec.check_process(f"{at}: network", schedule, process)

    def architecture(self, cache: Path) -> Architecture:
        """Return the architecture of the network, without downloading anything.

        Raises:
            BenchmarkError: it is not known on this machine; the message says why.
        """
        found = self.describe()
        if found is None or found.spec is None:
            raise BenchmarkError("the network of these weights is not known before they are loaded")
        return Architecture.of(
            found.spec, found.schedule, found.resolution, self.described_in, found.channels
        )


class Hashed(CheckpointFormat):
    """The base class of formats whose config may give the hash of the weights."""

    sha256: Sha256 | None = Field(
        default=None,
        description="Of the file of weights, if it is known; of "
        "shards, of their bytes in the order of their names",
        examples=["0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"],
    )
