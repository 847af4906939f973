"""The workflow itself: a real small run, and what is run again when something changes."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from benchmark.config import load
from benchmark.paths import Run
from benchmark.records import read_records

PROJECT = Path(__file__).parents[2]
PARTS = ("Snakefile", "workflow", "benchmark", "config", "environment.yml", "uv.lock")
FIGURES = {"tables", "plots", "site"}
OF_CONTROLS = {"controls", "features", "evaluate_controls", "retrieve_controls"} | FIGURES
MEASURED = {"evaluate", "evaluate_controls"} | FIGURES
SMOKE = Path(__file__).parent / "smoke.yaml"
FAMILIES = Path(__file__).parent / "families.yaml"


def snakemake(
    folder: Path, *arguments: str, config: str = "smoke.yaml"
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "snakemake", "--configfile", config]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return subprocess.run(
        [*command, *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )


def lay_out(folder: Path) -> Path:
    """Copy the project, so that its modules can be edited."""
    for part in PARTS:
        source = PROJECT / part
        copy: Callable[[Path, Path], object] = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, folder / part)
    for config in (SMOKE, FAMILIES):
        shutil.copy(config, folder)
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which the smallest run is done."""
    folder = lay_out(tmp_path_factory.mktemp("project"))
    done = snakemake(folder, "--cores", "2", "--resources", "gpu=1")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def planned(folder: Path) -> set[str]:
    """The rules that a dry run would run."""
    dry = snakemake(folder, "--dry-run")
    assert dry.returncode == 0, dry.stdout + dry.stderr
    if "Job stats" not in dry.stdout + dry.stderr:
        return set()
    text = (dry.stdout + dry.stderr).split("Job stats:")[1].split("total")[0]
    return {line.split()[0] for line in text.splitlines()[3:] if line.strip()} - {"all"}


def test_every_cell_has_its_records_tables_and_pictures(project: Path) -> None:
    run, config = Run(project / "results" / "smoke"), load(SMOKE)
    found = {(record.kind, record.id) for record in read_records(run.root)}
    for cell in config.cells:
        assert {("sample", cell.id), ("metrics", cell.id), ("retrieval", cell.id)} <= found
        assert run.grid(cell.id).stat().st_size > 0
        assert run.chain(cell.id).stat().st_size > 0
        assert run.movie(cell.id).stat().st_size > 0
        assert run.neighbours(cell.id).stat().st_size > 0
    assert {("train", name) for name in config.trainings} <= found
    assert {("controls", "controls-tiny"), ("data", "tiny")} <= found
    for control in ("held-out", "noise", "blur", "dropped-mode", "copies"):
        assert {(kind, f"{control}-tiny") for kind in ("metrics", "retrieval")} <= found
        assert run.neighbours(f"{control}-tiny").stat().st_size > 0
    for table in ("trained", "neighbours", "stages", "verdicts", "findings"):
        assert all(path.stat().st_size > 0 for path in run.tables(table))
    assert run.site.stat().st_size > 0


def test_what_is_done_is_not_done_again(project: Path) -> None:
    again = snakemake(project, "--cores", "2", "--resources", "gpu=1")
    assert again.returncode == 0
    assert "Nothing to be done" in again.stdout + again.stderr


def test_every_family_is_trained_and_ready_weights_are_sampled_as_if_trained_here(
    project: Path,
) -> None:
    done = snakemake(project, "--cores", "2", "--resources", "gpu=1", config=FAMILIES.name)
    assert done.returncode == 0, done.stdout + done.stderr
    run, smoke = Run(project / "results" / "families"), Run(project / "results" / "smoke")
    ready, trained = "ready-linear-ddim-5-s0", "DDIM-linear-ddim-5-s0"
    records = {r.id: r for r in read_records(run.root) if r.kind == "sample"}
    evaluations = {name: r.timing.network_evaluations for name, r in records.items() if r.timing}
    assert evaluations == {
        "NCSN-geometric-annealed-langevin-10-s0": 10,
        "SDE-ve-predictor-corrector-5-s0": 10,
        ready: 5,
    }
    weights = smoke.weights("DDPM-linear")
    checkpoint = records[ready].checkpoint
    assert checkpoint is not None
    assert checkpoint.sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()
    text = run.tables("families")[1].read_text()
    assert f"Weights of ready: {weights.name}, SHA-256 {checkpoint.sha256[:12]}." in text
    assert "pretrained" in run.tables("families")[0].read_text()
    # trained by another name, as every pair is trained by itself: other images, of the same kind
    assert np.load(run.samples(ready)).shape == np.load(smoke.samples(trained)).shape
    weights.write_bytes(weights.read_bytes())  # the same content: nothing to be done
    again = snakemake(project, "--cores", "2", config=FAMILIES.name)
    assert "Nothing to be done" in again.stdout + again.stderr


