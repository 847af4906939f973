"""How images of any size become features, with little memory."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.tools.score_inputs import ImageInput, Picture
from benchmark.tools.score_libraries import LIBRARIES, Library
from benchmark.tools.score_sides import Census

if TYPE_CHECKING:
    import torch

    from benchmark.extractors.base import Embedder

TOGETHER = 2**23  # channels of pixels, of images that are brought to the input at a time
LARGE = 8  # images of more than that, in one batch of the network


@dataclass(frozen=True)
class Embedding:
    """How images become features.

    Attributes:
        extractor: name of the network; None: the statistics' own, or the FID Inception for images.
        cache: folder that keeps downloaded weights.
        weights: the weights file, if the user has named one.
        device: where it runs, `auto`, `cpu` or `cuda`.
        batch: images at a time.
        threads: of the network and for decoding.
        files: library that reads the same files of a folder; None: all images are read.
    """

    extractor: str | None
    cache: Path
    weights: Path | None = None
    device: str = "auto"
    batch: int = 64
    threads: int = 1
    files: str | None = None

    @property
    def library(self) -> Library | None:
        """The library of `files`."""
        return LIBRARIES[self.files] if self.files is not None else None


def embed_images(
    images: ImageInput,
    network: Embedder,
    device: torch.device,
    embedding: Embedding,
    census: Census | None = None,
) -> NDArray[np.float32]:
    """Return the features, N×d, of images.

    Large images are brought to the network's input one by one, so that no batch of them is held.

    Args:
        images: of any sizes.
        network: with its preprocessing.
        device: where both run.
        embedding: with the size of a batch and the number of threads.
        census: what counts the images as they pass; none: they are not counted.
    """
    import torch

    from benchmark.core.progress import track

    pictures = images.pictures(embedding.threads)
    if census is not None:
        pictures = census.watch(pictures)
    batches = _batches(pictures, network, device, embedding.batch)
    with torch.inference_mode():
        rows = _rows(batches, network)
        features: NDArray[np.float32] = np.stack(list(track(rows, images.count, "features")))
    return features


def _rows(batches: Iterator[torch.Tensor], network: Embedder) -> Iterator[NDArray[np.float32]]:
    """Yield the features, d, of each image."""
    for block in map(network.forward, batches):
        yield from block.cpu().numpy()


def _batches(
    pictures: Iterator[Picture], network: Embedder, device: torch.device, size: int
) -> Iterator[torch.Tensor]:
    """Yield the network's input for `size` images at a time, B×3×side×side."""
    import torch

    while batch := list(_inputs(_up_to(pictures, size), network, device)):
        x = torch.cat(batch)
        del batch
        yield x
        del x


def _up_to(pictures: Iterator[Picture], size: int) -> Iterator[Picture]:
    """Yield the next `size` pictures, or fewer where `LARGE` of them are large.

    Beside decoding and resizing, batches of 8 cost the network no time that could be measured.
    """
    large = 0
    for picture in itertools.islice(pictures, size):
        large += picture.pixels.size >= TOGETHER
        yield picture
        if large == LARGE:
            return


def _inputs(
    pictures: Iterable[Picture], network: Embedder, device: torch.device
) -> Iterator[torch.Tensor]:
    """Yield the network's input for images of one size that follow each other, few if large."""
    import torch

    for shape, alike in itertools.groupby((p.pixels for p in pictures), key=np.shape):
        together = max(1, TOGETHER // math.prod(shape))
        # a photograph is held neither twice nor while the next one is waited for
        while block := list(itertools.islice(alike, together)):
            pixels = block.pop()[None] if len(block) == 1 else np.stack(block)
            pixels = np.require(pixels, requirements="W")  # torch warns of others, as of a file's
            del block
            x = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2)
            del pixels
            x = network.preprocess(x)
            yield x
            del x
