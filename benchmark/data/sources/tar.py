"""A tar file of images, or a folder of such shards, as webdataset writes and reads them."""

from __future__ import annotations

import functools
import json
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import Field

from benchmark.core.errors import BenchmarkError, one_line
from benchmark.core.strict_model import UserPath, UserText, shown
from benchmark.data.image_files import MOST_BYTES, open_span, printable, read_span
from benchmark.data.labels import numbered
from benchmark.data.listing import SUFFIXES, entry_kind, list_files
from benchmark.data.packed import EARLIER, Album, Packed, files_at, no_images
from benchmark.data.sources.base import Item
from benchmark.data.tar_headers import FOLDER, heads

TAR = frozenset({".tar"})
MOST_LABEL = 2**16  # bytes of a member that names a class
MOST_KEYS = 12  # of JSON that a message names
ANY = "*"  # as `image`: whatever the extension


class Member(NamedTuple):
    """A member of a tar file.

    Attributes:
        shard: number of the tar file.
        name: path in it.
        start: where its bytes begin.
        size: number of its bytes.
        kind: why its bytes are not there; empty: they are.
    """

    shard: int
    name: str
    start: int
    size: int
    kind: str = ""

    @property
    def key(self) -> str:
        """The path up to the first dot of the name, which the members of one sample share."""
        folder, slash, name = self.name.rpartition("/")
        return f"{folder}{slash}{name.partition('.')[0]}"

    @property
    def extension(self) -> str:
        """What follows that dot, in small letters, as `jpg` or `seg.png`."""
        return self.name.rpartition("/")[2].partition(".")[2].lower()

    @property
    def role(self) -> str:
        """The extension without numbers, as `png` of `shot.0001.png`.

        What differs in numbers alone are images of one kind, and no two things of one sample.
        """
        return ".".join(part for part in self.extension.split(".") if not part.isdigit())


