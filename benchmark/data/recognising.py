"""Finds the format of a file or folder of packed images by its content."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import explain, shown
from benchmark.data.listing import SUFFIXES, list_files
from benchmark.data.packed import Packed
from benchmark.data.sources import SOURCES

# What `recognised` and a listing of a folder read.
IMAGES = "a folder of images, or a file of them: .npy, .npz, .zip, .tar, .parquet or .arrow"


def recognised(path: Path, image: str | None = None) -> Packed | None:
    """Return the source that reads a path; None: no format, or a folder with image files.

    Args:
        path: the file or folder.
        image: which image of a sample or row is meant, where the format has several.

    Raises:
        BenchmarkError: the folder cannot be listed, or has files of several formats.
    """
    if not path.exists() or (path.is_dir() and list_files(path, SUFFIXES).files):
        return None
    formats = {k: part for k, part in SOURCES.classes.items() if issubclass(part, Packed)}
    found = [name for name, part in formats.items() if part.recognises(path)]
    if len(found) > 1 and path.is_dir():  # a .npz is a zip too
        raise BenchmarkError(
            f"{path}: has files of several formats ({', '.join(found)}): name one file, or a "
            "folder with those of one format"
        )
    if not found:
        return None
    part = formats[found[0]]
    asked = {} if image is None or "image" not in part.model_fields else {"image": image}
    try:
        return part.at(path, **asked)
    except ValidationError as error:
        raise BenchmarkError(f"--image: {shown(image)}: {explain(error, {})}") from None
