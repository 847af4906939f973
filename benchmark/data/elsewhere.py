"""Images that another program has made: a folder of image files, or packed ones."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import explain, nearest_names, shown
from benchmark.data.image_files import check_images, file_candidates
from benchmark.data.labels import FOLDERS, labels_of, names_of
from benchmark.data.listing import image_files
from benchmark.data.packed import Album, Packed
from benchmark.data.recognising import IMAGES, recognised
from benchmark.data.sources.base import Candidates, Offer, drawn

# Keys of a model, by those of a source, with which messages of packed images begin.
KEYS = {"path": "images", "source": "images", "label": "labels"}


@dataclass(frozen=True)
class Elsewhere:
    """Images made elsewhere, and what tells their classes.

    Messages of what its methods raise begin with the key that is wrong.

    Attributes:
        key: config key of the model.
        path: a folder of image files, or packed images, whose format is found by their content.
        labels: what tells their classes: `folders` or the path of a CSV file, or of packed images
            the `label` of their source; None: nothing does.
        image: which images of packed ones, where a sample has several; None: it has one.
    """

    key: str
    path: Path
    labels: str | None = None
    image: str | None = None

    @functools.cached_property
    def packed(self) -> Packed | None:
        """The source of packed images; None: the images are files in a folder.

        Raises:
            BenchmarkError: the path is a file of no known format, or the format has other labels.
        """
        with self._named():
            found = recognised(self.path)
        if found is None:
            if self.path.is_file():
                raise BenchmarkError(f"{self.key}.images: {self.path}: {IMAGES} would be right")
            if self.image is not None:
                raise BenchmarkError(
                    f"{self.key}.image: files in a folder are images each: leave it out"
                )
            return None
        if self.image is not None and "image" not in type(found).model_fields:
            raise BenchmarkError(
                f"{self.key}.image: {self.path}: only a tar, parquet and Arrow have several images "
                "in a sample: leave it out"
            )
        options = {"label": self.labels, "image": self.image}
        given = {name: value for name, value in options.items() if value is not None}
        try:
            with self._named():
                return found.at(self.path, **given)
        except ValidationError as error:
            raise self._error(f"{explain(error, given)}") from None

    def offer(self, seed: int) -> Offer:
        """List the images, in the order in which a seed draws them, without opening them.

        The labels of items number the classes of `classes`.

        Raises:
            BenchmarkError: there are none, they cannot be listed, or one has no class.
        """
        if self.packed is not None:
            album = self._album(self.packed)
            found = Candidates(drawn(album.size, seed), album.read)
            return Offer(found, None, str(self.path), "", "", ignored=dict(album.ignored))
        files, ignored = image_files(self.path, f"{self.key}.images")
        labels = None if self.labels is None else labels_of(files, self.path, self.labels, self.key)
        found = file_candidates(self.path, files, seed, labels)
        return Offer(found, None, str(self.path), "", "", ignored=ignored)

    def numbers(self, classes: Sequence[str]) -> list[int]:
        """Return for each class of these images its number among the classes of a data set.

        A class has the same name in both. Classes that are told as numbers, without names, may be
        the numbers of the data set's.

        Raises:
            BenchmarkError: the data set lacks a class.
        """
        if self.packed is not None:
            own = self._album(self.packed).classes
        else:
            own = () if self.labels is None else names_of(self.path, self.labels, self.key)
        unknown = sorted(set(own) - set(classes))
        if not unknown:
            return [classes.index(name) for name in own]
        if own == tuple(map(str, range(len(own)))):
            if len(own) <= len(classes):
                return list(range(len(own)))
            raise BenchmarkError(
                f"{self.key}.labels: {len(own) - 1} is no class of the data: 0 to "
                f"{len(classes) - 1} would be right"
            )
        remedy = nearest_names(unknown[0], classes)
        raise BenchmarkError(
            f"{self.key}.labels: {shown(unknown[0])} is no class of the data: {remedy}"
        )

    def local_files(self) -> tuple[Path, list[str]]:
        """Return a folder, and the files in it that are read, those of labels included."""
        if self.packed is not None:
            with self._named():
                return self.packed.local_files() or self.packed.packed_files()
        files = image_files(self.path, f"{self.key}.images").files
        if self.labels not in (None, FOLDERS):
            files.append(os.path.relpath(str(self.labels), self.path))
        return self.path, files

    def check(self, seed: int, wanted: int, classes: Sequence[str]) -> None:
        """Refuse images that will not do, without opening them.

        Args:
            seed: seed by which they are drawn.
            wanted: how many are needed.
            classes: names of the classes of the data set.

        Raises:
            BenchmarkError: there are too few, one is empty or has no class, or its class is none of
                the data set.
        """
        if self.packed is not None:
            self.check_count(self._album(self.packed).size, wanted)
        else:
            check_images(f"{self.key}.images", self.path, seed, wanted)
        if self.labels is not None:
            self.offer(seed)
            self.numbers(classes)

    def check_count(self, found: int, wanted: int) -> None:
        """Refuse too few images."""
        if found < wanted:
            raise BenchmarkError(
                f"{self.key}.images: {found} images in {self.path}: {wanted} are asked for"
            )

    def _album(self, packed: Packed) -> Album:
        with self._named():
            return packed.album()

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        """Let messages of a source begin with the key of the model."""
        try:
            yield
        except BenchmarkError as error:
            raise self._error(str(error)) from None

    def _error(self, message: str) -> BenchmarkError:
        key, _, rest = message.partition(": ")
        return BenchmarkError(f"{self.key}.{KEYS.get(key, key)}: {rest}")