class Tar(Packed):
    """All images in tar files, shard by shard in the order in which they lie there."""

    source: Literal["tar"] = "tar"
    path: UserPath = Field(
        description="A tar file, or a folder of the tar files of a webdataset", examples=["shards"]
    )
    image: UserText | None = Field(
        default=None,
        min_length=1,
        description="Extension of the images, where samples have several, as jpg or seg.png; *: "
        "all are taken",
        examples=["jpg"],
    )
    label: UserText | None = Field(
        default=None,
        min_length=1,
        description="Extension of the member that names the class of a sample: cls, whose content "
        "is a number, or txt; json:KEY is what a member of JSON says of KEY",
        examples=["cls"],
    )

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Tell whether a file is a tar, or a folder has some."""
        if path.is_dir():
            return bool(list_files(path, TAR).files)
        return path.is_file() and tarfile.is_tarfile(path)

    def origin(self) -> str:
        """Return the path."""
        return str(self.path)

    def packed_files(self) -> tuple[Path, list[str]]:
        """Return the folder of the tar files, and their names."""
        return files_at(self.path, TAR, "a folder of .tar files would be right")

    def list_images(self, folder: Path, files: Sequence[str]) -> Album:
        """Read the headers of the members."""
        paths = [folder / file for file in files]
        members = [member for shard, path in enumerate(paths) for member in _members(path, shard)]
        found, ignored = dict[tuple[int, str], Member](), Counter[str]()
        told = None if self.label is None else _label(self.label)[0]
        wanted = None if self.image is None or self.image == ANY else self.image.lower()
        for member in members:
            if member.extension == told and not member.kind:
                continue
            kind = entry_kind(member.name) or member.kind
            if kind or wanted not in (None, member.extension):
                ignored[kind or f".{member.extension}"] += 1
                continue
            if member.size > MOST_BYTES:
                raise BenchmarkError(
                    f"path: {paths[member.shard]}: {shown(member.name)} has {member.size:,} "
                    "bytes, more than any image: leave it out"
                )
            place = member.shard, member.name
            ignored[EARLIER] += place in found
            found[place] = member
        images, others = list(found.values()), dict(sorted((+ignored).items()))
        if not images:
            kinds = " ".join(sorted(SUFFIXES)) if wanted is None else f".{wanted}"
            raise no_images(self.path, others, f"members that end in {kinds} would be right")
        if self.image is None:
            _refuse_several(paths, images)
        classes, labels = self._labels(paths, members, images)
        read = functools.partial(_read, paths, images, labels)
        return Album(len(images), read, classes, others)

    def _labels(
        self, paths: Sequence[Path], members: Sequence[Member], images: Sequence[Member]
    ) -> tuple[tuple[str, ...], Sequence[int | None]]:
        if self.label is None:
            return (), [None] * len(images)
        extension, key = _label(self.label)
        at = {(m.shard, m.key): m for m in members if m.extension == extension and not m.kind}
        told: list[object] = []
        for image in images:
            member = at.get((image.shard, image.key))
            if member is None:
                raise BenchmarkError(
                    f"label: {paths[image.shard]}: {shown(image.name)} has no class: a member "
                    f"{shown(f'{image.key}.{extension}')} would be right"
                )
            told.append(_class(paths[member.shard], member, key))
        return numbered(told, self.path)


def _members(path: Path, shard: int) -> Iterator[Member]:
    """Yield the members of a tar file but its folders.

    A hard link, as GNU tar writes a file with several names, has the bytes of the member that it
    names. Of what else has no bytes of its own, `kind` says what it is.
    """
    known: dict[str, Member] = {}
    for head in heads(path):
        name = head.name.removeprefix("./")
        if name.startswith("/") or ".." in name.split("/"):
            raise BenchmarkError(
                f"path: {path}: {shown(name)} leads out of the tar: pack it again without it"
            )
        if head.kind == FOLDER:
            continue
        member = Member(shard, name, head.start, head.size, head.kind)
        if head.target and (target := known.get(head.target.removeprefix("./"))):
            member = target._replace(name=name)
        known[name] = member
        yield member


def _label(label: str) -> tuple[str, str]:
    """Return the extension of the members that name classes, and the key in their JSON."""
    extension, _, key = label.partition(":")
    return extension.lower(), key


def _refuse_several(paths: Sequence[Path], images: Sequence[Member]) -> None:
    """Refuse samples with several images, of which nobody has said which is meant."""
    first: dict[tuple[int, str], Member] = {}
    for member in images:
        other = first.setdefault((member.shard, member.key), member)
        if other.role != member.role:
            raise BenchmarkError(
                f"image: {paths[member.shard]}: sample {shown(member.key)} has several images: "
                f"give the extension of one, {other.extension} or {member.extension}, or {ANY} for "
                "all"
            )


def _class(path: Path, member: Member, key: str) -> object:
    """Return what a member says of a class: a number, or a text.

    Args:
        path: the tar file.
        member: the member.
        key: key of the class in an object of JSON; empty: the content is the class.
    """
    try:
        if member.size > MOST_LABEL:
            raise ValueError(f"has {member.size:,} bytes")
        text = read_span(str(path), member.start, member.size).decode().strip()
        if not key and member.extension != "json":
            return int(text) if text.isascii() and text.removeprefix("-").isdigit() else text
        return _value(json.loads(text), key)
    except (ValueError, RecursionError) as error:
        raise BenchmarkError(
            f"label: {path}: {shown(member.name)} names no class: {one_line(error)}"
        ) from None


def _value(told: object, key: str) -> object:
    """Return the class of a sample from its JSON; raise ValueError if there is none."""
    if not isinstance(told, dict):
        if key:
            raise ValueError(f"it is {shown(told)} and has no keys: label: json would be right")
        return told
    if key not in told:
        keys = sorted(name for name in told if name.isprintable())
        right = ", ".join(f"json:{name}" for name in keys[:MOST_KEYS]) or "an object with some"
        raise ValueError(
            f"{f'no key {shown(key)}' if key else 'a key is needed'}: {right} would do"
        )
    return told[key]


def _read(
    paths: Sequence[Path],
    images: Sequence[Member],
    labels: Sequence[int | None],
    indices: Sequence[int],
) -> Iterator[Item]:
    files = [str(path) for path in paths]
    for index in indices:
        member = images[index]
        name = member.name if len(paths) == 1 else f"{paths[member.shard].name}#{member.name}"
        load = functools.partial(open_span, files[member.shard], member.start, member.size)
        yield Item(printable(name), load, labels[index])
