"""What all formats of checkpoints share."""

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
    """Where ready weights are, as it stands in a config, and how they are read.

    A config is read without torch, so that `load` alone imports it.

    Attributes:
        described_in: from what is known which network it is.
    """

    described_in: ClassVar[str] = "its header"

    @abstractmethod
    def describe(self) -> Description | None:
        """Return what the weights say of themselves, or None where that must be downloaded.

        Raises:
            BenchmarkError: a file is missing or damaged, or describes nothing that can be sampled.
        """

    @abstractmethod
    def load(self, cache: Path) -> Loaded:
        """Load the weights on the CPU; what has to be fetched is kept below `cache`.

        Raises:
            BenchmarkError: a file cannot be fetched or read, is not the one that `sha256` names,
                holds code, or does not fit what describes it.
        """

    @abstractmethod
    def local_files(self) -> tuple[Path, list[str]]:
        """Return the folder of the weights on this machine, and the files in it that may be read.

        Those in a hub's cache are not among them, nor what else lies in the folder.
        """

    @property
    def places(self) -> frozenset[str]:
        """The fields that say where files lie: samples depend on what the files hold, not on it."""
        return frozenset({"path"})

    def missing_file(self) -> Path | None:
        """Return the file that the weights are read from, where it is described but not there."""
        return None

    def is_remote(self) -> bool:
        """Tell whether the weights are on the net, and at most in a cache on this machine."""
        return False

    def unfetched(self, cache: Path) -> Download | None:
        """Return what `load` would have to download; None: nothing."""
        return None

    def check_process(self, at: str, found: Description, schedule: str, process: Process) -> None:
        """Refuse weights whose network cannot be told the times of its process.

        Args:
            at: the key of the weights in the config, with which the message begins.
            found: what `describe` returned.
            schedule: the name of the schedule in the grid.
            process: for which the weights were trained.

        Raises:
            ValueError: with the process or the option that would be right.
        """
        if found.spec is not None:
            found.spec.check_process(f"{at}: network", schedule, process)

    def architecture(self, cache: Path) -> Architecture:
        """Return the network, as far as it is known on this machine; nothing is downloaded.

        Raises:
            BenchmarkError: with the reason why it is not known.
        """
        found = self.describe()
        if found is None or found.spec is None:
            raise BenchmarkError("the network of these weights is not known before they are loaded")
        return Architecture.of(found.spec, found.schedule, found.resolution, self.described_in)


class Hashed(CheckpointFormat):
    """The fields of weights whose file may be told by its hash."""

    sha256: Sha256 | None = Field(
        default=None,
        description="Of the file of weights, if it is known; of "
        "shards, of their bytes in the order of their names",
    )
