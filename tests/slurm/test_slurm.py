"""Runs on a real SLURM, of one node with one pretended GPU."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import yaml
from checkout import lay_out
from cluster import cluster, missing

from benchmark.records.record import read_record
from benchmark.runtime.training_state import save_state
from benchmark.storage.paths import Run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(missing() is not None, reason=missing() or ""),
]

SMOKE = Path(__file__).parents[1] / "workflow" / "smoke.yaml"
ONE_THREAD = [f"{rule}=1" for rule in ("prepare", "train", "sample", "features")]
# What this cluster has other than the profile says, which asks seldom and waits for slow disks.
SITE = ("--slurm-init-seconds-before-status-checks", "8", "--latency-wait", "5")
OUTPUT = "snakemake.out"
WATCHED = "watch.out"
MARK = 1000.0  # seconds that no training here takes
CANCELLED = "rule_train_wildcards_DDPM-linear"


class Job(NamedTuple):
    """A job as `scontrol show job` tells it."""

    number: str
    comment: str
    state: str
    gpus: int
    start: datetime
    end: datetime


class Site:
    """Where workflows are submitted from."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        self.run = Run(folder / "results" / "smoke")

    def submit(self, *arguments: str) -> subprocess.Popen[str]:
        profile = ("--profile", "workflow/profiles/slurm", "--configfile", "grid.yaml")
        return start(self.folder, self.environment, *profile, *SITE, *arguments)

    def watch(self) -> None:
        """Look at the run from another terminal until it is over."""
        command = [sys.executable, "-m", "benchmark", "watch", "results/smoke", "--seconds", "1"]
        with (self.folder / WATCHED).open("w") as out:
            self.watching = subprocess.Popen(command, cwd=self.folder, stdout=out, text=True)

    def ask(self, *command: str) -> str:
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        return done.stdout

    def jobs(self) -> list[Job]:
        texts = self.ask("scontrol", "show", "job", "--oneliner").splitlines()
        return [job_of(text) for text in texts if "JobId=" in text]


def job_of(text: str) -> Job:
    def field(name: str) -> str:
        match = re.search(rf"\b{name}=(\S+)", text)
        return match.group(1) if match else ""

    start, end = (
        datetime.max if field(name) in ("", "Unknown") else datetime.fromisoformat(field(name))
        for name in ("StartTime", "EndTime")
    )
    gpus = re.search(r"\bTresPerJob=gres:gpu:(\d+)", text)
    number, comment, state = map(field, ("JobId", "Comment", "JobState"))
    return Job(number, comment, state, int(gpus.group(1)) if gpus else 0, start, end)


def start(folder: Path, environment: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    environment = {k: v for k, v in environment.items() if k != "PYTHONPATH"}
    command = [sys.executable, "-m", "snakemake", "--set-threads", *ONE_THREAD, *arguments]
    with (folder / OUTPUT).open("w") as out:
        return subprocess.Popen(
            command, cwd=folder, env=environment, stdout=out, stderr=subprocess.STDOUT, text=True
        )


def end(folder: Path, workflow: subprocess.Popen[str]) -> str:
    """Wait for the end of a workflow; return what it has printed, after its status."""
    status = workflow.wait()
    return f"status {status}\n{(folder / OUTPUT).read_text()}"


def wait_for(condition: Callable[[], Any], site: Site, workflow: subprocess.Popen[str]) -> Any:
    """Return what a condition gives once it is true, which a workflow makes it."""
    while not (found := condition()):
        assert workflow.poll() is None, end(site.folder, workflow)
        time.sleep(0.1)
    return found


def grid() -> dict[str, Any]:
    """The smoke config, with one training that is long enough to be cancelled."""
    content: dict[str, Any] = yaml.safe_load(SMOKE.read_text())
    content["training"]["long"] = content["training"]["short"] | {"steps": 1000, "log_every": 10}
    content["models"]["DDPM"]["training"] = "long"
    content["grid"][0]["schedule"] = "linear"  # DDIM has both
    return content | {"device": "auto"}  # on a cluster that is: with a GPU


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    with cluster() as found:
        yield found


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    """The same run on this machine alone, which goes on while the cluster's jobs queue."""
    folder = lay_out(tmp_path_factory.mktemp("local"))
    (folder / "grid.yaml").write_text(yaml.safe_dump(grid()))
    workflow = start(folder, dict(os.environ), "--cores", "1", "--configfile", "grid.yaml")
    yield folder, workflow
    workflow.terminate()
    workflow.wait()


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory,
    environment: dict[str, str],
    local: tuple[Path, subprocess.Popen[str]],
) -> Site:
    """A run that is done, in which a training was cancelled and a mark was left in its state."""
    folder = lay_out(tmp_path_factory.mktemp("site"))
    (folder / "grid.yaml").write_text(yaml.safe_dump(grid()))
    site = Site(folder, environment)
    workflow = site.submit()
    try:
        wait_for(lambda: site.run.record("data", "tiny").exists(), site, workflow)
        site.watch()
        cancel_and_mark(site, workflow)
    except BaseException:
        workflow.kill()
        raise
    out = end(folder, workflow)
    assert out.startswith("status 0\n"), out
    return site


