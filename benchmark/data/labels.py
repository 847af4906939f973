"""The classes of image files, by folder or CSV file."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import shown
from benchmark.data.listing import SUFFIXES, folder_kind

FOLDERS = "folders"
LONGEST = 80  # characters of the name of a class
MOST = 2**16  # classes, which a number of 16 bits can tell apart


def names_of(folder: Path, labels: str, at: str = "") -> tuple[str, ...]:
    """Return the names of all classes, sorted.

    Args:
        folder: folder of the images.
        labels: `folders`, or the path of a CSV file.
        at: config key of the data set, with which messages begin.

    Raises:
        BenchmarkError: the folder or the file cannot be read, there are fewer than two classes, or
            a name is no text that a table can show.
    """
    where = f"{at}.labels: " if at else "labels: "
    if labels == FOLDERS:
        names = _folders(folder, where)
    else:
        names = sorted(set(_table(Path(labels), where).values()))
    check_names(names, where, folder if labels == FOLDERS else labels)
    return tuple(names)


def check_names(names: Sequence[str], where: str, origin: object) -> None:
    """Refuse too few or too many classes, and names that a table cannot show.

    Args:
        names: names of the classes.
        where: how messages begin.
        origin: what names the classes.

    Raises:
        BenchmarkError: see above.
    """
    if not 2 <= len(names) <= MOST:
        raise BenchmarkError(
            f"{where}{len(names)} classes in {origin}: at least 2 are needed, and at most {MOST}"
        )
    for name in names:
        if not name.isprintable() or not 0 < len(name.strip()) == len(name) <= LONGEST:
            raise BenchmarkError(
                f"{where}{shown(name)} is no name of a class: 1 to {LONGEST} visible characters "
                "would be one"
            )


def numbered(told: Sequence[object], origin: object) -> tuple[tuple[str, ...], list[int]]:
    """Return the names of the classes, and the number of the class of each image.

    Whole numbers stay as they are, so that a network that was told them elsewhere is told the same
    here; their classes are called 0, 1, 2 … Texts are numbered in their order.

    Args:
        told: what a file says of each image: all whole numbers, or all texts.
        origin: the file.

    Raises:
        BenchmarkError: an image has no class, it is neither a number nor a text, or see
            `check_names`.
    """
    numbers = [value for value in told if isinstance(value, int)]
    texts = [value for value in told if isinstance(value, str)]
    for place, value in enumerate(told):
        if not isinstance(value, int | str):
            raise BenchmarkError(
                f"label: {origin}: image {place} has the class {shown(value)}: a whole number or a "
                "text would be right"
            )
        if isinstance(value, int) and not 0 <= value < MOST:
            raise BenchmarkError(
                f"label: {origin}: image {place} has the class {value}: 0 to {MOST - 1} would be "
                "right"
            )
    if numbers and texts:
        raise BenchmarkError(
            f"label: {origin}: some classes are numbers, as {numbers[0]}, and some texts, as "
            f"{shown(texts[0])}: all of one kind would be right"
        )
    if numbers:
        names = [str(number) for number in range(max(numbers) + 1)]
        check_names(names, "label: ", origin)
        return tuple(names), [int(number) for number in numbers]
    names = sorted(set(texts))
    check_names(names, "label: ", origin)
    found = {name: number for number, name in enumerate(names)}
    return tuple(names), [found[name] for name in texts]


def labels_of(files: Sequence[str], folder: Path, labels: str, at: str = "") -> list[int]:
    """Return the number of the class of each file; see `names_of`.

    Args:
        files: paths of the images relative to the folder, with forward slashes.
        folder: folder of the images.
        labels: `folders`, or the path of a CSV file.
        at: config key of the data set, with which messages begin.

    Raises:
        BenchmarkError: a file has no class, or a class has no file; see `names_of` too.
    """
    where = f"{at}.labels: " if at else "labels: "
    numbers = {name: number for number, name in enumerate(names_of(folder, labels, at))}
    if labels == FOLDERS:
        told = {file: file.partition("/")[0] for file in files if "/" in file}
        remedy = f"put it into the folder of its class, directly in {folder}"
    else:
        told = _table(Path(labels), where)
        remedy = f"give it a line in {labels}"
    for file in files:
        if file not in told:
            raise BenchmarkError(f"{where}{shown(file)} has no class: {remedy}")
    for name in sorted(numbers.keys() - {told[file] for file in files}):
        raise BenchmarkError(f"{where}class {shown(name)} has no image: leave it out")
    return [numbers[told[file]] for file in files]


def _folders(folder: Path, where: str) -> list[str]:
    try:
        inside = [path.name for path in folder.iterdir() if path.is_dir()]
    except OSError as error:
        raise BenchmarkError(f"{where}{folder}: cannot be listed: {error.strerror}") from None
    return sorted(name for name in inside if not folder_kind(name))


def _table(path: Path, where: str) -> dict[str, str]:
    """Return the class of each file that a CSV names; a first line of titles is passed over."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [(number, row) for number, row in enumerate(csv.reader(file), 1) if row]
    except OSError as error:
        raise BenchmarkError(f"{where}{path}: cannot be read: {error.strerror}") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise BenchmarkError(f"{where}{path}: no CSV in UTF-8: {error}") from None
    if rows and len(rows[0][1]) == 2 and Path(rows[0][1][0]).suffix.lower() not in SUFFIXES:
        rows = rows[1:]
    found: dict[str, str] = {}
    for number, row in rows:
        if len(row) != 2:
            raise BenchmarkError(
                f"{where}{path}: line {number} has {len(row)} columns: the path of an image and "
                "its class would be right"
            )
        if found.setdefault(row[0], row[1]) != row[1]:
            raise BenchmarkError(f"{where}{path}: line {number}: {shown(row[0])} has two classes")
    return found
