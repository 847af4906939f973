"""Files of the Hugging Face hub, which are stored in a cache when they are downloaded."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from benchmark.core.errors import BenchmarkError, one_line
from benchmark.storage.downloads import COMMIT, check_blob, check_hub


class HubSource(Protocol):
    """What a config says of a checkpoint on the hub or in a folder."""

    @property
    def source(self) -> str:
        """The id on the hub, or the folder."""

    @property
    def revision(self) -> str:
        """A commit, a branch or a tag."""

    @property
    def sha256(self) -> str | None:
        """The hash of the weights, if it is known."""


class NotAskedError(BenchmarkError):
    """The hub does not answer, or is not asked, since the revision could change."""


def revision_of(path: Path) -> str | None:
    """Return the commit of a file in the hub's cache, in whose path it stands; None: unknown."""
    found = re.search(r"/snapshots/([0-9a-f]{40})/", path.as_posix())
    return found[1] if found else None


def fetch_into_cache(spec: HubSource, name: str, cache: Path) -> Path | None:
    """Download a file into the cache and return its path; None: the hub has no such file.

    Raises:
        NotAskedError: the hub cannot be asked.
        BenchmarkError: the file is damaged, or the address of the hub is not https.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    check_pinned(spec)
    check_hub()
    try:
        with _silent("huggingface_hub"):
            # This asks only once, while the download tries for half a minute to reach the hub.
            with contextlib.suppress(EntryNotFoundError):
                get_hf_file_metadata(hf_hub_url(spec.source, name, revision=spec.revision))
            found = hf_hub_download(
                spec.source, name, revision=spec.revision, cache_dir=_folder(cache)
            )
    except LocalEntryNotFoundError as error:  # the hub has stopped answering
        raise _unreachable(spec, error) from None
    except EntryNotFoundError:
        return None
    except Exception as error:  # errors of the HTTP library are not caught by the client
        raise _unreachable(spec, error) from None
    return check_blob(Path(found))


def check_pinned(spec: HubSource) -> None:
    """Refuse to download a revision that can change later.

    Raises:
        NotAskedError: neither the commit nor the hash of the weights is given.
    """
    if spec.sha256 is None and not COMMIT.fullmatch(spec.revision):
        raise NotAskedError(
            f"{spec.source}: revision {spec.revision} may become another one: to download it, give "
            "its commit, 40 hexadecimal digits, as revision, or the weights' sha256"
        )


def find_cached(spec: HubSource, name: str, cache: Path) -> tuple[Path | None, bool]:
    """Return a file in the hub's cache or None, and whether the cache knows if the hub has it."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(spec.source, name, _folder(cache), spec.revision)
    except HFValidationError:  # not a valid id
        return None, False
    return (Path(found) if isinstance(found, str) else None), found is not None


def _folder(cache: Path) -> Path:
    return cache / "hub"


@contextlib.contextmanager
def _silent(name: str) -> Iterator[None]:
    """Silence a library's logger, whose messages an error of ours repeats in one line."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _unreachable(spec: HubSource, error: Exception) -> NotAskedError:
    reason = one_line(error).rstrip(".")
    return NotAskedError(
        f"{spec.source}: no such folder, and revision {spec.revision} cannot be fetched from the "
        f"Hugging Face hub ({reason}): check the id and the network, or give a folder with the "
        "files"
    )
