"""Nothing from outside is executed, leaves its folder, speaks in HTML, or is sent anywhere."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import http.server
import os
import pickle
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from records_fixture import write_run

from benchmark.config.loading import load_config, parse_config
from benchmark.core.errors import BenchmarkError
from benchmark.core.yaml_text import read_yaml
from benchmark.records.record import Record, read_record, read_records
from benchmark.records.sections import Prepared
from benchmark.report.compare import compare_runs
from benchmark.report.compare_formats import COMPARISON_FORMATS as COMPARED
from benchmark.report.formats import Column, Table, to_latex, to_markdown
from benchmark.report.site import write_site
from benchmark.report.tables import write_tables
from benchmark.storage.downloads import check_blob, check_hub, fetch
from benchmark.storage.paths import Run
from benchmark.tools.score_inputs import open_input

PROJECT = Path(__file__).parents[2]
PACKAGE = sorted((PROJECT / "benchmark").rglob("*.py"))
SMOKE = PROJECT / "tests" / "workflow" / "smoke.yaml"

# pickles


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.marker,)


@pytest.fixture
def marker(tmp_path: Path) -> Iterator[Path]:
    """A file that exists only if code from outside was executed."""
    yield tmp_path / "executed"
    assert not (tmp_path / "executed").exists()


def as_pickle(path: Path, trap: Trap) -> None:
    path.write_bytes(pickle.dumps([trap, trap]))


def as_torch(path: Path, trap: Trap) -> None:
    import torch

    torch.save([trap, trap], path)


def as_array(path: Path, trap: Trap) -> None:
    with path.open("wb") as file:
        np.save(file, np.array([trap], dtype=object), allow_pickle=True)


def as_arrays(path: Path, trap: Trap) -> None:
    with path.open("wb") as file:
        np.savez(file, mu=np.array([trap], dtype=object), sigma=np.eye(1))


KINDS = [as_pickle, as_torch, as_array, as_arrays]
Save = Callable[[Path, Trap], None]


def test_the_trap_works(tmp_path: Path) -> None:
    as_pickle(tmp_path / "trap", Trap(tmp_path / "made"))
    pickle.loads((tmp_path / "trap").read_bytes())
    assert (tmp_path / "made").exists()


@pytest.mark.parametrize("save", KINDS)
@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".safetensors", ".npy", ".npz"])
def test_weights_of_every_kind_execute_nothing(
    save: Save, suffix: str, marker: Path, tmp_path: Path
) -> None:
    from benchmark.models.checkpoints.ncsn import NcsnCheckpoint
    from benchmark.models.checkpoints.own import OwnCheckpoint
    from benchmark.models.tensors import read_tensors

    path = tmp_path / f"weights{suffix}"
    save(path, Trap(marker))
    for spec in (NcsnCheckpoint(kind="ncsn", path=path), OwnCheckpoint(kind="own", path=path)):
        with pytest.raises(BenchmarkError):
            spec.load(tmp_path)
    with pytest.raises(BenchmarkError):
        read_tensors(path)


@pytest.mark.parametrize("save", KINDS)
def test_an_extractor_s_weights_execute_nothing(save: Save, marker: Path, tmp_path: Path) -> None:
    import torch

    from benchmark.extractors.networks.folding import read_state_dict

    save(tmp_path / "weights.pth", Trap(marker))
    with pytest.raises((pickle.UnpicklingError, RuntimeError)):
        read_state_dict(tmp_path / "weights.pth", torch.device("cpu"))


@pytest.mark.parametrize("save", KINDS)
def test_a_state_executes_nothing(save: Save, marker: Path, tmp_path: Path) -> None:
    import torch

    from benchmark.runtime.training_state import load_state

    save(tmp_path / "state", Trap(marker))
    digest = hashlib.sha256((tmp_path / "state").read_bytes()).hexdigest()
    (tmp_path / "state").rename(tmp_path / f"000000001-{digest}.pt")
    with contextlib.suppress(pickle.UnpicklingError, RuntimeError, BenchmarkError):
        assert load_state(tmp_path, torch.device("cpu"), lambda state: True) is None


@pytest.mark.parametrize("save", KINDS)
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_input_of_score_executes_nothing(
    save: Save, suffix: str, marker: Path, tmp_path: Path
) -> None:
    save(tmp_path / f"input{suffix}", Trap(marker))
    with pytest.raises(BenchmarkError):
        open_input(tmp_path / f"input{suffix}")


@pytest.mark.parametrize("save", KINDS)
@pytest.mark.parametrize("name", ["bundle.zip", "records/metrics/a.json"])
def test_bundles_and_records_execute_nothing(
    save: Save, name: str, marker: Path, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    save(path, Trap(marker))
    with pytest.raises(BenchmarkError):
        read_records(path if path.suffix == ".zip" else tmp_path)


# the package's own code

LOADERS = {"pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.loads", "shelve.open"}
FORBIDDEN = LOADERS | {"eval", "exec", "os.system", "os.popen", "yaml.unsafe_load", "joblib.load"}


def offences(source: str) -> list[str]:
    """Calls that execute what they read, by line."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        options = {k.arg: ast.unparse(k.value) for k in node.keywords}
        bad = (
            name in FORBIDDEN
            or (name == "torch.load" and options.get("weights_only") != "True")
            or (name.endswith(".load") and options.get("allow_pickle") not in (None, "False"))
            or (name == "yaml.load" and ast.unparse(node.args[-1]) != "_Loader")
            or options.get("shell") not in (None, "False")
            or (name.endswith("from_pretrained") and "trust_remote_code" in options)
        )
        found += [f"{node.lineno}: {ast.unparse(node)}"] * bad
    return found


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(f)",
        "torch.load(f, weights_only=False)",
        "np.load(f, allow_pickle=True)",
        "pickle.loads(b)",
        "yaml.load(t, yaml.Loader)",
        "eval(t)",
        "subprocess.run(c, shell=True)",
    ],
)
def test_what_executes_is_an_offence(line: str) -> None:
    assert offences(line)


