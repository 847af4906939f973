"""Warm processes: a job gives the same result in one as by itself, and they end with the run."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from checkout import copy

from benchmark.cli import options
from benchmark.core.closure import MODULES
from benchmark.core.errors import BenchmarkError
from benchmark.runtime import warm as server
from benchmark.storage.paths import Run

PROJECT = Path(__file__).parents[2]
SMOKE = PROJECT / "tests" / "workflow" / "smoke.yaml"
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
TIMES = {"started", "wall_seconds", "startup_seconds"}

Warm = dict[str, psutil.Process]


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    """Both warm processes, after their imports."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(server.FOLDER, "")  # `start` sets it; the patch restores it after the tests
        processes = server.start(SMOKE)
        yield {
            name: psutil.Process(p.pid) for name, p in zip(server.SERVED, processes, strict=True)
        }
        for process in processes:
            process.communicate(timeout=30)  # closes its stdin, so that it ends


def command(*arguments: str | Path, interpreter: tuple[str, ...] = ()) -> list[str]:
    return [sys.executable, *interpreter, "-m", "benchmark", *map(str, arguments)]


def environment(served: bool, **variables: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if served or k != server.FOLDER}
    return kept | server.ONE_THREAD | variables


def benchmark(
    *arguments: str | Path, served: bool, interpreter: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments, interpreter=interpreter),
        env=environment(served),
        cwd=PROJECT,
        capture_output=True,
        text=True,
    )


def until(condition: Callable[[], Any]) -> Any:
    """Wait until something holds, and return it."""
    for _ in range(600):
        if found := condition():
            return found
        time.sleep(0.1)
    raise AssertionError("it never came")


def without_times(path: Path) -> dict[str, Any]:
    record = json.loads(path.read_text())
    for name in TIMES:
        del record["provenance"][name]
    for name in ("values", "timing", "contention"):
        del record[name]
    return record


def test_a_served_job_writes_what_a_direct_one_does(
    warm: Warm, prepared: Run, tmp_path: Path
) -> None:
    runs = []
    for served in (True, False):
        runs.append(run := Run(tmp_path / str(served) / "smoke"))
        run.data("tiny").parent.mkdir(parents=True)
        run.data("tiny").symlink_to(prepared.data("tiny"))
        to = ("--threads", "2", "--results", run.root.parent)
        for job in ("train DDPM-linear", "sample DDPM-linear-ddpm-10-s0"):
            verb, name = job.split()
            done = benchmark(verb, SMOKE, name, *to, served=served)
            assert (done.returncode, done.stdout) == (0, ""), done.stderr
    served_run, direct = runs
    cell = "DDPM-linear-ddpm-10-s0"
    for path in (direct.weights("DDPM-linear"), direct.samples(cell), direct.chain(cell)):
        other = served_run.root / path.relative_to(direct.root)
        assert other.read_bytes() == path.read_bytes()
    record = ("sample", cell)
    assert without_times(served_run.record(*record)) == without_times(direct.record(*record))


def test_who_asks_imports_nothing_of_the_job(warm: Warm) -> None:
    """The imports of the served process itself are not listed: it is another one."""
    arguments = ("sample", SMOKE, "DDPM-linear-ddpm-10-s0", "--dry-run")
    done = benchmark(*arguments, served=True, interpreter=("-X", "importtime"))
    assert done.stdout == benchmark(*arguments, served=False).stdout
    assert "benchmark.runtime.warm" in done.stderr
    assert not {"typer", "numpy", "pydantic"} & {
        line.split()[-1] for line in done.stderr.split("\n") if line
    }


