"""Several processes that use one file, one cache and one checkout at the same time."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from harness import (
    CELLS,
    CONFIG,
    PROJECT,
    SMOKE,
    TRAININGS,
    command,
    copy_run,
    digests,
    outcome,
    unfinished,
)

from benchmark.records.record import read_record
from benchmark.storage.paths import Run


def together(*commands: list[str]) -> list[str]:
    """Run commands at once; all must end well. Return what they said on stderr."""
    jobs = [
        subprocess.Popen(line, cwd=PROJECT, stderr=subprocess.PIPE, text=True) for line in commands
    ]
    said = [job.communicate()[1] for job in jobs]
    assert [job.returncode for job in jobs] == [0] * len(jobs), said
    return said


@pytest.mark.slow
@pytest.mark.faults(
    "two processes that do one job",
    "prepare, train, sample, evaluate, retrieve, tables",
    "both end well; each file is whole and the same as of one",
)
@pytest.mark.parametrize(
    ("verb", "name"),
    [
        ("prepare", "tiny"),
        ("train", TRAININGS[0]),
        ("sample", CELLS[0]),
        ("evaluate", CELLS[0]),
        ("retrieve", CELLS[0]),
        ("tables", ""),
    ],
)
def test_two_processes_at_one_cell_both_end_well(
    verb: str, name: str, undisturbed: Path, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    run = copy_run(undisturbed, results)
    together(*[command(results, verb, name)] * 4)
    assert outcome(results) == outcome(undisturbed)
    assert unfinished(results) == []
    for path in run.root.glob("records/*/*.json"):
        read_record(path)


@pytest.mark.slow
@pytest.mark.faults(
    "two processes at one entry of a cache",
    "features of a data set",
    "one computes, the other waits and takes what is kept",
)
def test_an_entry_of_the_cache_is_made_once(undisturbed: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    copy_run(undisturbed, results)
    for kept in (results / ".cache" / "features").iterdir():
        kept.unlink()
    other = tmp_path / "other.yaml"
    other.write_text(SMOKE.read_text().replace("run: smoke", "run: other"))
    (results / "other").symlink_to(tmp_path / "other-run")
    copy_run(undisturbed, tmp_path / "other-results")
    (tmp_path / "other-results" / CONFIG.run).rename(tmp_path / "other-run")
    line = [sys.executable, "-m", "benchmark", "features", str(other), "tiny"]
    together(command(results, "features", "tiny"), [*line, "--results", str(results)])
    runs = [Run(results / name) for name in (CONFIG.run, "other")]
    records = [read_record(run.record("features", "tiny")) for run in runs]
    assert sorted(record.embedding.from_cache for record in records) == [False, True]
    assert outcome(results) == outcome(undisturbed)
    one, two = (digests(run.root / "features") for run in runs)
    assert one == two


WRITER = """
import sys
from pathlib import Path
from benchmark.storage.atomic import write_bytes
for _ in range(200):
    write_bytes(Path(sys.argv[1]), sys.argv[2].encode() * 100_000)
"""


@pytest.mark.slow
@pytest.mark.faults(
    "two processes that write one file again and again",
    "every file of a run",
    "a reader always finds the whole of one; neither takes the other's for a leftover",
)
def test_a_file_that_two_processes_write_is_always_whole(tmp_path: Path) -> None:
    target = tmp_path / "record.json"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(target), letter], cwd=PROJECT)
        for letter in "ab"
    ]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        if target.exists():
            content = target.read_bytes()
            assert len(content) == 100_000
            seen.add(bytes(set(content)))
    assert [writer.returncode for writer in writers] == [0, 0]
    assert seen <= {b"a", b"b"}
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


def snakemake(folder: Path, *arguments: str) -> list[str]:
    common = ["--configfile", str(SMOKE), "--cores", "1", "--directory", str(folder)]
    return [sys.executable, "-m", "snakemake", *common, *arguments]


@pytest.mark.slow
@pytest.mark.faults(
    "SIGKILL of the whole workflow with its jobs",
    "Snakemake, while networks are trained and sampled",
    "after --unlock the same command ends as an undisturbed run",
)
@pytest.mark.usefixtures("cold")
def test_a_killed_workflow_ends_as_an_undisturbed_one(undisturbed: Path, tmp_path: Path) -> None:
    run = Run(tmp_path / "results" / CONFIG.run)
    line = snakemake(tmp_path, "--rerun-incomplete")
    first = psutil.Popen(line, cwd=PROJECT, stderr=subprocess.DEVNULL)
    while not list(run.root.glob("models/*.safetensors")):
        assert first.poll() is None
        time.sleep(0.1)
    jobs = [first, *first.children(recursive=True)]
    for job in jobs:
        with contextlib.suppress(psutil.NoSuchProcess):
            job.send_signal(signal.SIGKILL)
    first.wait()
    psutil.wait_procs(jobs[1:], timeout=60)
    subprocess.run([*line, "--unlock"], cwd=PROJECT, check=True, capture_output=True)
    again = subprocess.run(line, cwd=PROJECT, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert outcome(tmp_path / "results") == outcome(undisturbed)
    assert unfinished(run.root) == []


@pytest.mark.slow
@pytest.mark.faults(
    "two runs at once in one checkout",
    "Snakemake, from the same data with one cache",
    "neither disturbs the other; what both can use is made once",
)
@pytest.mark.usefixtures("cold")
def test_two_runs_at_once_do_not_disturb_each_other(undisturbed: Path, tmp_path: Path) -> None:
    names = ("one", "two")
    goals = [Run(Path("results") / name).record("features", "tiny") for name in names]
    together(
        *(
            snakemake(tmp_path, "--config", f"run={name}", "--", str(goal))
            for name, goal in zip(names, goals, strict=True)
        )
    )
    records = [read_record(tmp_path / goal) for goal in goals]
    assert sorted(record.embedding.from_cache for record in records) == [False, True]
    expected = digests(undisturbed / CONFIG.run / "features")
    for name in names:
        found = digests(tmp_path / "results" / name / "features")
        assert found.items() <= expected.items()
        assert found