def test_no_module_executes_what_it_reads() -> None:
    found = {path.name: offences(path.read_text(encoding="utf-8")) for path in PACKAGE}
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize("text", ["a: !!python/object/apply:os.getcwd []", "!!python/name:os.x 1"])
def test_yaml_makes_no_objects(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(BenchmarkError, match=r"not YAML: could not determine a constructor"):
        load_config(tmp_path / "config.yaml")


@pytest.mark.parametrize(
    ("text", "line", "first"),
    [
        ("run: a\ndevice: cpu\nrun: b\n", 3, 1),
        ("data:\n  x: {resolution: 8, seed: 1, resolution: 16}\n", 2, 2),
    ],
)
def test_a_key_that_stands_twice_is_refused(
    text: str, line: int, first: int, tmp_path: Path
) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(BenchmarkError, match=f"stands here and on line {first}.*line {line}") as e:
        load_config(tmp_path / "config.yaml")
    assert "\n" not in str(e.value)


def test_keys_of_a_merge_may_be_replaced() -> None:
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\n"
    assert read_yaml(text) == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}}


# names

HOSTILE = ["../x", "..", ".", "/etc/x", "a/b", "a\\b", "a\0b", "a\nb", "", "<script>", "x" * 5000]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_of_a_config_cannot_leave_the_results(name: str) -> None:
    content = read_yaml(SMOKE.read_text())
    for change in (
        {"run": name},
        {"data": {name: content["data"]["tiny"]}},
        {"models": {name: content["models"]["DDPM"]}},
        {"grid": [content["grid"][0] | {"table": name}]},
    ):
        with pytest.raises(BenchmarkError):
            parse_config(content | change)


def test_names_too_long_for_a_file_are_one_line() -> None:
    long = "x" * 80
    text = SMOKE.read_text().replace("sampler: ddpm", f"sampler: {long}")
    text = text.replace("DDPM", long).replace("schedule: [linear", f"schedule: [{long}")
    content = read_yaml(text) | {"schedules": {long: {"kind": "linear"}}}
    content["samplers"] = {long: {"kind": "ddpm"}}
    content["models"][long]["family"] = "DDPM"
    with pytest.raises(BenchmarkError, match="characters: choose shorter names") as error:
        parse_config(content)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("field", ["id", "cell.id", "cell.table", "cell.dataset", "cell.model"])
def test_names_in_records_cannot_leave_the_results(field: str, name: str, tmp_path: Path) -> None:
    run = write_run(tmp_path, cells=1)
    [path] = run.root.glob("records/sample/*.json")
    content = read_record(path).model_dump(mode="json")
    *parents, last = field.split(".")
    (content[parents[0]] if parents else content)[last] = name
    with pytest.raises(ValueError, match=last):
        Record.model_validate(content)


# HTML, LaTeX and Markdown

NASTY = """<script>alert(1)</script>"'><img src=x onerror=alert(1)> javascript:alert(1)"""


