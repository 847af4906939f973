"""Packed images for tests: eight images in a folder, and the same in other formats."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmark.core.errors import BenchmarkError
from benchmark.data.sources import SOURCES
from benchmark.tools.score_inputs import ImageInput, open_input

SIZES: dict[str, Any] = {"resolution": 8, "train": 5, "held_out": 3}


def write_images(root: Path) -> Path:
    """Write four images of class a and four of class b into a folder."""
    for place in ("a", "b"):
        (root / place).mkdir(parents=True)
        for number in range(4):
            pixels = np.random.default_rng([ord(place), number]).integers(0, 256, (12, 10, 3))
            image = Image.fromarray(pixels.astype(np.uint8))
            image.save(root / place / f"{place}{number}.png")
    return root


def paths(images: Path) -> list[Path]:
    return sorted(images.rglob("*.png"))


def source(kind: str, path: Path, **options: Any) -> Any:
    return SOURCES.make(kind, path=path, **{**SIZES, **options})


def scored(images: Path, path: Path, image: str | None = None) -> None:
    """Open packed images as `score` does, and compare them with those of the folder."""
    opened, expected = open_input(path, image=image), open_input(images)
    assert isinstance(opened, ImageInput)
    assert isinstance(expected, ImageInput)
    assert opened.count == expected.count == 8
    for one, other in zip(opened.pictures(2), expected.pictures(1), strict=True):
        assert np.array_equal(one.pixels, other.pixels)


def refusal(kind: str, path: Path, **options: Any) -> str:
    with pytest.raises(BenchmarkError) as caught:
        source(kind, path, **options).check_files("data.mine")
    said = str(caught.value)
    assert "\n" not in said
    assert said.startswith("data.mine.")
    return said


def packed_zip(path: Path, images: Path, table: object = None) -> Path:
    """Write a zip as EDM's `dataset_tool.py` does: stored, with `dataset.json` at its end."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for image in paths(images):
            archive.write(image, image.relative_to(images))
        if table is not None:
            archive.writestr("dataset.json", json.dumps(table))
    return path


def plain_tar(path: Path, images: Path) -> Path:
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for image in paths(images):
            archive.add(image, image.relative_to(images).as_posix())
    return path


def webp(path: Path) -> bytes:
    """Return an image as WebP without loss."""
    packed = io.BytesIO()
    Image.open(path).save(packed, "WEBP", lossless=True)
    return packed.getvalue()


def database(folder: Path, files: list[Path]) -> Path:
    """Write an LMDB as LSUN has it: keys of bytes, and images as WebP."""
    lmdb = pytest.importorskip("lmdb")
    environment = lmdb.open(str(folder), map_size=2**20)
    with environment.begin(write=True) as transaction:
        for path in files:
            transaction.put(path.name.encode(), webp(path))
    environment.close()
    return folder