def test_a_job_of_another_checkout_is_done_by_its_own_code(warm: Warm, tmp_path: Path) -> None:
    """Though it inherits where the warm processes are, as in a workflow that starts another."""
    copy("benchmark", tmp_path)
    told = "from benchmark.core.errors import BenchmarkError\nraise BenchmarkError('my own code')\n"
    (tmp_path / "benchmark" / "stages" / "evaluate.py").write_text(told)
    variables = {"PYTHONPATH": str(tmp_path), "PYTHONSAFEPATH": "1"}
    done = subprocess.run(
        command("evaluate", SMOKE, "held-out-tiny", "--results", tmp_path),
        env=environment(True, **variables),
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stderr == "error: my own code\n"


def test_a_mistake_is_told_as_without_a_server(warm: Warm) -> None:
    for verb in ("sample", "evaluate"):
        served, direct = (benchmark(verb, SMOKE, "none", served=s) for s in (True, False))
        assert served.returncode == direct.returncode == 2
        assert served.stderr == direct.stderr


def test_jobs_have_their_own_folder_and_environment(warm: Warm, tmp_path: Path) -> None:
    done = subprocess.run(
        command("plots", "nowhere"),
        env=environment(True, PYTHONPATH=str(PROJECT)),
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: nowhere: no such run: ")
    (tmp_path / "nowhere").mkdir()
    again = subprocess.run(
        command("plots", "nowhere"),
        env=environment(True, PYTHONPATH=str(PROJECT)),
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert again.stderr.startswith("error: nowhere: no run: ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_job_ends_with_who_asked_for_it(
    warm: Warm, prepared: Run, tmp_path: Path, number: signal.Signals
) -> None:
    content = yaml.safe_load(SMOKE.read_text())
    content["training"]["short"] |= {"steps": 10**9}
    (tmp_path / "endless.yaml").write_text(yaml.safe_dump(content))
    run = Run(tmp_path / "smoke")
    run.data("tiny").parent.mkdir(parents=True)
    run.data("tiny").symlink_to(prepared.data("tiny"))
    asking = subprocess.Popen(
        command("train", tmp_path / "endless.yaml", "DDPM-linear", "--results", tmp_path),
        env=environment(True),
        cwd=PROJECT,
        stderr=subprocess.DEVNULL,
    )
    [job] = until(warm["torch"].children)
    until(lambda: list(run.root.glob("state/*/*.pt")))
    asking.send_signal(number)
    ended = (
        -number if number == signal.SIGKILL else 128 + number
    )  # after other signals it removes half-written files
    assert asking.wait(timeout=30) == ended
    until(lambda: not job.is_running())
    assert warm["torch"].is_running()


@LINUX
def test_warm_processes_have_one_thread_and_keep_torch_and_faiss_apart(warm: Warm) -> None:
    for name, process in warm.items():
        benchmark(
            server.SERVED[name][0], "--help", served=True
        )  # answered once the imports are done
        assert process.num_threads() == 1
        loaded = {Path(region.path).name for region in process.memory_maps()}
        assert any(file.startswith("libtorch") for file in loaded) == (name == "torch")
        assert not any("faiss" in file for file in loaded)


def test_nobody_else_can_enter_the_folder_of_the_sockets(warm: Warm) -> None:
    folder = Path(os.environ[server.FOLDER])
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_without_a_warm_process_the_command_does_its_job(tmp_path: Path) -> None:
    arguments = command("evaluate", SMOKE, "held-out-tiny", "--dry-run")
    variables = environment(True) | {server.FOLDER: str(tmp_path)}
    alone = subprocess.run(arguments, env=variables, cwd=PROJECT, capture_output=True)
    assert (alone.returncode, alone.stderr) == (0, b"")


def test_warm_processes_end_with_who_started_them() -> None:
    code = (
        "import os, signal\n"
        "from pathlib import Path\n"
        "from benchmark.runtime import warm as server\n"
        f"processes = server.start(Path({str(SMOKE)!r}))\n"
        "print(os.environ[server.FOLDER], *[p.pid for p in processes], flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, stdout=subprocess.PIPE)
    folder, *pids = done.stdout.decode().split()
    until(lambda: not any(psutil.pid_exists(int(pid)) for pid in pids))
    assert not Path(folder).exists()


@pytest.fixture
def far_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files whose path is too long for that of a socket."""
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))  # a folder that torch makes there
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv(server.FOLDER, "")
    yield folder
    tempfile.tempdir = None


def test_a_long_tmpdir_has_its_sockets_elsewhere(far_away: Path, prepared: Run) -> None:
    processes = server.start(SMOKE)
    try:
        folder = Path(os.environ[server.FOLDER])
        assert folder.parent == Path(server.SHORT)
        assert len(processes) == len(server.SERVED)
        done = benchmark("evaluate", SMOKE, "held-out-tiny", "--dry-run", served=True)
        assert (done.returncode, done.stderr) == (0, "")
        assert list(far_away.iterdir()) == []
    finally:
        for process in processes:
            process.communicate(timeout=60)
    until(lambda: not folder.exists())


def test_a_variable_leaves_the_warm_processes_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(server.FOLDER, "")
    monkeypatch.setenv(server.SWITCH, "0")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert server.start(SMOKE) == []
    assert os.environ[server.FOLDER] == ""
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr().err == ""


def test_where_no_socket_can_be_made_jobs_start_by_themselves(
    far_away: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(server, "SHORT", str(far_away / "missing"))
    assert server.start(SMOKE) == []
    said = capfd.readouterr().err
    assert said.startswith("warning: no socket can be made (TMPDIR: AF_UNIX path too long; ")
    assert said.count("\n") == 1
    assert os.environ[server.FOLDER] == ""
    assert list(far_away.iterdir()) == []


def test_a_job_for_which_no_process_can_be_forked_starts_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fork() -> int:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "arrays"))
        listener.listen()
        monkeypatch.setattr(os, "fork", fork)
        warm = server.Server(listener, lifeline=-1)
        arguments = command("evaluate", SMOKE, "held-out-tiny", "--dry-run")
        variables = environment(True) | {server.FOLDER: str(tmp_path)}
        asking = subprocess.Popen(arguments, env=variables, cwd=PROJECT, stdout=subprocess.PIPE)
        assert warm._accept() is None
        printed, _ = asking.communicate(timeout=120)
    assert asking.returncode == 0
    assert printed.startswith(b"run: smoke\n")
    assert "a job starts by itself, which takes longer" in capfd.readouterr().err
    assert warm.pids == set()


def test_a_config_that_is_kept_for_all_jobs_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options, "_KEPT", {})
    monkeypatch.setenv(MODULES, "")
    path = tmp_path / "config.yaml"
    shutil.copy(SMOKE, path)
    first = options.load_checked(path)
    options.keep_checked(path)
    path.unlink()
    assert options.load_checked(path) == first
    with pytest.raises(BenchmarkError, match=r"other\.yaml: cannot be read"):
        options.load_checked(tmp_path / "other.yaml")
