"""Retrieve the nearest training images of samples, and show them side by side.

Faiss and torch in one process can crash through their two OpenMP runtimes, so nothing here imports
torch.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from benchmark.config import Config
from benchmark.data import load as load_data
from benchmark.evaluate import load_features, protocol
from benchmark.neighbours import nearest
from benchmark.paths import HELD_OUT, Run
from benchmark.pictures import save_png
from benchmark.records import Record, Stopwatch, Value, provenance, spec_hash

SMALLEST_TILE = 80  # pixels; smaller images are enlarged by whole pixels
GAP = 4
TEXT_HEIGHT = 16
TITLE_HEIGHT = 32
FONT_SIZE = 11


def stage(config: Config, subject: str, run: Run) -> Record:
    """Find the nearest training images of a cell's samples, or of held-out ones; draw and record.

    Raises:
        BenchmarkError: the features do not fit each other.
    """
    watch = Stopwatch()
    name = config.dataset_of(subject)
    own, train = load_features(config, subject, run)
    distances, indices = nearest(own, train, config.evaluation.neighbours)
    dataset = load_data(run.data(name))
    real = subject.startswith(HELD_OUT)
    images = dataset.held_out if real else np.load(run.samples(subject), mmap_mode="r")
    panel(
        images,
        dataset.train,
        distances,
        indices,
        run.neighbours(subject),
        title=f"{subject}: nearest training images ({config.evaluation.extractor}, Euclidean)",
        rows=config.evaluation.panel_rows,
    )
    spec = {
        "subject": subject,
        "extractor": config.evaluation.extractor,
        "neighbours": config.evaluation.neighbours,
    }
    first = distances[:, 0]
    record = Record(
        kind="retrieval",
        id=subject,
        spec=spec,
        spec_hash=spec_hash(spec),
        provenance=provenance(watch),
        cell=None if real else config.cell(subject),
        protocol=protocol(config, subject, run, n_fake=len(own)),
        values={
            "nearest_min": Value(value=float(first.min())),
            "nearest_median": Value(value=float(np.median(first))),
            "nearest_mean": Value(value=float(first.mean()), std_error=_std_error(first)),
            "kth_mean": Value(value=float(distances[:, -1].mean())),
        },
        facts={
            "dataset": name,
            "neighbours": config.evaluation.neighbours,
        },
    )
    record.write(run.record("retrieval", subject))
    return record


def panel(
    queries: NDArray[np.uint8],
    bank: NDArray[np.uint8],
    distances: NDArray[np.float64],
    indices: NDArray[np.int64],
    path: Path,
    *,
    title: str,
    rows: int,
) -> None:
    """Draw samples with their nearest images of `bank` as PNG, the most suspicious sample first.

    Args:
        queries: uint8, n×H×W×3.
        bank: uint8, m×H×W×3.
        distances: n×k, ascending in each row, written under the neighbours.
        indices: n×k, rows of `bank`.
        path: the picture.
        title: is written above.
        rows: how many samples are shown at most, those with the smallest distances.
    """
    order = np.argsort(distances[:, 0], kind="stable")[:rows]
    height, width = queries.shape[1:3]
    scale = -(-SMALLEST_TILE // width)
    step_x, step_y = width * scale + GAP, height * scale + TEXT_HEIGHT + GAP
    columns = 1 + indices.shape[1]
    picture = Image.new(
        "RGB", (3 * GAP + columns * step_x, TITLE_HEIGHT + len(order) * step_y), "white"
    )
    _write(picture, GAP, GAP, title)
    for row, sample in enumerate(order):
        top = TITLE_HEIGHT + row * step_y
        _tile(picture, GAP, top, queries[sample], scale, f"sample {sample}")
        neighbours = zip(indices[sample], distances[sample], strict=True)
        for column, (index, distance) in enumerate(neighbours, start=1):
            left = 2 * GAP + column * step_x
            _tile(picture, left, top, bank[index], scale, f"{distance:.4g}")
    save_png(picture, path)


def _std_error(values: NDArray[np.float64]) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def _tile(
    picture: Image.Image, left: int, top: int, image: NDArray[np.uint8], scale: int, text: str
) -> None:
    tile = Image.fromarray(image)
    tile = tile.resize((tile.width * scale, tile.height * scale), Image.Resampling.NEAREST)
    picture.paste(tile, (left, top))
    _write(picture, left, top + tile.height + 1, text)


def _write(picture: Image.Image, left: int, top: int, text: str) -> None:
    ImageDraw.Draw(picture).text((left, top), text, "black", ImageFont.load_default(FONT_SIZE))