def test_touching_the_sources_reruns_nothing(project: Path) -> None:
    for file in (project / "benchmark").rglob("*.py"):
        file.touch()
    assert planned(project) == set()


@pytest.mark.parametrize(
    ("module", "rules"),
    [
        ("metrics/kernel.py", MEASURED),
        ("tables.py", {"tables", "site"}),
        ("comparison.py", {"tables", "site"}),
        ("templates/site.css", {"site"}),
        ("retrieve.py", {"retrieve", "retrieve_controls"} | FIGURES),
        ("controls.py", OF_CONTROLS),
    ],
)
def test_editing_a_module_reruns_its_stage_and_what_follows(
    project: Path, module: str, rules: set[str]
) -> None:
    file = project / "benchmark" / module
    before = file.read_text()
    file.write_text(before + "\n# edited\n")
    try:
        assert planned(project) == rules
    finally:
        file.write_text(before)
    assert planned(project) == set()


@pytest.mark.parametrize(
    ("path", "value", "rules"),
    [
        (("evaluation", "metrics"), {"fd": {"kind": "frechet"}}, MEASURED),
        (("evaluation", "sizes"), [], MEASURED),
        (("evaluation", "controls"), ["noise"], OF_CONTROLS),
        (("device",), "auto", set()),
        (("grid", 0, "table"), "renamed", {"evaluate"} | FIGURES),
        (
            ("models", "DDIM", "clip"),
            False,
            {"sample", "features", "evaluate", "retrieve"} | FIGURES,
        ),
    ],
)
def test_changing_the_config_reruns_what_depends_on_it(
    project: Path, path: tuple[str | int, ...], value: object, rules: set[str]
) -> None:
    content = yaml.safe_load(SMOKE.read_text())
    at = content
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    (project / "smoke.yaml").write_text(yaml.safe_dump(content))
    try:
        found = planned(project)
    finally:
        shutil.copy(SMOKE, project / "smoke.yaml")
    assert found == rules


def test_tables_are_made_again_byte_for_byte_from_the_records_alone(
    project: Path, tmp_path: Path
) -> None:
    run = Run(project / "results" / "smoke")
    copy = tmp_path / "elsewhere" / "smoke"
    shutil.copytree(run.root / "records", copy / "records")
    subprocess.run([sys.executable, "-m", "benchmark", "tables", str(copy)], check=True)
    for table in ("trained", "neighbours", "stages", "verdicts", "findings"):
        for original, again in zip(run.tables(table), Run(copy).tables(table), strict=True):
            assert original.read_bytes() == again.read_bytes()


def test_the_workflow_passes_its_lint_and_makes_its_report(project: Path) -> None:
    lint = snakemake(project, "--lint")
    assert lint.returncode == 0, lint.stderr
    report = snakemake(project, "--report", "report.html")
    assert report.returncode == 0, report.stderr
    assert (project / "report.html").stat().st_size > 100_000


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--config", "device=gpu"], "device: "),
        (["--config", "sampling_batsh=3"], "did you mean 'sampling_batch'"),
    ],
)
def test_a_wrong_config_is_one_line_before_any_job_starts(
    project: Path, arguments: list[str], expected: str
) -> None:
    wrong = snakemake(project, "--cores", "2", *arguments)
    assert wrong.returncode != 0
    lines = [line for line in wrong.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert expected in lines[0]
    assert "Traceback" not in wrong.stderr


def test_a_results_folder_that_cannot_be_written_is_refused_before_any_job(tmp_path: Path) -> None:
    folder = lay_out(tmp_path)
    (folder / "results").write_text("a file where the folder should be")
    wrong = snakemake(folder, "--cores", "2")
    assert wrong.returncode != 0
    assert "results is not a writable folder" in wrong.stderr
    assert (folder / "results").read_text() == "a file where the folder should be"


def test_lost_weights_are_made_again_with_the_same_bits(tmp_path: Path) -> None:
    folder = lay_out(tmp_path)
    first = snakemake(folder, "--cores", "2", "--until", "train")
    assert first.returncode == 0, first.stderr
    weights = {p.name: p.read_bytes() for p in (folder / "results/smoke/models").iterdir()}
    assert len(weights) == 4
    (folder / "results/smoke/models/DDPM-linear.safetensors").unlink()
    again = snakemake(folder, "--cores", "2", "--until", "train")
    assert again.returncode == 0, again.stderr
    after = {p.name: p.read_bytes() for p in (folder / "results/smoke/models").iterdir()}
    assert after == weights
