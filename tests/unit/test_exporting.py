"""A run for other programs: what each of them then shows is what the records say."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from browser import browser, find_browser
from PIL import Image
from records_fixture import write_run
from typer.testing import CliRunner

import benchmark as db
from benchmark.cli.app import app
from benchmark.core.errors import BenchmarkError
from benchmark.report.bundle import pack
from benchmark.storage.paths import Run
from benchmark.tools.exporting import FRAMES, export_run

MLFLOW = "mlflow==3.17.2"
CELL = "ddim-linear-ddim-50-s0"
TRAINING = "ddim-linear"
BROWSER = find_browser()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    made = write_run(tmp_path / "faces", cells=2)
    made.grid(CELL).parent.mkdir(parents=True)
    Image.fromarray(np.full((8, 8, 3), 200, np.uint8)).save(made.grid(CELL))
    return made


def test_csv_files_are_the_frames(run: Run, tmp_path: Path) -> None:
    written = export_run(run.root, "csv", str(tmp_path / "csv"))
    assert [Path(path).stem for path in written] == list(FRAMES)
    metrics = pd.read_csv(tmp_path / "csv" / "metrics.csv")
    expected = db.read(run.root).metrics
    assert metrics["value"].tolist() == pytest.approx(expected["value"].tolist(), nan_ok=True)
    losses = pd.read_csv(tmp_path / "csv" / "losses.csv")
    assert set(losses["training"]) == {"ddim-linear", "ddim-cosine"}


def test_the_command_writes_the_same_of_a_bundle(run: Run, tmp_path: Path) -> None:
    export_run(run.root, "csv", str(tmp_path / "folder"))
    options = ["export", str(pack(run.root)), str(tmp_path / "bundle"), "--to", "csv"]
    done = CliRunner().invoke(app, options)
    assert done.exit_code == 0, done.output
    for path in (tmp_path / "folder").iterdir():
        assert (tmp_path / "bundle" / path.name).read_bytes() == path.read_bytes()


def test_mlflow_has_each_cell_and_training(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    store = (tmp_path / "mlruns").as_uri()
    assert len(export_run(run.root, "mlflow", store)) == 4
    client = mlflow.MlflowClient(tracking_uri=store)
    experiment = client.get_experiment_by_name("faces")
    found = {r.info.run_name: r for r in client.search_runs([experiment.experiment_id])}
    assert set(found) == {
        CELL,
        "ddim-cosine-ddim-50-s0",
        f"train {TRAINING}",
        "train ddim-cosine",
    }
    expected = db.read(run.root)
    values = expected.metrics.query(f"subject == '{CELL}' and n_fake == 64").set_index("metric")
    mine = found[CELL].data
    assert mine.metrics["fd"] == values.loc["fd", "value"]
    assert mine.metrics["fd_low"] == values.loc["fd", "low"]
    assert mine.params["sampler"] == "ddim"
    assert mine.params["steps"] == "50"
    assert found[CELL].info.end_time - found[CELL].info.start_time == 30_000
    history = client.get_metric_history(found[f"train {TRAINING}"].info.run_id, "loss")
    losses = expected.losses.query(f"training == '{TRAINING}' and images == 'training'")
    assert [point.step for point in history] == losses["step"].tolist()
    assert [point.value for point in history] == losses["loss"].tolist()
    [artifact] = client.list_artifacts(found[CELL].info.run_id)
    assert artifact.path == "samples.png"
    with pytest.raises(BenchmarkError, match="MLflow cannot use it"):
        export_run(run.root, "mlflow", "nothing://here")
    if importlib.util.find_spec("alembic") is None:  # as with mlflow-skinny
        with pytest.raises(BenchmarkError, match=r"No module .*: pip install mlflow, or an"):
            export_run(run.root, "mlflow", f"sqlite:///{run.root}/mlflow.db")


def test_tensorboard_has_each_cell_and_training(run: Run, tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    export_run(run.root, "tensorboard", str(tmp_path / "events"))

    def events(name: str) -> object:
        found = accumulator.EventAccumulator(str(tmp_path / "events" / name))
        found.Reload()
        return found

    expected = db.read(run.root)
    training = events(f"train-{TRAINING}")
    losses = expected.losses.query(f"training == '{TRAINING}' and images == 'training'")
    assert [e.step for e in training.Scalars("loss")] == losses["step"].tolist()
    cell = events(CELL)
    value = expected.metrics.query(f"subject == '{CELL}' and metric == 'fd' and n_fake == 64")
    [shown] = cell.Scalars("fd")
    assert shown.value == pytest.approx(value["value"].item(), rel=1e-6)
    assert len(cell.Images("samples")) == 1


def test_tensorboard_is_not_given_a_run_twice_or_a_file(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    export_run(run.root, "tensorboard", str(tmp_path / "events"))
    with pytest.raises(
        BenchmarkError, match=r"events/.*: has events already, .*: name a new folder"
    ):
        export_run(run.root, "tensorboard", str(tmp_path / "events"))
    other = write_run(tmp_path / "other", cells=3)
    for path in other.root.glob("records/*/ddim*.json"):  # so that its cells have other names
        path.unlink()
    assert export_run(other.root, "tensorboard", str(tmp_path / "events"))
    (tmp_path / "file").write_text("")
    with pytest.raises(BenchmarkError, match=r"file: cannot be written: .*: name a folder"):
        export_run(run.root, "tensorboard", str(tmp_path / "file"))


def test_an_mlflow_that_stops_is_named(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")

    def refuse(*_: object, **__: object) -> None:
        raise mlflow.exceptions.MlflowException("no answer\nat all")

    monkeypatch.setattr(mlflow.MlflowClient, "log_image", refuse)
    with pytest.raises(
        BenchmarkError, match=r"took [0-9] runs, and then no more: no answer at all"
    ):
        export_run(run.root, "mlflow", (tmp_path / "mlruns").as_uri())


@pytest.mark.parametrize("to", ["mlflow", "tensorboard"])
def test_a_program_that_is_not_installed_is_named(
    to: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    for name in ("mlflow", "torch.utils.tensorboard"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BenchmarkError, match=f"{to} is not installed: uv sync --extra {to}, or"):
        export_run(run.root, to, str(tmp_path / "x"))


def test_an_unknown_program_is_named(run: Run) -> None:
    with pytest.raises(BenchmarkError, match="--to: no 'mlfow': did you mean 'mlflow'"):
        export_run(run.root, "mlfow", "x")


@pytest.fixture
def mlflow_server(tmp_path: Path) -> Iterator[str]:
    """MLflow's own server, in an environment of its own; its address."""
    pytest.importorskip("mlflow")
    uv = shutil.which("uv") or pytest.skip("needs uv")
    mlflow = [uv, "run", "--quiet", "--no-project", "--isolated", "--with", MLFLOW, "mlflow"]
    asked = subprocess.run([*mlflow, "--version"], cwd=tmp_path, capture_output=True, timeout=300)
    if asked.returncode:
        pytest.skip(f"needs {MLFLOW} from a registry")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    store = f"sqlite:///{tmp_path}/mlflow.db"
    command = [*mlflow, "server", "--backend-store-uri", store, "--port", str(port)]
    command += ["--artifacts-destination", str(tmp_path / "artifacts"), "--workers", "1"]
    log = tmp_path / "server.log"
    with log.open("w") as out:
        server = subprocess.Popen(
            command, cwd=tmp_path, stdout=out, stderr=out, start_new_session=True
        )

    def answers() -> bool:
        assert server.poll() is None, log.read_text()[-2000:]
        try:
            return bool(urllib.request.urlopen(f"{address}/health", timeout=5).read())
        except OSError:
            return False

    address = f"http://127.0.0.1:{port}"
    try:
        wait_until(answers)
        yield address
    finally:
        for end in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
                os.killpg(server.pid, end)
                server.wait(20)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "waited for two minutes"
        time.sleep(0.2)


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium here: install chromium")
def test_the_page_of_mlflow_shows_cells_trainings_and_figures(
    run: Run, mlflow_server: str, tmp_path: Path
) -> None:
    import mlflow

    assert BROWSER
    export_run(run.root, "mlflow", mlflow_server)
    client = mlflow.MlflowClient(tracking_uri=mlflow_server)
    experiment = client.get_experiment_by_name("faces").experiment_id
    found = {made.info.run_name: made.info.run_id for made in client.search_runs([experiment])}
    with browser(BROWSER, tmp_path / "profile") as page:
        page.size(1400)

        def shows(*texts: str) -> bool:
            shown = page.run("document.body.innerText")
            return all(text in shown for text in texts)

        page.visit(f"{mlflow_server}/#/experiments/{experiment}/runs")
        wait_until(lambda: shows(CELL, f"train {TRAINING}"))
        page.run(f"location.hash = '#/experiments/{experiment}/runs/{found[CELL]}'")
        wait_until(lambda: shows(CELL, "fd_low", "sampler", "ddim"))
