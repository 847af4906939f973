"""All that a run needs from outside, fetched before it: interrupted, it goes on where it was."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import io
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from benchmark.tools import fetching

PROJECT = Path(__file__).parents[2]
COMMIT = "0123456789" * 4
FILES = ("data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet")
Fault = Literal["none", "cut", "stall"]


class Hub(http.server.ThreadingHTTPServer):
    """Speaks what the hub speaks of one data set; files lie elsewhere, as on the hub.

    The first answer with the second file ends in its middle: it is cut, or stalls until the client
    has gone.
    """

    contents: dict[str, bytes]
    fault: Fault = "none"
    asked: list[tuple[str, str | None]]  # file and range of each request for bytes
    stalled = threading.Event()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        _, port = self.server.server_address[:2]
        file = self.path.partition(f"/{COMMIT}/")[2]
        place = f"http://localhost:{port}/elsewhere/{file}"
        assert isinstance(self.server, Hub)
        content = self.server.contents[file]
        self.answer(
            302,
            b"",
            **{
                "Location": place,
                "X-Repo-Commit": COMMIT,
                "X-Linked-Etag": f'"{digest(content)}"',
                "X-Linked-Size": str(len(content)),
            },
        )

    def do_GET(self) -> None:
        hub = self.server
        assert isinstance(hub, Hub)
        if self.path.startswith("/api/"):
            tree = [entry(file, content) for file, content in hub.contents.items()]
            self.answer(200, json.dumps(tree).encode())
        elif self.path.startswith("/datasets/"):
            self.do_HEAD()
        else:
            self.send_file(hub, self.path.removeprefix("/elsewhere/"))

    def send_file(self, hub: Hub, file: str) -> None:
        asked = self.headers.get("Range")
        hub.asked.append((file, asked))
        start = int(asked.removeprefix("bytes=").split("-")[0]) if asked else 0
        content = hub.contents[file]
        body, last = content[start:], len(content) - 1
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(body)))
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{last}/{last + 1}")
        self.end_headers()
        if hub.fault == "none" or file != FILES[1]:
            self.wfile.write(body)
            return
        fault, hub.fault = hub.fault, "none"
        self.wfile.write(body[: len(body) // 2])
        self.wfile.flush()
        if fault == "stall":
            hub.stalled.set()
            with contextlib.suppress(ConnectionError):
                self.connection.recv(1)  # nothing comes until the client has gone
        self.close_connection = True

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None: ...


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def entry(file: str, content: bytes) -> dict[str, Any]:
    """Return what the hub's list of files says of one."""
    lfs = {"oid": digest(content), "size": len(content), "pointerSize": 100}
    return {"type": "file", "path": file, "size": len(content), "oid": "0" * 40, "lfs": lfs}


def parquet(seed: int, ballast: int) -> bytes:
    """A file of 12 images in two classes, and of more bytes in a column of their own."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(12):
        file = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (16, 16, 3)).astype(np.uint8)).save(file, "PNG")
        rows.append({"bytes": file.getvalue(), "path": None})
    file = io.BytesIO()
    columns = {"image": rows, "label": [0, 1] * 6, "ballast": [rng.bytes(ballast)] * 12}
    pq.write_table(pa.table(columns), file, use_dictionary=False, compression="none")
    return file.getvalue()


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        # The client reads 10 MiB at a time, and asks for the rest from there.
        server.contents = {FILES[0]: parquet(0, 10), FILES[1]: parquet(1, 2**21)}
        server.asked, server.stalled = [], threading.Event()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    data = {"source": "hugging-face", "repository": "owner/name", "revision": COMMIT}
    sizes = {"files": "data/*", "label": "label", "resolution": 32, "train": 16, "held_out": 8}
    content = {
        "run": "mine",
        "data": {"faces": {**data, **sizes}},
        "models": {
            "Flow": {
                "family": "Flow",
                "data": "faces",
                "weights": {"kind": "zoo", "name": "avatars-flow"},
            }
        },
        "grid": [
            {
                "table": "t",
                "model": "Flow",
                "schedule": "flow",
                "sampler": "heun",
                "steps": 2,
                "samples": 4,
            }
        ],
        "evaluation": {
            "extractor": "efficientnet-lite0",
            "metrics": {"fd": {"kind": "frechet"}},
        },
    }
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def start(config: Path, hub: Hub, **more: str) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}",
        "HF_HOME": str(config.parent / "cache"),
        "HF_HUB_DISABLE_XET": "1",
        "PYTHONPATH": str(PROJECT),
        **more,
    }
    environment.pop("HF_HUB_OFFLINE", None)
    environment |= more
    return subprocess.Popen(
        [sys.executable, "-m", "benchmark", "fetch", str(config)],
        cwd=config.parent,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def fetched(config: Path, hub: Hub, **more: str) -> str:
    done = start(config, hub, **more)
    out, errors = done.communicate(timeout=120)
    assert done.returncode == 0, errors
    return out


def test_a_download_that_is_cut_goes_on_where_it_was(hub: Hub, config: Path) -> None:
    hub.fault = "cut"
    assert fetched(config, hub) == "data.faces\n"
    ranges = [asked for file, asked in hub.asked if file == FILES[1]]
    assert ranges[0] is None
    assert ranges[1] is not None
    assert int(ranges[1].removeprefix("bytes=").rstrip("-")) >= 10 * 2**20
    count = len(hub.asked)
    assert fetched(config, hub, HF_HUB_OFFLINE="1") == ""
    assert len(hub.asked) == count


@pytest.mark.slow
def test_what_a_killed_fetch_has_is_not_fetched_again(hub: Hub, config: Path) -> None:
    hub.fault = "stall"
    first = start(config, hub)
    assert hub.stalled.wait(60)
    wait_for_files(config.parent / "cache", 1)
    first.kill()
    first.communicate()
    before = len(hub.asked)
    assert fetched(config, hub) == "data.faces\n"
    assert {file for file, _ in hub.asked[before:]} == {FILES[1]}


def wait_for_files(cache: Path, count: int) -> None:
    """Wait until so many whole files are on the disk."""
    for _ in range(600):
        if sum(path.is_symlink() for path in cache.rglob("*.parquet")) >= count:
            return
        time.sleep(0.1)
    pytest.fail("no file has come")


def test_data_that_no_model_uses_are_not_fetched(config: Path) -> None:
    content = yaml.safe_load(config.read_text())
    content["data"]["unused"] = {**content["data"]["faces"], "repository": "owner/other"}
    assert [name for name, _ in fetching._sources(content)] == ["faces"]
    content["classifiers"] = {"hair": {"data": "unused"}}
    assert [name for name, _ in fetching._sources(content)] == ["faces", "unused"]


def test_what_may_not_be_downloaded_is_named(hub: Hub, config: Path) -> None:
    done = start(config, hub, HF_HUB_OFFLINE="1")
    _, errors = done.communicate(timeout=60)
    assert done.returncode == 2
    assert "error: data.faces: must be downloaded, but downloads are switched off; " in errors
