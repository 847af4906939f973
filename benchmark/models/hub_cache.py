"""Files of the Hugging Face hub, which a cache keeps once they are downloaded."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from benchmark.core.errors import BenchmarkError
from benchmark.storage.downloads import COMMIT, check_blob, check_hub


class HubSource(Protocol):
    """What a config says of a checkpoint on the hub, or in a folder."""

    @property
    def source(self) -> str:
        """Return an id on the hub, or a folder."""

    @property
    def revision(self) -> str:
        """Return a commit, a branch or a tag."""

    @property
    def sha256(self) -> str | None:
        """Return that of its weights, if it is known."""


class NotAskedError(BenchmarkError):
    """The hub does not answer, or may not be asked for a revision that can change."""


def revision_of(path: Path) -> str | None:
    """Return the commit of a file from the hub, whose cache keeps it in the path."""
    found = re.search(r"/snapshots/([0-9a-f]{40})/", path.as_posix())
    return found[1] if found else None


def fetch_into_cache(spec: HubSource, name: str, cache: Path) -> Path | None:
    """Return a file of the hub once it is in the cache, or None where the hub has none.

    Raises:
        NotAskedError: the hub cannot be asked.
        BenchmarkError: the file is damaged, or the hub is not asked over TLS.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    check_pinned(spec)
    check_hub()
    try:
        with _silent("huggingface_hub"):
            # Asks once, where the download would try for half a minute to reach its hub.
            with contextlib.suppress(EntryNotFoundError):
                get_hf_file_metadata(hf_hub_url(spec.source, name, revision=spec.revision))
            found = hf_hub_download(
                spec.source, name, revision=spec.revision, cache_dir=_folder(cache)
            )
    except LocalEntryNotFoundError as error:  # the hub does not answer any more
        raise _unreachable(spec, error) from None
    except EntryNotFoundError:
        return None
    except Exception as error:  # the client also lets out what its HTTP library raises
        raise _unreachable(spec, error) from None
    return check_blob(Path(found))


def check_pinned(spec: HubSource) -> None:
    """Refuse to download what may be another thing tomorrow.

    Raises:
        NotAskedError: neither the commit nor the hash of the weights is given.
    """
    if spec.sha256 is None and not COMMIT.fullmatch(spec.revision):
        raise NotAskedError(
            f"{spec.source}: revision {spec.revision} may become another one: to download it, give "
            "its commit, 40 hexadecimal digits, as revision, or the weights' sha256"
        )


def find_cached(spec: HubSource, name: str, cache: Path) -> tuple[Path | None, bool]:
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


def _unreachable(spec: HubSource, error: Exception) -> NotAskedError:
    reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return NotAskedError(
        f"{spec.source}: no such folder, and revision {spec.revision} cannot be fetched from the "
        f"Hugging Face hub ({reason}): check the id and the network, or give a folder with the "
        "files"
    )
