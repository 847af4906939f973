"""Downloads: only over TLS, and only of files whose hash is known before.

The library pooch compares hashes too, but it also accepts http and ftp and reads answers of any
size, so it could not replace this module.
"""

from __future__ import annotations

import hashlib
import os
import re
import urllib.request
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple
from urllib.error import URLError

from benchmark.core.errors import BenchmarkError

TIMEOUT_SECONDS = 30
_BLOCK = 2**20
COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
THIS_MACHINE = re.compile(r"http://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?")


def fetch(url: str, size: int, path: Path) -> None:
    """Download an https address to `path`, and show the progress.

    What `path` has already is taken for the beginning of the file, and only the rest is asked for,
    where the server gives parts.

    Raises:
        OSError: the address, or one to which it redirects, is not https or does not answer, or it
            has more than `size` bytes.
    """
    from benchmark.core.progress import track

    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
        _OtherHandler,
    ):
        opener.add_handler(handler())
    known = path.stat().st_size if path.exists() else 0
    if known >= size:  # what is no whole file of this size has been refused before
        known = 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={known}-"} if known else {})
    with opener.open(request, timeout=TIMEOUT_SECONDS) as answer, path.open("ab") as file:
        file.truncate(known if answer.status == HTTPStatus.PARTIAL_CONTENT else 0)
        file.seek(0, os.SEEK_END)
        blocks = iter(lambda: answer.read(_BLOCK), b"")
        for block in track(blocks, -(-size // _BLOCK), f"download {url}"):
            if file.tell() + len(block) > size:
                raise OSError(f"it has more than {size} bytes")
            file.write(block)
        if answer.length:  # bytes that were announced and did not come
            raise OSError(f"it ended after {file.tell()} of {size} bytes: run the command again")


class _OtherHandler(urllib.request.BaseHandler):
    def unknown_open(self, request: urllib.request.Request) -> None:
        raise URLError(f"{request.full_url} is not https")


def check_hub() -> None:
    """Refuse a hub whose address is not https, unless it is on this machine.

    Raises:
        BenchmarkError: the address is neither https nor of this machine.
    """
    from huggingface_hub import constants

    address = constants.ENDPOINT
    if not address.startswith("https://") and not THIS_MACHINE.fullmatch(address):
        raise BenchmarkError(f"HF_ENDPOINT: {address} is not https: give an https address")


class Download(NamedTuple):
    """Something that must be downloaded.

    Attributes:
        addresses: addresses, of which any one will do.
        remedy: what to do instead, as the end of a sentence.
        refused: why it is not downloaded even if an address answers; empty if it is.
    """

    addresses: tuple[str, ...]
    remedy: str
    refused: str = ""


def from_hub(remedy: str, check: Callable[[], None] = lambda: None) -> Download:
    """Return a download from the Hugging Face hub, with the settings of the hub's client.

    Args:
        remedy: what to do instead, as the end of a sentence.
        check: function that raises BenchmarkError if this download is refused.
    """
    from huggingface_hub import constants

    refused = "downloads are switched off" if constants.HF_HUB_OFFLINE else ""
    try:
        check_hub()
        check()
    except BenchmarkError as error:
        refused = refused or str(error)
    return Download((constants.ENDPOINT,), remedy, refused)


def check_blob(path: Path) -> Path:
    """Return a file of the hub's cache; if it is named after its SHA-256, that is checked first.

    Raises:
        BenchmarkError: the file has another SHA-256. It is removed.
    """
    blob = path.resolve()
    if _SHA256.fullmatch(blob.name):
        with blob.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != blob.name:
            blob.unlink()
            raise BenchmarkError(
                f"{path}: its SHA-256 is {found}, not {blob.name}: it was damaged on the way and "
                "is removed: run the command again"
            )
    return path
