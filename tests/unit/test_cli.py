"""The command line: every verb helps, mistakes are one line, and reading records needs no torch."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import forks
import pytest
import yaml

from benchmark.config.loading import load_config, parse_config, resolved
from benchmark.report.bundle import pack
from benchmark.storage.paths import Run

PROJECT = Path(__file__).parents[2]
SMOKE = PROJECT / "tests" / "workflow" / "smoke.yaml"
GOLDEN = PROJECT / "tests" / "golden" / "run"
STAGES = {
    "prepare": "tiny",
    "train": "DDPM-linear",
    "sample": "DDPM-linear-ddpm-10-s0",
    "controls": "tiny",
    "features": "controls-tiny",
    "evaluate": "controls-tiny",
    "retrieve": "held-out-tiny",
    "merge": "DDPM-linear-ddpm-10-s0",
}


def benchmark(*arguments: str | Path, cwd: Path = PROJECT) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    return forks.run(forks.BENCHMARK, "benchmark", arguments, cwd, environment)


VERBS = [
    *("config", "schema", "tables", "plots", "bundle", "compare", "estimate", "export", "score"),
    *("reference", "speed", "answers", "why"),
    *STAGES,
]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_helps_with_an_example(verb: str) -> None:
    helped = benchmark(verb, "--help")
    assert helped.returncode == 0
    assert f"python -m benchmark {verb}" in " ".join(helped.stdout.split())


@pytest.mark.parametrize("part", ["sampling", "training", "metrics"])
def test_every_part_of_speed_helps_and_takes_its_options_behind_it(part: str) -> None:
    helped = benchmark("speed", part, "--help")
    assert f"python -m benchmark speed {part}" in " ".join(helped.stdout.split())
    wrong = benchmark("speed", "--quick", part)
    assert wrong.returncode == 2
    assert wrong.stderr == f"error: speed: options belong behind {part}: speed {part} --quick\n"


@pytest.mark.parametrize(("verb", "name"), STAGES.items())
def test_a_dry_run_prints_the_resolved_config_and_writes_nothing(
    tmp_path: Path, verb: str, name: str
) -> None:
    results = tmp_path / "results"
    dry = benchmark(verb, SMOKE, name, "--results", results, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert resolved(parse_config(yaml.safe_load(dry.stdout))) == resolved(load_config(SMOKE))
    assert not results.exists()


@pytest.mark.parametrize("verb", STAGES)
def test_an_unknown_name_is_one_line_and_status_2(tmp_path: Path, verb: str) -> None:
    wrong = benchmark(verb, SMOKE, "nothing", "--results", tmp_path)
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("error: no ")
    assert wrong.stderr.count("\n") == 1
    assert wrong.stdout == ""


@pytest.mark.parametrize(
    ("verb", "name"), [("features", "held-out-tiny"), ("evaluate", "tiny"), ("retrieve", "tiny")]
)
def test_a_name_that_another_verb_takes_is_refused(verb: str, name: str) -> None:
    wrong = benchmark(verb, SMOKE, name, "--dry-run")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith(("error: no cell, ", "error: no cell or "))


def test_a_run_without_records_is_one_line_and_status_2(tmp_path: Path) -> None:
    for folder, expected in ((tmp_path / "none", "no such run"), (tmp_path, "no records")):
        wrong = benchmark("tables", folder)
        assert wrong.returncode == 2
        assert expected in wrong.stderr
        assert wrong.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["tables", "run"],
        ["plots", "run"],
        ["config", str(SMOKE)],
        ["bundle", "run"],
        ["compare", "run", "sent.zip"],
        ["tables", "sent.zip", "--output", "seen"],
        ["plots", "sent.zip"],
    ],
)
def test_help_config_and_what_reads_a_run_import_no_torch(
    tmp_path: Path, arguments: list[str]
) -> None:
    records = tmp_path / "run" / "records"
    records.mkdir(parents=True)
    few = ("data", "train")  # of these, two plots are drawn
    for folder in (GOLDEN / "records").iterdir():
        if arguments[0] != "plots" or folder.name in few:
            (records / folder.name).symlink_to(folder)
    pack(tmp_path / "run", tmp_path / "sent.zip")
    # -X importtime names every module on stderr
    command = [sys.executable, "-X", "importtime", "-m", "benchmark", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-500:]
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "typer" in imported
    assert not {"torch", "diffusers", "torchvision"} & imported


def test_the_status_says_how_runs_compare(tmp_path: Path) -> None:
    old, new = (Path(shutil.copytree(GOLDEN, tmp_path / name)) for name in ("old", "new"))
    cell = Run(new).record("metrics", "ddim-linear-ddim-50-s0")
    assert benchmark("compare", old, new).returncode == 0
    cell.write_text(cell.read_text().replace('"n_fake": 64', '"n_fake": 32'))
    other_n = benchmark("compare", old, new, "--format", "md")
    assert other_n.returncode == 2
    assert "n\\_fake: 64 against 32" in other_n.stdout
    assert benchmark("compare", old, new, "--metric", "time").returncode == 0
    cell = Run(new).record("metrics", "ddim-cosine-ddim-50-s0")
    worse = json.loads(cell.read_text())
    worse["values"]["fd"] = {"value": 200, "low": 190, "high": 210}
    cell.write_text(json.dumps(worse))
    found = benchmark("compare", old, new, "--only-changed")
    assert (found.returncode, found.stderr) == (1, "")
    assert "cosine" in found.stdout
    assert not any(line.rstrip().endswith(" same") for line in found.stdout.splitlines())
    assert benchmark("compare", old, new, "--exit-zero").returncode == 0
    tolerant = benchmark("compare", old, new, "--metric", "kid,time", "--threshold", "kid=1")
    assert tolerant.returncode == 2  # of another n


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([GOLDEN, GOLDEN], "the same run as"),
        ([GOLDEN], "give two or more"),
        ([GOLDEN, PROJECT / "LICENSE"], "broken bundle"),
        ([GOLDEN, PROJECT], "no run"),
        ([GOLDEN, "."], "no run"),
    ],
)
def test_runs_that_cannot_be_compared_are_one_line_and_status_2(
    tmp_path: Path, arguments: list[str | Path], expected: str
) -> None:
    wrong = benchmark("compare", *arguments, "--exit-zero", cwd=tmp_path)
    assert wrong.returncode == 2
    assert expected in wrong.stderr
    assert wrong.stderr.count("\n") == 1
    assert wrong.stdout == ""


def test_the_commands_of_the_guide_to_comparing_run(tmp_path: Path) -> None:
    for name in ("before", "after"):
        shutil.copytree(GOLDEN, tmp_path / "results" / name)
    text = (PROJECT / "docs" / "comparing.md").read_text()
    lines = re.findall(r"^    python -m benchmark (.*)$", text, re.MULTILINE)
    assert len(lines) == 4
    for line in lines:
        done = benchmark(*shlex.split(line), cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, ""), line
    assert (tmp_path / "seen" / "tables" / "trained.md").is_file()


def test_the_committed_schema_is_that_of_the_config() -> None:
    printed = benchmark("schema")
    assert printed.returncode == 0
    assert json.loads(printed.stdout) == json.loads((PROJECT / "config/schema.json").read_text()), (
        "write it again: python -m benchmark schema > config/schema.json"
    )


@pytest.mark.parametrize("file", sorted((PROJECT / "config").glob("*.yaml")))
def test_every_committed_config_is_valid(file: Path) -> None:
    assert load_config(file).cells