@pytest.fixture
def nasty(tmp_path: Path) -> Run:
    """A run whose folder and whose free texts are hostile."""
    run = write_run(tmp_path / "<script>alert(2)<" / "script>", cells=4)
    for path in run.root.glob("records/*/*.json"):
        record = read_record(path)
        changes: dict[str, Any] = {}
        if record.cell:
            changes["cell"] = record.cell.model_copy(update={"family": NASTY})
        if record.control:
            changes["control"] = record.control.model_copy(update={"text": NASTY})
        if record.kind == "data":
            changes["prepared"] = Prepared(origin=NASTY, licence=NASTY, attribution=NASTY)
        record.model_copy(update=changes).write(path)
    return run


def test_pages_escape_all_that_they_show(nasty: Run) -> None:
    write_site(nasty, None)
    page = nasty.site.read_text()
    other = write_run(nasty.root.parent / "'other\"", cells=4)
    compared = COMPARED["html"](compare_runs([nasty.root, other.root], "", ""))
    for text in (page, compared):
        assert "<script>alert" not in text
        assert "<img src=x" not in text
        assert 'href="javascript' not in text
        assert "alert(1)" in text or text is compared


def test_tables_escape_markup(nasty: Run, tmp_path: Path) -> None:
    for path in write_tables(nasty, None, Run(tmp_path / "out")):
        text = path.read_text()
        assert path.suffix == ".csv" or "<script>" not in text.replace(r"\<script>", "")


@pytest.mark.parametrize(
    "text", [r"\input{/etc/passwd}", "a | b", "a & b % c $ # _ {", "two\nlines", "\r\n\u2028"]
)
def test_an_entry_of_a_table_stays_one(text: str) -> None:
    column = Column(key="a", heading="a", number=False)
    table = Table("name", [text], [column, column], [{"a": text}, {"a": "x"}])
    latex, markdown = to_latex(table), to_markdown(table)
    assert r"\input" not in latex
    assert latex.count(r" \\") == 3
    assert all(line.count(" & ") == 1 for line in latex.splitlines() if line.endswith(r"\\"))
    lines = markdown.splitlines()
    assert len(lines) == 6
    assert {line.replace(r"\|", "").count("|") for line in lines[2:]} == {3}


# downloads

