"""Finds the format of a file or folder of packed images by its content."""

from __future__ import annotations

from pathlib import Path

from benchmark.data.listing import SUFFIXES, list_files
from benchmark.data.packed import Packed
from benchmark.data.sources import SOURCES

# What `recognised` and a listing of a folder read.
IMAGES = "a folder of images, or a file of them: .npy, .npz, .zip, .tar, .parquet or .arrow"


def recognised(path: Path) -> Packed | None:
    """Return the source that reads a path; None: no format, or a folder with image files.

    Raises:
        BenchmarkError: the folder cannot be listed.
    """
    if not path.exists() or (path.is_dir() and list_files(path, SUFFIXES).files):
        return None
    formats = [part for part in SOURCES.classes.values() if issubclass(part, Packed)]
    return next((part.at(path) for part in formats if part.recognises(path)), None)
