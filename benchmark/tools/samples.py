"""Values of single samples of a run as CSV, and the samples as PNG files in a zip."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from benchmark.config.config import Config
from benchmark.config.jobs.retrieve import RetrieveJob
from benchmark.metrics.manifold import realism
from benchmark.metrics.neighbours import nearest
from benchmark.records.record import read_record
from benchmark.stages.image_sets import load_features, load_images
from benchmark.stages.retrieve import find_copies
from benchmark.storage.atomic import atomic_path
from benchmark.storage.paths import Run

FIRST_DAY = (1980, 1, 1, 0, 0, 0)  # so that the same samples give the same zip
K = 3  # of the balls of the realism, as in its paper


def sample_values(config: Config, run: Run, cell: str) -> pd.DataFrame:
    """Return a line for each sample of a cell.

    Its columns are: the number of the sample; its name in the zip; the file of an image that was
    made elsewhere; the Euclidean distance of its features to the nearest training image, and that
    image's number; the calibrated distance in pixels; its p-value, which is the rank among the
    held-out images; whether it is accused of being a copy; and its realism.

    Raises:
        BenchmarkError: the run has no such cell, or no features of it.
    """
    job = config.job("retrieve", config.cell(cell).id)
    assert isinstance(job, RetrieveJob)
    [subject] = job.subjects
    own, train = load_features(job.extractor, subject, run)
    distances, indices = nearest(own, train, 1)
    found = find_copies(job, subject, run)
    record = read_record(run.record("sample", cell))
    files = record.gathered.files if record.gathered else []
    return pd.DataFrame(
        {
            "sample": np.arange(len(own)),
            "png": [_name(number) for number in range(len(own))],
            "file": files or None,
            "nearest_distance": distances[:, 0],
            "neighbour": indices[:, 0],
            "calibrated_distance": found.scores,
            "p": found.p_values,
            "accused": found.accused,
            "realism": realism(own, train, K),
        }
    )


def write_values(config: Config, run: Run, cell: str, file: Path) -> None:
    """Write the values of the samples of a cell as CSV."""
    values = sample_values(config, run, cell)
    with atomic_path(file) as temporary:
        values.to_csv(temporary, index=False, lineterminator="\n")


def write_zip(config: Config, run: Run, cell: str, file: Path) -> None:
    """Write the samples of a cell as PNG files into a zip; the same samples give the same bytes."""
    job = config.job("retrieve", config.cell(cell).id)
    assert isinstance(job, RetrieveJob)
    images = load_images(job.subjects[0], run)
    with atomic_path(file) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, data in _pictures(images):
            archive.writestr(zipfile.ZipInfo(name, FIRST_DAY), data)


def _pictures(images: NDArray[np.uint8]) -> Iterator[tuple[str, bytes]]:
    for number, image in enumerate(images):
        buffer = io.BytesIO()
        plain = image if image.shape[2] > 1 else image[..., 0]  # Pillow's grey has no channel
        Image.fromarray(plain).save(buffer, "PNG")
        yield _name(number), buffer.getvalue()


def _name(number: int) -> str:
    return f"{number:06}.png"
