"""Prepared images on disk: `images.npy` and `manifest.json` in one folder."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import Sha256, StrictModel, explain
from benchmark.storage.arrays import add_rows
from benchmark.storage.atomic import write_text
from benchmark.storage.locks import lock

IMAGES = "images.npy"
LABELS = "labels.npy"
LABEL = np.dtype("<u2")  # the type of the number of a class
MANIFEST = "manifest.json"
CHECKED = ".checked.json"
LISTED = 20  # the most names of each kind that a manifest lists, whose counts are complete

Images: TypeAlias = NDArray[np.uint8]  # (N, H, W, C)


class Split(StrictModel):
    """The rows start … stop-1 of the array, with the SHA-256 of their bytes."""

    start: int
    stop: int
    sha256: Sha256


class Splits(StrictModel):
    """The two sets of a data set. No image of one has the same pixels as an image of the other."""

    train: Split
    held_out: Split


class Duplicates(StrictModel):
    """Images with the same pixels, after crop and resize.

    `kept`: groups of names within one set. `passed_over`: pairs of the name that was left out and
    the name taken before; if the source keeps duplicates, only held-out candidates that are also in
    the training set are left out.
    """

    kept_groups: int
    kept: list[list[str]]
    passed_over_count: int
    passed_over: list[list[str]]


class BadImages(StrictModel):
    """Images that could not be read and were left out because the config says so.

    `all` has the name of each, with the reason.
    """

    count: int
    all: list[str]


class Labels(StrictModel):
    """The classes of images, whose numbers, with this SHA-256, are in `labels.npy`."""

    classes: tuple[str, ...] = Field(min_length=1, description="Names of the classes")
    train: list[int] = Field(description="Training images of each class")
    held_out: list[int] = Field(description="Held-out images of each class")
    sha256: Sha256

    def counts(self) -> dict[str, tuple[int, int]]:
        """Return the numbers of training and of held-out images of each class."""
        counts = zip(self.train, self.held_out, strict=True)
        return dict(zip(self.classes, counts, strict=True))


class Manifest(StrictModel):
    """Where prepared images come from and what is in them."""

    version: Literal[1] = 1
    source: dict[str, Any] = Field(description="The section of the config")
    origin: str
    licence: str
    attribution: str
    resolution: int
    count: int
    splits: Splits
    duplicates: Duplicates
    bad_images: BadImages
    conversions: dict[str, int] = Field(description="Images by the conversion that they took")
    ignored_files: dict[str, int] = Field(description="Files that are no images, by suffix")
    formats: dict[str, int] = Field(
        default={}, description="Images by the format of their files, with the quality of JPEGs"
    )
    labels: Labels | None = Field(default=None, description="null: the images have no classes")

    @property
    def channels(self) -> int:
        """The number of channels of the images: 1 or 3."""
        return int(self.source.get("channels", 3))

    def text(self) -> str:
        """Return the content of its file, without keys that say nothing of these images."""
        exclude = {key for key in ("labels", "formats") if not getattr(self, key)}
        return self.model_dump_json(indent=2, exclude=exclude) + "\n"


@dataclass(frozen=True)
class Dataset:
    """Prepared images, memory-mapped and read-only: uint8, N×H×W×C.

    Labels are the numbers of the classes in the manifest, N; None: the images have no classes.
    """

    train: Images
    held_out: Images
    manifest: Manifest
    train_labels: NDArray[np.uint16] | None = None
    held_out_labels: NDArray[np.uint16] | None = None


def load_dataset(folder: Path, verify: bool = False) -> Dataset:
    """Open prepared images.

    Args:
        folder: folder that `prepare` wrote.
        verify: whether to compare the SHA-256 of all pixels with that of the manifest, unless this
            was done since the file last changed. Callers that read pixels set it.

    Raises:
        BenchmarkError: a file is missing or does not fit the manifest.
    """
    manifest = read_manifest(folder / MANIFEST)
    path = folder / IMAGES
    images = _map(path)
    expected = (manifest.count, manifest.resolution, manifest.resolution, manifest.channels)
    if images.dtype != np.uint8 or images.shape != expected:
        raise BenchmarkError(
            f"{path}: holds {images.dtype} {images.shape}, the manifest says uint8 {expected}; "
            "prepare the data again"
        )
    sets = {name: images[split.start : split.stop] for name, split in manifest.splits}
    if verify:
        _verify(path, sets, manifest.splits)
    if manifest.labels is None:
        return Dataset(sets["train"], sets["held_out"], manifest)
    labels = _labels(folder / LABELS, manifest.labels)
    of = [labels[split.start : split.stop] for _, split in manifest.splits]
    return Dataset(sets["train"], sets["held_out"], manifest, *of)


def read_manifest(path: Path) -> Manifest:
    """Read a manifest.

    Raises:
        BenchmarkError: the file is missing, or is no manifest.
    """
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise BenchmarkError(f"{path}: {error.strerror}; prepare the data first") from None
    except ValueError as error:
        raise BenchmarkError(f"{path}: not JSON: {error}; prepare the data again") from None
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        raise BenchmarkError(f"{path}: {explain(error, content)}; prepare the data again") from None


def _verify(path: Path, sets: Mapping[str, Images], splits: Splits) -> None:
    """Compare pixels with their SHA-256, unless the file is unchanged since this was last done."""
    with path.open("rb") as file:
        lock(file.fileno())  # so that of several jobs only one reads all pixels
        checked = _state(path, splits)
        note = path.with_name(CHECKED)
        if note.exists() and note.read_text() == checked:
            return
        for name, split in splits:
            digest = hashlib.sha256()
            add_rows(digest, sets[name])
            if digest.hexdigest() != split.sha256:
                raise BenchmarkError(
                    f"{path}: the {name} images are not the ones of the manifest; "
                    "prepare the data again"
                )
        try:
            write_text(note, checked)
        except BenchmarkError as error:
            print(f"warning: {error}: its images are checked again by each job", file=sys.stderr)


def _state(path: Path, splits: Splits) -> str:
    """Return what changes with a file's content, such as its ctime, which no program can set."""
    found = path.stat()
    state = [found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]
    return json.dumps([state, splits.model_dump()])


def _labels(path: Path, described: Labels) -> NDArray[np.uint16]:
    """Return the labels in a file, N, once their SHA-256 is that of the manifest."""
    labels = np.ascontiguousarray(_map(path), LABEL)
    if hashlib.sha256(labels.data).hexdigest() != described.sha256:
        raise BenchmarkError(
            f"{path}: its labels are not the ones of the manifest; prepare the data again"
        )
    return labels


def _map(path: Path) -> Images:
    try:
        images: Images = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise BenchmarkError(f"{path}: {error.strerror}; prepare the data first") from None
    except (ValueError, EOFError) as error:
        raise BenchmarkError(f"{path}: damaged: {error}; prepare the data again") from None
    return images
