"""The base classes of jobs."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

if TYPE_CHECKING:
    from benchmark.config.schema import ComputePrecision
    from benchmark.data.sources.base import Source
    from benchmark.records.record import Kind

Files = tuple[Path, Sequence[str]]  # a folder, and paths in it


@dataclass(frozen=True, kw_only=True)
class Job(abc.ABC):
    """All that one job of the workflow needs, so that its stage reads no config.

    Attributes:
        name: name of what the job makes.
    """

    name: str

    @abc.abstractmethod
    def compared(self) -> dict[str, Any]:
        """Return what makes the job run again when it changes, as data for JSON.

        Besides this, code, the contents of `files` and the outputs of other jobs are compared.
        """

    @abc.abstractmethod
    def modules(self) -> list[str]:
        """Return the modules of its stage and parts; modules that they import are compared too.

        Raises:
            BenchmarkError: a module of the user is missing.
        """

    def files(self) -> Files | None:
        """Return the files of the user that the job reads; None: none."""
        return None


@dataclass(frozen=True, kw_only=True)
class RecordedJob(Job):
    """A job that writes one record, with the name of the job.

    Attributes:
        kind: kind of the record.
    """

    kind: ClassVar[Kind]

    @abc.abstractmethod
    def spec(self) -> dict[str, Any]:
        """Return the record's specification: all that the result depends on except files and code.

        Paths of files, the number of threads and the device are not in it.
        """

    def compared(self) -> dict[str, Any]:
        """Return the specification."""
        return self.spec()


class Computing(NamedTuple):
    """How networks compute."""

    device: str  # as in the config: auto, cpu, cuda or cuda:NUMBER
    precision: ComputePrecision
    compile: bool

    def spec(self) -> dict[str, Any]:
        """Return what the last bits of a network's output depend on."""
        return {"precision": self.precision, "compile": self.compile}


def data_spec(source: Source) -> dict[str, Any]:
    """Return all that the prepared images of a data set depend on, except files.

    Paths are not in it; the contents of files are compared by `benchmark.storage.contents`.
    """
    return {"data": {k: v for k, v in said(source).items() if k not in source.places}}


def said(source: Source) -> dict[str, Any]:
    """Return the keys of a data set as data for JSON, without those of `Source.unsaid`.

    Of a file of labels it says that there is one, and not where, since its content counts.
    """
    content = source.model_dump(mode="json")
    if content.get("labels") not in (None, "folders"):
        content["labels"] = "CSV"
    return {k: v for k, v in content.items() if k not in source.unsaid or v != source.unsaid[k]}
