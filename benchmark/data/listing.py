"""Which files of a folder are read. All commands that take a folder list it in this way."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from benchmark.core.errors import BenchmarkError
from benchmark.storage.paths import Run

SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg"}
    | {".pbm", ".pgm", ".png", ".ppm", ".tga", ".tif", ".tiff", ".webp"}
)
# What operating systems, network drives and Python leave in folders, in lower case. Whatever
# begins with a dot (.DS_Store, ._x.png, .ipynb_checkpoints) is hidden and needs no name here.
SYSTEM_FILES = frozenset({"thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r"})
SYSTEM_FOLDERS = frozenset(
    {"__macosx", "@eadir", "@recycle", "@tmp", "#recycle", "#snapshot", "$recycle.bin"}
    | {"system volume information", "lost+found", "__pycache__"}
)


class Listing(NamedTuple):
    """The files of a folder.

    Attributes:
        files: paths of the files that are read, relative to the folder, sorted, with forward
            slashes.
        ignored: number of other files by kind, which is a suffix or, for example, `hidden file`. A
            hidden or system folder counts once; files in it are neither read nor counted.
    """

    files: list[str]
    ignored: dict[str, int]


def image_files(folder: Path, key: str = "") -> Listing:
    """List the image files below `folder`, which are recognised by their suffix in either case.

    Hidden files, system files and editors' backup files are never images, whatever their suffix.
    Links to files and folders are followed, each folder once, so that a loop of links ends.

    Args:
        folder: folder, whose subfolders are listed too.
        key: config key of the folder, with which error messages begin.

    Raises:
        BenchmarkError: there is no such folder, it cannot be listed, it holds no image, or it holds
            results of a run, whose pictures show many samples each.
    """
    listing = list_files(folder, SUFFIXES, key)
    _refuse_results(folder, listing.files, key)
    if not listing.files:
        kinds = " ".join(sorted(SUFFIXES))
        others = f"; {ignored_line(listing.ignored)}" if listing.ignored else ""
        raise BenchmarkError(
            f"{_at(key)}{folder}: no images in it{others}; the names of images end in {kinds}"
        )
    return listing


def list_files(folder: Path, suffixes: frozenset[str], key: str = "") -> Listing:
    """List the files below `folder` that have one of these suffixes, as `image_files` does.

    Raises:
        BenchmarkError: there is no such folder, or it cannot be listed.
    """
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "no such folder"
        raise BenchmarkError(f"{_at(key)}{folder}: {what}; give a folder of images")
    files: list[str] = []
    ignored: Counter[str] = Counter()
    for place, folders, names in walk(folder, key):
        for name in list(folders):
            if kind := folder_kind(name):
                folders.remove(name)
                ignored[kind] += 1
        for name in names:
            kind = _file_kind(name, suffixes)
            if kind:
                ignored[kind] += 1
            else:
                files.append((place / name).relative_to(folder).as_posix())
    return Listing(sorted(files), dict(sorted(ignored.items())))


def ignored_line(ignored: Mapping[str, int]) -> str:
    """Return how many files were ignored, by kind, as `3 ignored: 2 × .txt, 1 × hidden file`."""
    kinds = ", ".join(f"{count} × {kind}" for kind, count in ignored.items())
    return f"{sum(ignored.values())} ignored: {kinds}"


def tell_ignored(origin: object, ignored: dict[str, int]) -> None:
    """Print to stderr how many files of `origin` were ignored, if any were."""
    if ignored:
        print(f"{origin}: files: {ignored_line(ignored)}", file=sys.stderr)


def samples_of_cell(folder: Path) -> Path | None:
    """Return the array of samples if `folder` is the folder of a cell in a run; None otherwise."""
    name, run = folder.resolve().name, Run(folder.resolve().parent.parent)
    return run.samples(name) if run.samples(name).is_file() and run.grid(name).is_file() else None


def walk(folder: Path, key: str = "") -> Iterator[tuple[Path, list[str], list[str]]]:
    """Walk as `os.walk` does, also through links, but into each folder once, in a fixed order.

    Args:
        folder: folder in which the walk begins.
        key: config key of the folder, with which error messages begin.

    Yields:
        A folder, and the names of the folders and of the files in it. Folders that the caller
        removes from the list are not entered.

    Raises:
        BenchmarkError: a folder cannot be listed.
    """

    def refuse(error: OSError) -> None:
        raise BenchmarkError(
            f"{_at(key)}{error.filename}: cannot be listed: {error.strerror}"
        ) from None

    seen: set[str] = set()
    for place, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        yield Path(place), folders, names


def folder_kind(name: str) -> str:
    """Return why a folder is ignored; empty if it is not."""
    if name.startswith("."):
        return "hidden folder"
    return "system folder" if name.lower() in SYSTEM_FOLDERS else ""


def entry_kind(path: str) -> str:
    """Return why an entry of an archive is no image, by its path there; empty if it is one."""
    *folders, name = path.split("/")
    kinds = [*map(folder_kind, folders), _file_kind(name, SUFFIXES)]
    return next(filter(None, kinds), "")


def _file_kind(name: str, suffixes: frozenset[str]) -> str:
    """Return why a file is ignored; empty if it is not."""
    if name.startswith("."):
        return "hidden file"
    if name.lower() in SYSTEM_FILES:
        return "system file"
    if name.endswith("~") or name.startswith("~$") or (name[0] == "#" == name[-1]):
        return "backup file"
    dot = name.rfind(".")
    suffix = name[dot:].lower() if 0 < dot < len(name) - 1 else ""
    return "" if suffix in suffixes else suffix or "no suffix"


def _refuse_results(folder: Path, files: list[str], key: str) -> None:
    """Refuse a folder of a run's results, whose pictures are grids and plots."""
    within = {file.rpartition("/")[0] for file in files}
    cells = sorted(folder / place for place in within if samples_of_cell(folder / place))
    if cells:
        raise BenchmarkError(
            f"{_at(key)}{cells[0]}: a folder of a run's results, whose pictures show many samples "
            "each; its images are in samples.npy, which `score` takes"
        )


def _at(key: str) -> str:
    return f"{key}: " if key else ""
