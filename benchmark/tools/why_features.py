"""Features of two sets of images in every preprocessing that is asked for, each computed once."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.core.errors import BenchmarkError
from benchmark.extractors import EXTRACTORS
from benchmark.extractors.base import Embedder, Extractor
from benchmark.metrics.base import Features, check_features
from benchmark.metrics.frechet import GaussianStats
from benchmark.runtime.device import resolve_device, use_threads
from benchmark.tools.choices.base import Facts, Side
from benchmark.tools.choices.operations import Operation
from benchmark.tools.score_decoding import Picture
from benchmark.tools.score_embedding import Embedding, embed_images
from benchmark.tools.score_inputs import ImageInput, Input, Statistics, open_input

FEWEST = 8  # images of a set


class FeatureStore:
    """Computes features when they are first asked for, and keeps them in files of one folder.

    Args:
        embedding: how images become features; its extractor is that of the baseline.
        folder: an empty folder.
    """

    def __init__(self, embedding: Embedding, folder: Path) -> None:
        self._embedding = embedding
        self._folder = folder
        self._files: dict[object, Path] = {}
        self._network = functools.cache(self._load)
        self._device = resolve_device(embedding.device)
        use_threads(embedding.threads)

    def facts(self, path: Path, extractor: str) -> Facts:
        """Return what is known of a path, whose images are embedded at the same time.

        Raises:
            BenchmarkError: the path cannot be used, or holds too few images.
        """
        opened = open_input(path)
        if isinstance(opened, Statistics):
            return Facts("statistics", int(opened.facts.get("count", 0)))
        count = opened.count if isinstance(opened, ImageInput) else len(opened)
        if count < FEWEST:
            raise BenchmarkError(f"{path}: {count} images are too few: at least {FEWEST}")
        if not isinstance(opened, ImageInput):
            check_features(opened, str(path))
            return Facts("features", count, first=_first([row.tobytes() for row in opened]))
        survey = _Survey(opened)
        self._embed(survey.images, Side((path,)), extractor)
        return survey.facts()

    def features(self, side: Side, extractor: str) -> Features:
        """Return the features of all images of a side, N×d, one path behind the other."""
        if len(side.paths) == 1:
            return self._of_path(side, extractor)
        single = [dataclasses.replace(side, paths=(path,)) for path in side.paths]
        return np.concatenate([self._of_path(one, extractor) for one in single])

    def statistics(self, path: Path, extractor: str) -> GaussianStats:
        """Return statistics that are kept in a file.

        Raises:
            BenchmarkError: they are of another extractor.
        """
        opened = open_input(path)
        assert isinstance(opened, Statistics)
        of = opened.facts.get("extractor", extractor)
        dimension = EXTRACTORS.make(extractor).dimension
        if of != extractor or opened.gaussian.mean.size != dimension:
            raise BenchmarkError(
                f"{path}: statistics of {of} in {opened.gaussian.mean.size} dimensions, not of "
                f"{extractor} in {dimension}: name the network that they are of by --extractor"
            )
        return opened.gaussian

    def input_width(self, extractor: str) -> int:
        """Return width and height of the input of an extractor's network."""
        import torch

        blank = torch.zeros(1, 3, 8, 8, dtype=torch.uint8, device=self._device)
        return int(EXTRACTORS.make(extractor).preprocess(blank).shape[-1])

    def _of_path(self, side: Side, extractor: str) -> Features:
        key = _key(side, extractor)
        if key not in self._files:
            opened = open_input(side.paths[0], background=side.background)
            if not isinstance(opened, ImageInput):
                return _usable(opened, side.paths[0], extractor)
            self._embed(_changed(opened, side.operations), side, extractor)
        found: Features = np.load(self._files[key], mmap_mode="r")
        return found

    def _embed(self, images: ImageInput, side: Side, extractor: str) -> None:
        """Embed images and keep their features."""
        network = self._network(extractor)
        rows = embed_images(images, network, self._device, self._embedding)
        file = self._folder / f"{len(self._files)}.npy"
        np.save(file, rows)
        self._files[_key(side, extractor)] = file

    def _load(self, extractor: str) -> Embedder:
        own: Extractor = EXTRACTORS.make(self._embedding.extractor or extractor)
        asked: Extractor = EXTRACTORS.make(extractor)
        same = own.weights.sha256 == asked.weights.sha256
        weights = self._embedding.weights if same else None
        return asked.load(self._device, self._embedding.cache, weights)


class _Survey:
    """Looks at images while they are read.

    Args:
        images: the images.
    """

    def __init__(self, images: ImageInput) -> None:
        self.images = dataclasses.replace(images, pictures=self._pictures)
        self._read = images.pictures
        self._sizes: Counter[tuple[int, int]] = Counter()
        self._hashes: list[bytes] = []
        self._transparent = self._grey = 0

    def facts(self) -> Facts:
        """Return what was seen, after all images have been read."""
        first = _first(self._hashes)
        return Facts("images", len(first), self._sizes, self._transparent, self._grey, first)

    def _pictures(self, threads: int) -> Iterator[Picture]:
        for picture in self._read(threads):
            pixels = picture.pixels
            self._sizes[pixels.shape[1], pixels.shape[0]] += 1
            self._hashes.append(hashlib.sha256(pixels.tobytes()).digest())
            self._transparent += any(name.startswith("alpha") for name in picture.conversions)
            self._grey += bool((pixels == pixels[:, :, :1]).all())
            yield picture


def _changed(images: ImageInput, operations: tuple[Operation, ...]) -> ImageInput:
    """Return images to which operations are done when they are read."""

    def pictures(threads: int) -> Iterator[Picture]:
        for picture in images.pictures(threads):
            pixels = picture.pixels
            for operation in operations:
                pixels = operation(pixels)
            yield picture._replace(pixels=pixels)

    return dataclasses.replace(images, pictures=pictures)


def _usable(opened: Input, path: Path, extractor: str) -> Features:
    """Return features of a file, N×d; refuse statistics, and features of another dimension."""
    if isinstance(opened, Statistics | ImageInput):
        raise BenchmarkError(f"{path}: holds statistics alone: give images or features")
    dimension = EXTRACTORS.make(extractor).dimension
    if opened.shape[1] != dimension:
        raise BenchmarkError(
            f"{path}: features of dimension {opened.shape[1]}, not {dimension} as those of "
            f"{extractor}: name the network that they are of by --extractor"
        )
    return opened


def _key(side: Side, extractor: str) -> object:
    return (side.paths, side.background, side.operations, extractor)


def _first(identities: list[bytes]) -> NDArray[np.intp]:
    """Return for each image the number of the first one that is equal to it, of shape (n,)."""
    seen: dict[bytes, int] = {}
    return np.array([seen.setdefault(it, i) for i, it in enumerate(identities)], np.intp)
