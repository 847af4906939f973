"""Data sets of faces on the Hugging Face hub at a fixed revision, or from a local copy."""

from __future__ import annotations

import abc
import functools
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image
from pydantic import Field

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import UserPath
from benchmark.data.image_files import file_candidates
from benchmark.data.listing import image_files, list_files
from benchmark.data.sources.base import Candidates, Item, Offer, Photographs, drawn
from benchmark.storage.downloads import Download, check_blob, check_hub, from_hub

PARQUET = frozenset({".parquet"})
COLUMN = "image"  # a struct of `bytes` and `path`, as the `datasets` library writes images


class HubFaces(Photographs, abc.ABC):
    """A data set on the hub as parquet files, with a training and a validation split.

    Training images are drawn from the split `train`, and held-out images from the validation split.
    A local copy is a folder of the same parquet files, or of images; images have no splits, so both
    sets are drawn from all of them.
    """

    path: UserPath | None = Field(
        default=None, description="Local copy: a folder of parquet files or of images"
    )

    repository: ClassVar[str]
    files: ClassVar[tuple[str, ...]]
    licence: ClassVar[str]
    attribution: ClassVar[str]
    revision: str

    def offer(self) -> Offer:
        """Find the local copy, or download the files that are not in the hub's cache yet."""
        folder = self.path or self._download()
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
        _check_complete(train)
        _check_complete(held_out)
        return (
            _row_candidates(train, self.seed),
            _row_candidates(held_out, self.seed) if held_out else None,
        )

    def unfetched(self) -> Download | None:
        """Return the download of the data set; None: the hub's cache or a local copy has it."""
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError

        if self.path is not None:
            return None
        try:
            folder = snapshot_download(
                self.repository,
                repo_type="dataset",
                revision=self.revision,
                local_files_only=True,
            )
        except LocalEntryNotFoundError:
            folder = ""
        if folder and any(Path(folder).rglob("*.parquet")):
            return None
        return from_hub(f"give a local copy of {self.repository} with path: FOLDER")

    def _download(self) -> Path:
        from huggingface_hub import snapshot_download

        check_hub()
        try:
            folder = snapshot_download(
                self.repository,
                repo_type="dataset",
                revision=self.revision,
                allow_patterns=list(self.files),
            )
        except Exception as error:  # the client raises errors of its own, of HTTP and of the system
            reason = str(error).strip().split("\n")[0].removeprefix("Got: ") or type(error).__name__
            raise BenchmarkError(
                f"{self.repository} (revision {self.revision}) cannot be had from the Hugging Face "
                f"hub: {reason}; give a local copy with path: FOLDER (of parquet files or images)"
            ) from None
        for pattern in self.files:
            for file in Path(folder).glob(pattern):
                check_blob(file)
        return Path(folder)


def _is_split(name: str, path: Path) -> bool:
    """Tell by its path, as `train-00000-of-00006.parquet`, whether a shard is of a split."""
    return re.search(rf"(^|/){name}[-/.]", path.as_posix()) is not None


def _check_complete(shards: Sequence[Path]) -> None:
    """Refuse a split with missing files, from which other images would be drawn."""
    for shard in shards:
        numbered = re.search(r"-of-(\d+)\.parquet$", shard.name)
        if numbered and int(numbered[1]) != len(shards):
            raise BenchmarkError(
                f"path: {shard.parent}: {len(shards)} of the {int(numbered[1])} files like "
                f"{shard.name} are there; fetch the others"
            )


@dataclass(frozen=True)
class _Shard:
    path: Path
    start: int
    stop: int


def _row_candidates(paths: Sequence[Path], seed: int) -> Candidates:
    shards: list[_Shard] = []
    total = 0
    for path in paths:
        count = _open_parquet(path).metadata.num_rows
        shards.append(_Shard(path, total, total + count))
        total += count

    def read(indices: Sequence[int]) -> Iterator[Item]:
        for shard in shards:
            rows = [i - shard.start for i in indices if shard.start <= i < shard.stop]
            yield from _read_rows(shard.path, rows)

    return Candidates(drawn(total, seed), read)


def _read_rows(path: Path, rows: Sequence[int]) -> Iterator[Item]:
    """Yield the images of ascending rows, with one row group in memory at a time."""
    if not rows:
        return
    parquet = _open_parquet(path)
    start = 0
    for group in range(parquet.num_row_groups):
        stop = start + parquet.metadata.row_group(group).num_rows
        wanted = [row for row in rows if start <= row < stop]
        if wanted:
            column = _read_group(parquet, group, path)
            for row in wanted:
                content = column[row - start].as_py()["bytes"]
                yield Item(f"{path.name}#{row}", functools.partial(_open_bytes, content))
        start = stop


def _open_parquet(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        parquet = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise _damaged(path, error) from None
    if COLUMN not in (names := parquet.schema_arrow.names):
        raise BenchmarkError(f"{path}: no column {COLUMN!r}, only {', '.join(names)}")
    return parquet


def _read_group(parquet: Any, group: int, path: Path) -> Any:
    import pyarrow as pa

    try:
        return parquet.read_row_group(group, columns=[COLUMN]).column(COLUMN)
    except (pa.ArrowInvalid, OSError) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> BenchmarkError:
    reason = " ".join(str(error).split())
    return BenchmarkError(f"{path}: not a whole parquet file: {reason}; fetch it again")


def _open_bytes(content: bytes | None) -> Image.Image:
    if not content:
        raise ValueError("the row holds no image")
    return Image.open(io.BytesIO(content))
