"""Data sets of faces on the Hugging Face hub at a fixed revision, or from a local copy."""

from __future__ import annotations

import abc
import re
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import UserPath
from benchmark.data.hub_files import downloaded, missing
from benchmark.data.image_files import file_candidates
from benchmark.data.image_tables import ImageTable, check_complete
from benchmark.data.listing import image_files, list_files
from benchmark.data.sources.base import Candidates, Offer, Photographs, drawn
from benchmark.storage.downloads import Download

PARQUET = frozenset({".parquet"})
COLUMN = "image"  # a struct of `bytes` and `path`, as the `datasets` library writes images


class HubFaces(Photographs, abc.ABC):
    """A data set on the hub as parquet files, with a training and a validation split.

    Training images are drawn from the split `train`, and held-out images from the validation split.
    A local copy is a folder of the same parquet files, or of images; images have no splits, so both
    sets are drawn from all of them.
    """

    path: UserPath | None = Field(
        default=None,
        description="Local copy: a folder of parquet files or of images",
        examples=["celeba"],
    )

    repository: ClassVar[str]
    files: ClassVar[tuple[str, ...]]
    licence: ClassVar[str]
    attribution: ClassVar[str]
    revision: str

    def offer(self) -> Offer:
        """Find the local copy, or download the files that are not in the hub's cache yet."""
        folder = self.path or downloaded(self.repository, self.revision, self.files)
        found, others = list_files(folder, PARQUET, "path")
        shards = [folder / file for file in found]
        if shards:
            train, held_out = self._rows(folder, shards)
        else:
            files, others = image_files(folder, "path")
            train, held_out = file_candidates(folder, files, self.seed), None
        at = self.path or f"{self.repository}, revision {self.revision}, from the Hugging Face hub"
        return Offer(
            train=train,
            held_out=held_out,
            origin=str(at),
            licence=self.licence,
            attribution=self.attribution,
            skip_bad=self.on_bad_image == "skip",
            ignored=others,
        )

    def local_files(self) -> tuple[Path, list[str]] | None:
        """Return the folder of the local copy and the files in it; None: there is none."""
        if self.path is None:
            return None
        shards, _ = list_files(self.path, PARQUET, "path")
        return self.path, shards or image_files(self.path, "path").files

    def _rows(self, folder: Path, shards: list[Path]) -> tuple[Candidates, Candidates | None]:
        train = [s for s in shards if _is_split("train", s.relative_to(folder))]
        held_out = [s for s in shards if _is_split("valid(ation)?", s.relative_to(folder))]
        if not train:
            raise BenchmarkError(f"path: {folder}: no train*.parquet among its parquet files")
        check_complete(train)
        check_complete(held_out)
        return (
            _row_candidates(train, self.seed),
            _row_candidates(held_out, self.seed) if held_out else None,
        )

    def unfetched(self) -> Download | None:
        """Return the download of the data set; None: the hub's cache or a local copy has it."""
        return (
            None if self.path is not None else missing(self.repository, self.revision, self.files)
        )


def _is_split(name: str, path: Path) -> bool:
    """Tell by its path, as `train-00000-of-00006.parquet`, whether a shard is of a split."""
    return re.search(rf"(^|/){name}[-/.]", path.as_posix()) is not None


def _row_candidates(paths: Sequence[Path], seed: int) -> Candidates:
    table = ImageTable(paths, COLUMN)
    return Candidates(drawn(table.count, seed), table.read)
