"""The base of sources that read images out of files which hold many, without unpacking them."""

from __future__ import annotations

import abc
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from pydantic import Field

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import UserText
from benchmark.data.listing import ignored_line, list_files
from benchmark.data.sources.base import Candidates, Item, Offer, Photographs, drawn

# What of an archive is no image: one that was written again into the same archive, as by `tar -r`.
# Other programs unpack the last one.
EARLIER = "replaced by a later one"


class Album(NamedTuple):
    """What packed files hold.

    Attributes:
        size: number of images.
        read: function that yields the items of ascending indices, in that order.
        classes: names of the classes that the labels of items number; none: they have no labels.
        ignored: number of entries that are not images, by kind.
        held_out: where the images of a split of their own begin, which follow the others; None:
            there is no such split.
    """

    size: int
    read: Callable[[Sequence[int]], Iterator[Item]]
    classes: tuple[str, ...] = ()
    ignored: Mapping[str, int] = {}
    held_out: int | None = None


class Packed(Photographs, abc.ABC):
    """The base class of sources of packed images.

    A subclass is one format; it adds the field `path`. Messages of what it raises begin with the
    key that is wrong.
    """

    licence: str = Field(default="unknown", description="What may be done with the images")
    attribution: str = Field(
        default="", description="Whom to name", examples=["The photographers of the club"]
    )
    label: UserText | None = Field(default=None, min_length=1, description="What its class is")

    @classmethod
    @abc.abstractmethod
    def recognises(cls, path: Path) -> bool:
        """Tell by the content of a file or folder whether it has this format."""

    @abc.abstractmethod
    def packed_files(self) -> tuple[Path, list[str]]:
        """Return a folder, and the files in it that are read; raise BenchmarkError if none are."""

    @abc.abstractmethod
    def origin(self) -> str:
        """Return where the images come from."""

    @abc.abstractmethod
    def list_images(self, folder: Path, files: Sequence[str]) -> Album:
        """Find the images in the files, without reading them.

        Args:
            folder: folder of the files.
            files: their paths relative to it.

        Raises:
            BenchmarkError: a file is damaged, holds no images, or no labels for them.
        """

    @classmethod
    def at(cls, path: Path, **options: str) -> Self:
        """Return the source of all images at a path, for those who need an album alone.

        Raises:
            ValidationError: the format has no such options.
        """
        sizes = {"resolution": 8, "train": 1, "held_out": 1}
        return cls.model_validate({"path": path, **sizes, **options})

    def album(self) -> Album:
        """Return what the files hold; they are looked at again only when they have changed."""
        folder, files = self.packed_files()
        states = tuple((file, *_state(folder / file)) for file in files)
        return _opened(self, folder, states)

    def classes(self) -> tuple[str, ...]:
        """Return the names of the classes."""
        return () if self.label is None else self.album().classes

    def offer(self) -> Offer:
        """List the images."""
        album = self.album()
        split = album.size if album.held_out is None else album.held_out
        return Offer(
            train=Candidates(drawn(split, self.seed), album.read),
            held_out=None
            if album.held_out is None
            else Candidates(
                [split + index for index in drawn(album.size - split, self.seed)], album.read
            ),
            origin=self.origin(),
            licence=self.licence,
            attribution=self.attribution,
            skip_bad=self.on_bad_image == "skip",
            ignored=dict(album.ignored),
        )

    def local_files(self) -> tuple[Path, list[str]] | None:
        """Return the folder and the files that are read."""
        return self.packed_files()

    def check_files(self, at: str) -> None:
        """Refuse files that cannot be opened, or that hold too few images."""
        if self.unfetched() is not None:
            return
        try:
            album = self.album()
        except BenchmarkError as error:
            raise BenchmarkError(f"{at}.{error}") from None
        if album.held_out is None:
            wanted = [("path", album.size, self.train + self.held_out)]
        else:
            rest = album.size - album.held_out
            wanted = [("train", album.held_out, self.train), ("held_out", rest, self.held_out)]
        for key, found, asked in wanted:
            if found < asked:
                raise BenchmarkError(
                    f"{at}.{key}: {found} images in {self.origin()}: {asked} are asked for"
                )


def no_images(path: Path, ignored: Mapping[str, int], right: str) -> BenchmarkError:
    """Return the error of a file without images.

    Args:
        path: the file.
        ignored: what it holds instead, by kind.
        right: what would be right.
    """
    others = f"; {ignored_line(ignored)}" if ignored else ""
    return BenchmarkError(f"path: {path}: no images in it{others}: {right}")


def existing(path: Path) -> Path:
    """Return a path; raise BenchmarkError if nothing is there."""
    if not path.exists():
        raise BenchmarkError(f"path: {path}: no such file or folder")
    return path


def files_at(path: Path, suffixes: frozenset[str], right: str) -> tuple[Path, list[str]]:
    """Return the folder of a file and its name, or a folder and the files in it.

    Args:
        path: the file or the folder.
        suffixes: how the names of files in a folder end, in small letters.
        right: what would be right where there are none.

    Raises:
        BenchmarkError: nothing is there, or the folder has no such files.
    """
    if existing(path).is_file():
        return path.parent, [path.name]
    files, ignored = list_files(path, suffixes, "path")
    if not files:
        raise no_images(path, ignored, right)
    return path, files


def _state(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise BenchmarkError(f"path: {path}: cannot be read: {error.strerror}") from None
    return found.st_size, found.st_mtime_ns


@functools.lru_cache(maxsize=8)  # the checks, the plan and the job of a data set ask
def _opened(source: Packed, folder: Path, states: tuple[tuple[str, int, int], ...]) -> Album:
    return source.list_images(folder, [file for file, *_ in states])