def cancel_and_mark(site: Site, workflow: subprocess.Popen[str]) -> None:
    def wait(condition: Callable[[], Any]) -> Any:
        return wait_for(condition, site, workflow)

    [state] = wait(lambda: [p.parent for p in site.run.root.glob("state/*/*5*0-*.pt")][:1])

    def training() -> Job:
        return next(job for job in site.jobs() if job.comment == CANCELLED)

    site.ask("scancel", training().number)
    wait(lambda: training().state == "CANCELLED")
    newest = max(state.glob("[0-9]*-*.pt"))
    content = torch.load(newest, weights_only=True)
    content["progress"]["seconds"] += MARK
    newest.unlink()
    save_state(state, int(newest.name.split("-")[0]), content)


def test_a_grid_gives_the_records_and_samples_of_a_local_run(
    site: Site,
    local: tuple[Path, subprocess.Popen[str]],
    found: Callable[[Run], dict[str, Any]],
) -> None:
    out = end(*local)
    assert out.startswith("status 0\n"), out
    assert found(site.run) == found(Run(local[0] / "results" / "smoke"))


def test_a_cancelled_training_is_submitted_again_and_continues_from_its_state(site: Site) -> None:
    states = [job.state for job in site.jobs() if job.comment == CANCELLED]
    assert sorted(states) == ["CANCELLED", "COMPLETED"]
    seconds = read_record(site.run.record("train", "DDPM-linear")).values["train_seconds"].value
    assert MARK < seconds < 2 * MARK


def test_another_terminal_sees_jobs_that_nodes_run_until_the_run_is_over(site: Site) -> None:
    assert site.watching.wait(timeout=120) == 0
    lines = (site.folder / WATCHED).read_text().splitlines()
    assert re.match(r"\d+ of \d+ jobs are done, .*: prepare 1/1, train \d/\d,", lines[0])
    assert any(line.startswith("train DDPM-linear: ") for line in lines)
    assert any(line.startswith("newest: ") for line in lines)
    assert any("results/smoke" in line for line in lines[-10:])  # where to look, at the end


def test_jobs_that_use_a_gpu_ask_for_one_and_never_overlap(site: Site) -> None:
    jobs = sorted((job for job in site.jobs() if job.gpus), key=lambda job: job.start)
    rules = {"train", "sample", "features"}
    assert {job.comment.split("_")[1] for job in jobs} == rules
    assert not rules & {job.comment.split("_")[1] for job in site.jobs() if not job.gpus}
    for before, after in itertools.pairwise(jobs):
        assert before.end <= after.start


def test_a_failing_job_is_reported_with_its_log(site: Site) -> None:
    broken = site.folder / "benchmark" / "stages" / "train.py"
    broken.write_text(
        "from benchmark.core.errors import BenchmarkError\nraise BenchmarkError('no such luck')\n"
    )
    target = site.run.weights("DDPM-linear").relative_to(site.folder)
    out = end(site.folder, site.submit("--retries", "0", str(target)))
    assert not out.startswith("status 0\n")
    assert "Error in rule train:" in out
    assert "results/smoke/logs/train/DDPM-linear.log" in out
    assert re.search(r"slurm_logs/rule_train/DDPM-linear/\d+\.log", out)
    assert "error: no such luck" in out
