"""Files of a data set on the Hugging Face hub, at a fixed revision."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmark.core.errors import BenchmarkError
from benchmark.storage.downloads import Download, check_blob, check_hub, from_hub


def missing(repository: str, revision: str) -> Download | None:
    """Return the download of a data set; None: the hub's cache has it."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = snapshot_download(
            repository, repo_type="dataset", revision=revision, local_files_only=True
        )
    except LocalEntryNotFoundError:
        folder = ""
    if folder and any(Path(folder).rglob("*.parquet")):
        return None
    return from_hub(f"give a local copy of {repository} with path: FOLDER")


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
    for pattern in patterns:
        for file in Path(folder).glob(pattern):
            check_blob(file)
    return Path(folder)
