"""Files of weights, and what can be read of them without torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from benchmark.core.errors import BenchmarkError

SPEC = "spec"  # key of our header, for network, schedule, data and training as in the config
# The remedy in messages about other headers.
OTHER = "give a file that `train` or `export` of this version wrote"
POINTER = b"version https://git-lfs.github.com/spec/"  # the beginning of a pointer of git-lfs


@dataclass(frozen=True)
class WeightFiles:
    """The files of a network's weights.

    Attributes:
        path: path of the file of weights, or of the index of several files.
        files: paths of the files of weights, in the order of their names.
        shards: name of the file of each tensor, by the name of the tensor; None: there is one file.
    """

    path: Path
    files: tuple[Path, ...]
    shards: dict[str, str] | None = None


def read_header(path: Path) -> dict[str, Any]:
    """Return the specification of its training that one of our own files has in its header.

    Raises:
        BenchmarkError: the file is missing, truncated, or not one of ours.
    """
    check_pointer(path)
    try:
        with safe_open(path, framework="numpy") as file:
            spec = json.loads((file.metadata() or {})[SPEC])
    except FileNotFoundError:
        raise BenchmarkError(
            f"{path}: no such file of weights: train the model first, or correct the path"
        ) from None
    except (SafetensorError, OSError) as error:
        raise BenchmarkError(
            f"{path}: damaged weights, or none ({error}): fetch or train them again"
        ) from None
    except (KeyError, ValueError):
        raise BenchmarkError(f"{path}: its header has no {SPEC!r}: {OTHER}") from None
    if not isinstance(spec, dict):
        raise BenchmarkError(f"{path}: its header's {SPEC!r} is no mapping: {OTHER}")
    return spec


def check_dtypes(path: Path) -> None:
    """Refuse a file of weights whose header shows that it is damaged or holds integers.

    Raises:
        BenchmarkError: the file is damaged, or a tensor holds integers; the message names it.
    """
    if path.suffix != ".safetensors":
        return
    try:
        with safe_open(path, framework="numpy") as file:
            kinds = {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise BenchmarkError(f"{path}: damaged weights ({error}): fetch the file again") from None
    for name, kind in kinds.items():
        if name.endswith(".weight") and kind.startswith(("I", "U", "BOOL")):
            raise BenchmarkError(
                f"{path}: {name} holds {kind}: weights that were quantised cannot be read; give "
                "those of before"
            )


def check_pointer(path: Path) -> None:
    """Refuse the small text file that git-lfs leaves in place of a large one.

    Raises:
        BenchmarkError: the file is such a pointer.
    """
    if not path.is_file():
        return
    with path.open("rb") as file:
        start = file.read(len(POINTER))
    if start == POINTER:
        raise BenchmarkError(
            f"{path}: is a pointer of git-lfs and not the file itself: run git lfs pull in its "
            "folder, or fetch the file again"
        )
