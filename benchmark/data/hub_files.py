"""Files of a data set on the Hugging Face hub, at a fixed revision."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from pathlib import Path

from benchmark.core.errors import BenchmarkError
from benchmark.data.image_tables import SUFFIXES, check_complete
from benchmark.storage.downloads import Download, check_blob, check_hub, from_hub


def missing(repository: str, revision: str, patterns: Sequence[str]) -> Download | None:
    """Return the download of the files that match patterns; None: the hub's cache has them."""
    from huggingface_hub import constants

    # Where the hub's client keeps a commit. To ask the client itself imports all of it, for which
    # every plan would wait.
    kept = Path(constants.HF_HUB_CACHE, f"datasets--{repository.replace('/', '--')}", "snapshots")
    if _are_there(kept / revision, patterns):
        return None
    return from_hub(f"give a local copy of {repository} with path: FOLDER")


def _are_there(folder: Path, patterns: Sequence[str]) -> bool:
    """Tell whether files match each pattern, none of those that their names count missing."""
    for pattern in patterns:
        found = [path for path in sorted(folder.rglob("*")) if _matches(path, folder, pattern)]
        try:
            check_complete(found)
        except BenchmarkError:
            return False
        if not found:
            return False
    return True


def _matches(path: Path, folder: Path, pattern: str) -> bool:
    """Tell whether a file of rows matches a pattern."""
    return path.suffix.lower() in SUFFIXES and _is_named(path, folder, pattern)


def _is_named(path: Path, folder: Path, pattern: str) -> bool:
    """Tell whether a file matches a pattern as the hub's client does, whose `*` takes `/` too."""
    return fnmatch.fnmatch(path.relative_to(folder).as_posix(), pattern)


def downloaded(repository: str, revision: str, patterns: Sequence[str]) -> Path:
    """Download the files that the hub's cache does not have yet; return their folder.

    Args:
        repository: id of the data set.
        revision: commit.
        patterns: which files are wanted, as `data/train-*.parquet`.

    Raises:
        BenchmarkError: the hub does not give them.
    """
    from huggingface_hub import snapshot_download

    check_hub()
    try:
        folder = snapshot_download(
            repository, repo_type="dataset", revision=revision, allow_patterns=list(patterns)
        )
    except Exception as error:  # the client raises errors of its own, of HTTP and of the system
        reason = str(error).strip().split("\n")[0].removeprefix("Got: ") or type(error).__name__
        raise BenchmarkError(
            f"{repository} (revision {revision}) cannot be had from the Hugging Face "
            f"hub: {reason}; give a local copy with path: FOLDER (of parquet files or images)"
        ) from None
    for file in sorted(Path(folder).rglob("*")):
        if file.is_file() and any(_is_named(file, Path(folder), pattern) for pattern in patterns):
            check_blob(file)
    return Path(folder)
