"""Files of a checkpoint, in a folder or on the Hugging Face hub."""

from __future__ import annotations

import contextlib
import json
import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.downloads import COMMIT, check_blob, check_hub
from benchmark.errors import BenchmarkError
from benchmark.models.specs import DiffusersCheckpoint

# Gives the local path of a file of the checkpoint, or None where the checkpoint has no such file.
Finder = Callable[[str], Path | None]

NETWORK_FILES = ["unet/config.json", "config.json"]
SCHEDULER_FILES = ["scheduler/scheduler_config.json", "scheduler_config.json"]
DIFFUSERS_WEIGHTS = [
    f"{folder}diffusion_pytorch_model{suffix}"
    for suffix in (".safetensors", ".bin")
    for folder in ("unet/", "")
]


@dataclass(frozen=True)
class Pipeline:
    """The configuration of an unconditional diffusers pipeline.

    Attributes:
        network: the content of the network's config.json.
        network_path: of that file, for errors.
        scheduler: the content of scheduler_config.json.
        scheduler_path: of that file, for errors.
    """

    network: dict[str, Any]
    network_path: Path
    scheduler: dict[str, Any]
    scheduler_path: Path


def finder(spec: DiffusersCheckpoint, cache: Path, download: bool = True) -> Finder:
    """Return what finds the files of a checkpoint; those of the hub are kept below `cache`."""
    folder = Path(spec.source)
    if folder.is_dir():
        return lambda name: folder / name if (folder / name).is_file() else None
    if download:
        return lambda name: _download(spec, name, cache)
    return lambda name: _cached(spec, name, cache)[0]


def read_pipeline(find: Finder, source: str) -> Pipeline:
    """Read the two configuration files of a pipeline, in their folders or beside each other.

    Raises:
        BenchmarkError: one is missing or holds no JSON object.
    """
    network = first_of(find, NETWORK_FILES, source)
    scheduler = first_of(find, SCHEDULER_FILES, source)
    return Pipeline(read_json(network), network, read_json(scheduler), scheduler)


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
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        cached, known = _cached(spec, name, cache)
        if known:
            return cached
        _check_pinned(spec)
        check_hub()
        with _silent("huggingface_hub"):
            # Asks once, where the download would try for half a minute to reach its hub.
            with contextlib.suppress(EntryNotFoundError):
                get_hf_file_metadata(hf_hub_url(spec.source, name, revision=spec.revision))
            found = hf_hub_download(
                spec.source, name, revision=spec.revision, cache_dir=_folder(cache)
            )
            return check_blob(Path(found))
    except BenchmarkError:
        raise
    except LocalEntryNotFoundError as error:  # the hub does not answer any more
        raise _unreachable(spec, error) from None
    except EntryNotFoundError:
        return None
    except Exception as error:  # the client also lets out what its HTTP library raises
        raise _unreachable(spec, error) from None


def _check_pinned(spec: DiffusersCheckpoint) -> None:
    if spec.sha256 is None and not COMMIT.fullmatch(spec.revision):
        raise BenchmarkError(
            f"{spec.source}: revision {spec.revision} may become another one: to download it, give "
            "its commit, 40 hexadecimal digits, as revision, or the weights' sha256"
        )


def _cached(spec: DiffusersCheckpoint, name: str, cache: Path) -> tuple[Path | None, bool]:
    """Return a file of the hub's cache, and whether the cache knows that there is or is none."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(spec.source, name, _folder(cache), spec.revision)
    except HFValidationError:  # no id that a hub could have
        return None, False
    return (Path(found) if isinstance(found, str) else None), found is not None


def _folder(cache: Path) -> Path:
    return cache / "hub"


@contextlib.contextmanager
def _silent(name: str) -> Iterator[None]:
    """Keep a library's logger from saying what one error line says."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _unreachable(spec: DiffusersCheckpoint, error: Exception) -> BenchmarkError:
    reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return BenchmarkError(
        f"{spec.source}: no such folder, and revision {spec.revision} cannot be fetched from the "
        f"Hugging Face hub ({reason}): check the id and the network, or give a folder with the "
        "files"
    )
