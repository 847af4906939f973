"""One hash of the contents of many files, for which only changed files are read again."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmark.core.errors import BenchmarkError
from benchmark.storage.atomic import write_text
from benchmark.storage.paths import CACHE

MANY = 1000  # files: a message says that more than these are being read, which takes a while
READERS = 8  # threads, which mostly wait for the disk
# Seconds since its last change after which the state of a file is stored. Before, it may change
# again within one tick of the file system's clock, which its times would not show.
SETTLED = 2.0

_Entry = tuple[str, list[int]]  # hash of the content, and the state of the file


def contents(folder: Path, files: Sequence[str], results: Path) -> str:
    """Return one hash of the names and contents of files; links are followed.

    If there is only one file, such as a file of weights, only its suffix counts, not its name.

    Hashes are stored in `results`/.cache with each file's size, times and inode. A file is read
    again only when one of these has changed.

    Args:
        folder: folder of the files.
        files: their paths relative to it.
        results: folder of all runs.
    """
    place = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
    cache = results / CACHE / "contents" / f"{place}.json"
    known = _read(cache)
    found = _entries(folder, files, known)
    if (all_known := known | found) != known:  # other models may have files in the same folder
        _store(cache, all_known)
    digest = hashlib.sha256()
    for name in sorted(files):
        told = name if len(files) > 1 else Path(name).suffix
        digest.update(os.fsencode(f"{told}\0{found[name][0]}\0"))
    return digest.hexdigest()


def _entries(folder: Path, files: Sequence[str], known: dict[str, _Entry]) -> dict[str, _Entry]:
    states = {name: _state(folder / name) for name in files}
    nothing: _Entry = ("", [])
    found = {n: known[n] for n in files if states[n] and known.get(n, nothing)[1] == states[n]}
    changed = [name for name in files if name not in found]
    if len(changed) > MANY:
        print(f"{folder}: reading {len(changed)} new or changed files", file=sys.stderr)
    with ThreadPoolExecutor(READERS) as readers:
        hashes = readers.map(lambda name: _hash(folder / name), changed)
        found |= {name: (code, states[name]) for name, code in zip(changed, hashes, strict=True)}
    return found


def _state(path: Path) -> list[int]:
    """Return what changes with a file: its size, times and place; empty if it is missing."""
    try:
        found = path.stat()
    except OSError:
        return []
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev]


def _hash(path: Path) -> str:
    """Return the hash of a file, or why it cannot be read, which its job will report."""
    if not path.is_file():
        return "no regular file"
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return str(error.strerror)


def _read(cache: Path) -> dict[str, _Entry]:
    try:
        stored = json.loads(cache.read_text(encoding="utf-8"))
        return {name: (str(code), list(state)) for name, (code, state) in stored.items()}
    except (OSError, ValueError, TypeError, AttributeError):  # none yet, or damaged: read all again
        return {}


def _store(cache: Path, found: dict[str, _Entry]) -> None:
    """Store the entries of settled files; a cache that cannot be written stays as it is."""
    latest = (time.time() - SETTLED) * 1e9
    settled = {n: e for n, e in found.items() if e[1] and max(e[1][1], e[1][2]) < latest}
    try:
        write_text(cache, json.dumps(settled))
    except BenchmarkError:
        return
