"""Files of a checkpoint, in a folder or on the Hugging Face hub."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmark.errors import BenchmarkError
from benchmark.models.specs import DiffusersCheckpoint

# Gives the local path of a file of the checkpoint, or None where the checkpoint has no such file.
Finder = Callable[[str], Path | None]


def finder(spec: DiffusersCheckpoint, cache: Path) -> Finder:
    """Return what finds the files of a checkpoint; those of the hub are kept below `cache`."""
    folder = Path(spec.source)
    if not folder.is_dir():
        return lambda name: _download(spec, name, cache)
    return lambda name: folder / name if (folder / name).is_file() else None


def first_of(find: Finder, names: list[str], source: str) -> Path:
    """Return the first file that there is.

    Raises:
        BenchmarkError: there is none of them.
    """
    for name in names:
        path = find(name)
        if path is not None:
            return path
    raise BenchmarkError(
        f"{source}: has no {' or '.join(names)}: give a folder or a hub id of an unconditional "
        "diffusers pipeline"
    )


def read_json(path: Path) -> dict[str, Any]:
    """Return the object that a JSON file holds.

    Raises:
        BenchmarkError: it holds no object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BenchmarkError(f"{path}: no JSON ({error}): fetch the file again") from None
    if not isinstance(value, dict):
        raise BenchmarkError(f"{path}: holds no JSON object: fetch the file again")
    return value


def revision_of(path: Path) -> str | None:
    """Return the commit of a file from the hub, whose cache keeps it in the path."""
    found = re.search(r"/snapshots/([0-9a-f]{40})/", path.as_posix())
    return found[1] if found else None


def _download(spec: DiffusersCheckpoint, name: str, cache: Path) -> Path | None:
    """Return the cached file, so that what was fetched once stays as it is and needs no hub."""
    from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    constants.HF_HUB_DISABLE_TELEMETRY = True
    folder = cache / "hub"
    try:
        cached = try_to_load_from_cache(spec.source, name, folder, spec.revision)
        if isinstance(cached, str):
            return Path(cached)
        if cached is not None:  # the hub is known to have no such file
            return None
        return Path(hf_hub_download(spec.source, name, revision=spec.revision, cache_dir=folder))
    except LocalEntryNotFoundError as error:  # the hub does not answer
        raise _unreachable(spec, error) from None
    except EntryNotFoundError:
        return None
    except Exception as error:  # the client also lets out what its HTTP library raises
        raise _unreachable(spec, error) from None


def _unreachable(spec: DiffusersCheckpoint, error: Exception) -> BenchmarkError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return BenchmarkError(
        f"{spec.source}: no such folder, and revision {spec.revision} cannot be fetched from the "
        f"Hugging Face hub ({reason}): check the id and the network, or give a folder with the "
        "files"
    )
