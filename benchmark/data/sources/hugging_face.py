"""Any data set of images of the Hugging Face hub, or a folder of the same files."""

from __future__ import annotations

import fnmatch
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import Commit, Lack, Needing, UserPath, UserText, shown, text
from benchmark.data.hub_files import downloaded, missing
from benchmark.data.image_tables import (
    SUFFIXES,
    ImageTable,
    check_complete,
    names_files,
    sets_of,
    without_caches,
)
from benchmark.data.labels import check_names, numbered
from benchmark.data.listing import image_files, list_files
from benchmark.data.packed import Album, Packed, files_at
from benchmark.data.sources.base import JOINT
from benchmark.storage.downloads import Download

MOST_SETS = 6  # that a message names
ALL = "*"  # as `files`: nobody has said which
Repository = Annotated[str, text(r"^[\w.-]{1,96}(/[\w.-]{1,96})?$", "an id as owner/name", 200)]


_EITHER = "either path or repository is needed"


class HuggingFace(Needing, Packed):
    """Images in the rows of parquet or Arrow files, which the library datasets writes."""

    source: Literal["hugging-face"] = "hugging-face"
    path: UserPath | None = Field(
        default=None,
        description="A file, or a folder of files, of `to_parquet` or `save_to_disk`",
        examples=["photos.parquet"],
    )
    repository: Repository | None = Field(
        default=None,
        description="Instead of `path`: id of a data set on the hub, as owner/name",
        examples=["owner/photos"],
    )
    revision: Commit | None = Field(
        default=None,
        description="Commit on the hub",
        examples=["0123456789abcdef0123456789abcdef01234567"],
    )
    files: UserText = Field(
        default=ALL,
        min_length=1,
        description="Which files, as data/train-*.parquet; *: all, which must be of one split",
    )
    held_out_files: UserText | None = Field(
        default=None,
        min_length=1,
        description="Which files the held-out images are drawn from, as data/test-*.parquet; null: "
        "both sets are drawn from `files`",
        examples=["data/test-*.parquet"],
    )
    image: UserText | None = Field(
        default=None,
        min_length=1,
        description="Column of the images; null: the only one",
        examples=["image"],
    )
    label: UserText | None = Field(
        default=None,
        min_length=1,
        description="Column of the classes: numbers or texts; or columns that make up a class "
        "together, as Male+Smiling",
        examples=["label"],
    )

    @classmethod
    def lacking(cls, given: Mapping[str, Any]) -> list[Lack]:
        """Return that neither a path nor a repository is given, or half of the latter."""
        path, *both = (given.get(key) is not None for key in ("path", "repository", "revision"))
        if any(both) and not all(both):
            return [("", "repository and revision are needed together: a branch may change")]
        return [] if path or all(both) else [("", _EITHER)]

    @model_validator(mode="after")
    def _check(self) -> HuggingFace:
        if self.path is not None and self.repository is not None:
            raise ValueError(_EITHER)
        return self

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Tell whether a file is called .parquet or .arrow, or a folder has such files."""
        if path.is_dir():
            return bool(list_files(path, SUFFIXES).files)
        return path.is_file() and path.suffix.lower() in SUFFIXES

    def origin(self) -> str:
        """Return the path, or the id and the revision."""
        if self.path is not None:
            return str(self.path)
        return f"{self.repository}, revision {self.revision}, from the Hugging Face hub"

    def packed_files(self) -> tuple[Path, list[str]]:
        """Return the folder and the names of the files; download what is missing."""
        if self.path is None:
            assert self.repository is not None
            assert self.revision is not None
            folder = downloaded(self.repository, self.revision, self._patterns())
        else:
            folder = self.path
        return files_at(folder, SUFFIXES, "a folder of .parquet or .arrow files would be right")

    def local_files(self) -> tuple[Path, list[str]] | None:
        """Return the folder, and its files; also those of images, which rows may name."""
        if self.path is None:
            return None
        folder, files = self.packed_files()
        # Beside a single file may lie anything, and most files name no others.
        beside = self.path.is_dir() or names_files(self.path)
        return folder, [*files, *_images_beside(folder)] if beside else files

    def unfetched(self) -> Download | None:
        """Return the download of the data set; None: the hub's cache or a folder has it."""
        if self.repository is None or self.revision is None:
            return None
        return missing(self.repository, self.revision, self._patterns())

    def classes(self) -> tuple[str, ...]:
        """Return the names of the classes, once the files are here."""
        if self.label is not None and self.unfetched() is not None:
            raise BenchmarkError(
                f"label: the classes of {self.repository} are not known before it is downloaded: "
                f"hf download --repo-type dataset {self.repository} --revision {self.revision}"
            )
        return super().classes()

    def list_images(self, folder: Path, files: Sequence[str]) -> Album:
        """Read how many rows the files have, and the column of the classes."""
        train = self._matching(folder, files, "files", self.files)
        held_out = (
            []
            if self.held_out_files is None
            else self._matching(folder, files, "held_out_files", self.held_out_files)
        )
        if both := set(train) & set(held_out):
            raise BenchmarkError(
                f"held_out_files: {folder}: {min(both).name} is among `files` too: patterns that "
                "have no file in common would be right"
            )
        if self.files == ALL:
            _refuse_several(folder, train)
        check_complete([*train, *held_out])
        asked = (any(fnmatch.fnmatch(file, p) for p in self._patterns()) for file in files)
        caches = sum(asked) - len(train) - len(held_out)
        table = ImageTable([*train, *held_out], self.image)
        if not table.count:
            raise BenchmarkError(f"path: {self.origin()}: no rows in it")
        classes, labels = self._labels(table)
        split = table.shards[len(train)].start if held_out else None
        read = functools.partial(table.read, labels=labels)
        ignored = {"cache of Dataset.map": caches} if caches else {}
        return Album(table.count, read, classes, ignored, split)

    def _patterns(self) -> list[str]:
        return [self.files, *([] if self.held_out_files is None else [self.held_out_files])]

    def _matching(self, folder: Path, files: Sequence[str], key: str, pattern: str) -> list[Path]:
        matching = [file for file in files if fnmatch.fnmatch(file, pattern)]
        found = [folder / file for file in without_caches(matching)]
        if not found:
            shown_files = ", ".join(files[:4]) + (", …" if len(files) > 4 else "")
            raise BenchmarkError(f"{key}: {folder}: none of {shown_files} matches {shown(pattern)}")
        return found

    def _labels(self, table: ImageTable) -> tuple[tuple[str, ...], list[int] | None]:
        if self.label is None:
            return (), None
        if JOINT in self.label and self.label not in table.columns():
            columns = self.label.split(JOINT)
            if len({*columns}) < len(columns):
                raise BenchmarkError(f"label: {self.label} names one twice: keep one of the two")
            each = [self._texts(table, column) for column in columns]
            return numbered(list(map(JOINT.join, zip(*each, strict=True))), self.origin())
        told, names = table.labels(self.label), table.class_names(self.label)
        if not names:
            return numbered(told, self.origin())
        check_names(names, "label: ", self.origin())
        return names, [self._number(names, row, value) for row, value in enumerate(told)]

    def _texts(self, table: ImageTable, column: str) -> list[str]:
        """Return what a column of several says of each image, as a part of the name of a class."""
        told, names = table.labels(column), table.class_names(column)
        if names:
            told = [names[self._number(names, row, value)] for row, value in enumerate(told)]
        for row, value in enumerate(told):
            if not isinstance(value, int | str) or JOINT in str(value):
                raise BenchmarkError(
                    f"label: {self.origin()}: row {row} has {shown(value)} in column {column}: a "
                    f"truth value, a whole number or a text without {JOINT} would be right"
                )
        words = {True: column, False: f"no {column}"}
        return [words[v] if isinstance(v, bool) else str(v) for v in told]

    def _number(self, names: Sequence[str], row: int, value: object) -> int:
        if not isinstance(value, int) or not 0 <= value < len(names):
            raise BenchmarkError(
                f"label: {self.origin()}: row {row} has the class {shown(value)}: 0 to "
                f"{len(names) - 1} would be right"
            )
        return value


def _refuse_several(folder: Path, files: Sequence[Path]) -> None:
    """Refuse files of several sets, which nobody has asked to be mixed."""
    sets = sets_of(file.relative_to(folder).as_posix() for file in files)
    if len(sets) > 1:
        more = ", …" if len(sets) > MOST_SETS else ""
        raise BenchmarkError(
            f"files: {folder}: files of several sets: give one of {', '.join(sets[:MOST_SETS])}"
            f"{more}, or *{files[0].suffix} for all"
        )


def _images_beside(folder: Path) -> list[str]:
    try:
        return image_files(folder).files
    except BenchmarkError:  # there are none, which is usual
        return []