CONTENT = b"weights" * 1000


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT at /file, and leads from /away to `elsewhere`."""

    elsewhere = ""
    asked = 0
    gives_ranges = False
    cuts = False
    range: str | None = None


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        self.server.asked += 1
        self.server.range = self.headers.get("Range")
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", self.server.elsewhere)
            self.end_headers()
            return
        begins = self.server.range if self.server.gives_ranges else None
        body = CONTENT[int(begins.removeprefix("bytes=").rstrip("-")) :] if begins else CONTENT
        self.send_response(206 if begins else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:4] if self.server.cuts else body)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def plain() -> Iterator[tuple[Server, str]]:
    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def secure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Server, str]]:
    """A server with a certificate that this test alone trusts."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    call = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    call += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    try:
        files = ["-keyout", str(key), "-out", str(certificate)]
        subprocess.run([*call, *files], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no openssl to make a certificate")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with Server(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server, f"https://localhost:{server.server_port}"
        server.shutdown()


def test_https_is_read(secure: tuple[Server, str], tmp_path: Path) -> None:
    server, address = secure
    fetch(f"{address}/file", len(CONTENT), tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT
    server.elsewhere = f"{address}/file"
    fetch(f"{address}/away", len(CONTENT), tmp_path / "file")


def test_a_download_goes_on_where_it_was(secure: tuple[Server, str], tmp_path: Path) -> None:
    server, address = secure
    for begun, ranges in ((CONTENT[:5], True), (CONTENT[:5], False), (CONTENT, True)):
        (tmp_path / "file").write_bytes(begun)
        server.gives_ranges, server.range = ranges, None
        fetch(f"{address}/file", len(CONTENT), tmp_path / "file")
        assert (tmp_path / "file").read_bytes() == CONTENT
        assert server.range == ("bytes=5-" if begun != CONTENT else None)
    server.gives_ranges, server.cuts = True, True
    (tmp_path / "file").unlink()
    with pytest.raises(OSError, match=f"it ended after 4 of {len(CONTENT)} bytes"):
        fetch(f"{address}/file", len(CONTENT), tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT[:4]


def test_a_certificate_that_nobody_knows_is_refused(
    secure: tuple[Server, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(OSError, match="certificate verify failed"):
        fetch(f"{secure[1]}/file", len(CONTENT), tmp_path / "file")


@pytest.mark.parametrize("scheme", ["http", "file", "ftp", "data"])
def test_other_addresses_are_refused_unasked(
    scheme: str, plain: tuple[Server, str], tmp_path: Path
) -> None:
    server, address = plain
    with pytest.raises(OSError, match="is not https"):
        fetch(f"{scheme}{address.removeprefix('http')}/file", len(CONTENT), tmp_path / "file")
    assert server.asked == 0


def test_a_way_from_https_to_http_is_refused(
    plain: tuple[Server, str], secure: tuple[Server, str], tmp_path: Path
) -> None:
    secure[0].elsewhere = f"{plain[1]}/file"
    with pytest.raises(OSError, match="is not https"):
        fetch(f"{secure[1]}/away", len(CONTENT), tmp_path / "file")
    assert plain[0].asked == 0


def test_more_bytes_than_published_are_refused(secure: tuple[Server, str], tmp_path: Path) -> None:
    with pytest.raises(OSError, match=f"more than {len(CONTENT) - 1} bytes"):
        fetch(f"{secure[1]}/file", len(CONTENT) - 1, tmp_path / "file")


@pytest.mark.parametrize("published", [CONTENT, CONTENT[::-1]])
def test_only_the_published_bytes_are_kept(
    published: bytes, secure: tuple[Server, str], tmp_path: Path
) -> None:
    from benchmark.extractors.weights import Weights, locate

    digest = hashlib.sha256(published).hexdigest()
    weights = Weights("w.pth", digest, len(published), "MIT", (f"{secure[1]}/file",))
    if published == CONTENT:
        assert locate(weights, tmp_path / "cache").read_bytes() == CONTENT
        return
    with pytest.raises(BenchmarkError, match="its SHA-256 is"):
        locate(weights, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_every_address_of_the_package_is_https() -> None:
    from benchmark.extractors import EXTRACTORS

    mirrors = [url for e in EXTRACTORS.classes.values() for url in e.weights.mirrors]
    assert mirrors
    assert all(url.startswith("https://") for url in mirrors)
    assert all(len(e.weights.sha256) == 64 for e in EXTRACTORS.classes.values())


def test_a_hub_without_tls_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    for address in ("https://huggingface.co", "http://127.0.0.1:80", "http://localhost"):
        monkeypatch.setattr(constants, "ENDPOINT", address)
        check_hub()
    for address in ("http://huggingface.co", "http://127.0.0.1.example.org", "ftp://localhost"):
        monkeypatch.setattr(constants, "ENDPOINT", address)
        with pytest.raises(BenchmarkError, match=r"HF_ENDPOINT: .* is not https"):
            check_hub()


def test_a_file_of_the_hub_that_was_damaged_on_the_way_is_refused(tmp_path: Path) -> None:
    blob = tmp_path / hashlib.sha256(CONTENT).hexdigest()
    blob.write_bytes(CONTENT)
    (tmp_path / "weights").symlink_to(blob)
    assert check_blob(tmp_path / "weights") == tmp_path / "weights"
    blob.write_bytes(CONTENT[:-1])
    with pytest.raises(BenchmarkError, match=r"damaged on the way and is removed"):
        check_blob(tmp_path / "weights")
    assert not blob.exists()


def test_what_may_change_on_the_hub_is_not_downloaded(tmp_path: Path) -> None:
    from benchmark.models.checkpoints.diffusers import DiffusersCheckpoint
    from benchmark.models.hub import Finder

    spec = DiffusersCheckpoint(kind="diffusers", source="google/ddpm", revision="main")
    with pytest.raises(BenchmarkError, match="revision main may become another one"):
        Finder(spec, tmp_path)("config.json")


# what is sent


@pytest.mark.parametrize(
    ("library", "question"),
    [
        ("huggingface_hub.constants", "HF_HUB_DISABLE_TELEMETRY"),
        ("mlflow.telemetry.utils", "is_telemetry_disabled()"),
    ],
)
def test_telemetry_is_off_before_a_library_is_there(library: str, question: str) -> None:
    pytest.importorskip(library)
    code = f"import benchmark, {library} as library; print(library.{question})"
    # None of the variables by which a library knows a machine of tests.
    kept = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    said = subprocess.run(
        [sys.executable, "-c", code], env=kept, cwd=PROJECT, capture_output=True, text=True
    )
    assert said.stdout == "True\n", said.stderr
