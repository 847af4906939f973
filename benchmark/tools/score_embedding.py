"""Turns images of any size into features, with little memory."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.tools.score_decoding import Picture
from benchmark.tools.score_inputs import ImageInput
from benchmark.tools.score_libraries import LIBRARIES, Library
from benchmark.tools.score_sides import Census

if TYPE_CHECKING:
    import torch

    from benchmark.config.schema import ComputePrecision
    from benchmark.extractors.base import Embedder

TOGETHER = (
    2**23
)  # numbers (height × width × 3) that are preprocessed at a time; an image with more is large
LARGE = 8  # the most large images in one batch of the network


@dataclass(frozen=True)
class Embedding:
    """How images become features.

    Attributes:
        extractor: name of the extractor; None: that which statistics name, or the FID Inception.
        cache: folder of downloaded weights.
        weights: file of the weights; None: they are downloaded.
        device: device of the network: `auto`, `cpu` or `cuda`.
        batch: images in a batch of the network.
        threads: threads of the network, and for decoding.
        precision: how the network computes: `float32`, `tf32` or `bf16`; preprocessing and metrics
            are in float32 and float64 whatever it is.
        files: name of the library whose choice of files in a folder is followed; None: all images
            are read.
        image: which image is meant where samples or rows of packed files have several: an
            extension, as `jpg`, or a column; None: the only one.
    """

    extractor: str | None
    cache: Path
    weights: Path | None = None
    device: str = "auto"
    batch: int = 64
    threads: int = 1
    files: str | None = None
    precision: ComputePrecision = "float32"
    image: str | None = None

    @property
    def library(self) -> Library | None:
        """The library that `files` names."""
        return LIBRARIES[self.files] if self.files is not None else None


def embed_images(
    images: ImageInput,
    network: Embedder,
    device: torch.device,
    embedding: Embedding,
    census: Census | None = None,
) -> NDArray[np.float32]:
    """Return the features of images, float32 N×d.

    Large images are preprocessed one by one, so that never a batch of them is in memory.

    Args:
        images: N images of any sizes.
        network: the extractor's network with its preprocessing.
        device: the device of both.
        embedding: has the size of a batch and the number of threads.
        census: counts the images; None: they are not counted.
    """
    import torch

    from benchmark.core.progress import track
    from benchmark.runtime.device import arithmetic

    pictures = images.pictures(embedding.threads)
    if census is not None:
        pictures = census.count(pictures)
    batches = _batches(pictures, network, device, embedding.batch)
    with torch.inference_mode(), arithmetic(embedding.precision, device):
        rows = _rows(batches, network)
        features: NDArray[np.float32] = np.stack(list(track(rows, images.count, "features")))
    return features


def _rows(batches: Iterator[torch.Tensor], network: Embedder) -> Iterator[NDArray[np.float32]]:
    """Yield the features of each image (d)."""
    for block in map(network.forward, batches):
        yield from block.float().cpu().numpy()


def _batches(
    pictures: Iterator[Picture], network: Embedder, device: torch.device, size: int
) -> Iterator[torch.Tensor]:
    """Yield the network's input for up to `size` images at a time, B×3×side×side."""
    import torch

    while batch := list(_inputs(_up_to(pictures, size), network, device)):
        x = torch.cat(batch)
        del batch
        yield x
        del x


def _up_to(pictures: Iterator[Picture], size: int) -> Iterator[Picture]:
    """Yield the next `size` pictures, or fewer if `LARGE` of them are large.

    Compared with decoding and resizing, no loss of time was measured with batches of 8.
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
    """Yield the network's input for successive images of the same size, few at a time if large."""
    import torch

    for shape, alike in itertools.groupby((p.pixels for p in pictures), key=np.shape):
        together = max(1, TOGETHER // math.prod(shape))
        # A photograph is never in memory twice, nor while the next one is decoded.
        while block := list(itertools.islice(alike, together)):
            pixels = block.pop()[None] if len(block) == 1 else np.stack(block)
            pixels = np.require(pixels, requirements="W")  # torch warns of read-only arrays
            del block
            x = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2)
            del pixels
            with torch.autocast(device.type, enabled=False):
                x = network.preprocess(x)
            yield x
            del x
