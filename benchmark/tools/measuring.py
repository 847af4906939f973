"""Distances of any two sets of images, for notebooks: `benchmark.score`."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmark.core.cores import available_cores
from benchmark.core.errors import BenchmarkError
from benchmark.storage.paths import CACHE, RESULTS
from benchmark.tools.score import score as score_paths
from benchmark.tools.score_embedding import Embedding
from benchmark.tools.score_result import Score

Images: TypeAlias = str | Path | NDArray[Any]


def score(
    real: Images,
    fake: Images,
    *,
    metrics: Sequence[str] = (),
    extractor: str | None = None,
    weights: str | Path | None = None,
    device: str = "auto",
    batch: int = 64,
    threads: int | None = None,
    image: str | None = None,
) -> Score:
    """Measure how far one set of images lies from another, as `python -m benchmark score` does.

    Args:
        real: the reference: whatever the command takes, or an array of images, uint8 N×H×W×C, or
            of features, float N×d.
        fake: what is judged, likewise.
        metrics: names of metrics, as fd and kid; none: most.
        extractor: network of the features; None: that which statistics name, else inception-v3-fid.
        weights: file of its weights; None: they are downloaded, or come with the package.
        device: auto, cpu or cuda.
        batch: images at a time in the network.
        threads: threads for the network and for decoding; None: one for each core.
        image: which image is meant where samples or rows of packed files have several: an
            extension, as jpg, or a column; None: the only one.

    Returns:
        The values by metric in `values`, and what they are of; printed, it is a table.

    Raises:
        BenchmarkError: a set cannot be read, or a metric cannot be computed.
    """
    for name, images in (("real", real), ("fake", fake)):
        if not isinstance(images, str | Path | np.ndarray) or (
            isinstance(images, np.ndarray) and images.dtype.hasobject
        ):
            kind = "array of objects" if isinstance(images, np.ndarray) else type(images).__name__
            raise BenchmarkError(
                f"{name}: {kind}: a path, or an array of images (uint8 N×H×W×C) or of features "
                "(float N×d), would be right, as np.asarray gives it"
            )
    embedding = Embedding(
        extractor,
        RESULTS / CACHE / "weights",
        None if weights is None else Path(weights),
        device,
        batch,
        threads or available_cores(),
        image=image,
    )
    with ExitStack() as stack:
        sides = [_path(images, name, stack) for name, images in (("real", real), ("fake", fake))]
        try:
            return score_paths(sides[0], sides[1], embedding, metrics)
        except BenchmarkError as error:
            said = str(error)
            for side, name, images in zip(sides, ("real", "fake"), (real, fake), strict=True):
                said = said.replace(str(side), name) if isinstance(images, np.ndarray) else said
            raise BenchmarkError(said) from None


def _path(images: Images, name: str, stack: ExitStack) -> Path:
    """Return the path of images; an array is written into a folder that lives as long as needed."""
    if not isinstance(images, np.ndarray):
        return Path(images)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmark-")))
    np.save(folder / f"{name}.npy", images, allow_pickle=False)
    return folder / f"{name}.npy"
