"""The workflow itself: a real small run, and what is run again when something changes."""

from __future__ import annotations

import csv
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import checkout
import forks
import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from PIL import Image

from benchmark.config.loading import load_config
from benchmark.core.errors import BenchmarkError
from benchmark.records.record import Record, read_records
from benchmark.report.bundle import pack
from benchmark.runtime.stopping import EXIT_RUN_AGAIN
from benchmark.storage.paths import Run

FIGURES = {"tables", "plots", "site"}
OF_CONTROLS = {"controls", "features", "evaluate_controls", "retrieve_controls"} | FIGURES
EVERYTHING = OF_CONTROLS | {"prepare", "train", "sample", "evaluate", "retrieve"}
MEASURED = {"evaluate", "evaluate_controls"} | FIGURES
SMOKE = Path(__file__).parent / "smoke.yaml"
FAMILIES = Path(__file__).parent / "families.yaml"
READY = Path(__file__).parent / "ready.yaml"


def snakemake(
    folder: Path, *arguments: str, config: str = "smoke.yaml", target: str = "all"
) -> subprocess.CompletedProcess[str]:
    options = (target, "--configfile", config, *arguments)
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return forks.run(forks.SNAKEMAKE, "snakemake", options, folder, environment)


def lay_out(folder: Path) -> Path:
    """Copy the project and the configs of these tests."""
    checkout.lay_out(folder)
    for config in (SMOKE, FAMILIES, READY):
        shutil.copy(config, folder)
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which the smallest run is done."""
    folder = lay_out(tmp_path_factory.mktemp("project"))
    done = snakemake(folder, "--cores", "2", "--resources", "gpu=1")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def planned(
    folder: Path, *arguments: str, target: str = "all", config: str = SMOKE.name
) -> set[str]:
    """The rules that a dry run would run."""
    dry = snakemake(folder, "--dry-run", *arguments, target=target, config=config)
    assert dry.returncode == 0, dry.stdout + dry.stderr
    if "Job stats" not in dry.stdout + dry.stderr:
        return set()
    text = (dry.stdout + dry.stderr).split("Job stats:")[1].split("total")[0]
    return {line.split()[0] for line in text.splitlines()[3:] if line.strip()} - {"all", "compare"}


def test_every_cell_has_its_records_tables_and_pictures(project: Path) -> None:
    run, config = Run(project / "results" / "smoke"), load_config(SMOKE)
    found = {(record.kind, record.id) for record in read_records(run.root)}
    for cell in config.cells:
        assert {("sample", cell.id), ("metrics", cell.id), ("retrieval", cell.id)} <= found
        assert run.grid(cell.id).stat().st_size > 0
        assert run.chain(cell.id).stat().st_size > 0
        assert run.movie(cell.id).stat().st_size > 0
        assert run.neighbours(cell.id).stat().st_size > 0
    assert {("train", name) for name in config.trainings} <= found
    assert {("controls", "controls-tiny"), ("data", "tiny")} <= found
    for control in ("held-out", "noise", "blur", "faint-noise", "dropped-mode", "copies"):
        assert {(kind, f"{control}-tiny") for kind in ("metrics", "retrieval")} <= found
        assert run.neighbours(f"{control}-tiny").stat().st_size > 0
    for table in ("trained", "neighbours", "stages", "verdicts", "findings", "summary"):
        assert all(path.stat().st_size > 0 for path in run.tables(table))
    assert run.site.stat().st_size > 0


def test_a_sweep_of_samplers_has_the_table_of_the_best(project: Path) -> None:
    dry = snakemake(project, "--dry-run", config="config/samplers.yaml")
    assert dry.returncode == 0, dry.stdout + dry.stderr
    assert "results/samplers/tables/best-by-budget.md" in dry.stdout + dry.stderr


def test_what_is_done_is_not_done_again(project: Path) -> None:
    again = snakemake(project, "--cores", "2", "--resources", "gpu=1")
    assert again.returncode == 0
    assert "Nothing to be done" in again.stdout + again.stderr


def test_every_family_is_trained_and_ready_weights_are_sampled_as_if_trained_here(
    project: Path,
) -> None:
    made_elsewhere = np.load(Run(project / "results" / "smoke").images("tiny"))[-8:]
    (project / "elsewhere").mkdir()
    for number, image in enumerate(made_elsewhere):
        Image.fromarray(image).save(project / "elsewhere" / f"{number}.png")
    done = snakemake(project, "--cores", "2", "--resources", "gpu=1", config=FAMILIES.name)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("The page of the run: results/families/report/index.html\n")
    assert "has the lowest FD-EffNetLite0 of" in " ".join(done.stdout.split())
    run, smoke = Run(project / "results" / "families"), Run(project / "results" / "smoke")
    ready, trained = "ready-linear-ddim-5-s0", "DDIM-linear-ddim-5-s0"
    records = {r.id: r for r in read_records(run.root) if r.kind == "sample"}
    check_gathered(run, records["other-s0"], made_elsewhere)
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


def check_gathered(run: Run, record: Record, made_elsewhere: NDArray[np.uint8]) -> None:
    """Images of a folder are judged pixel for pixel, in every table and picture but for times."""
    judged = {image.tobytes() for image in np.load(run.samples(record.id))}
    assert len(judged) == 6
    assert judged < {image.tobytes() for image in made_elsewhere}
    assert record.timing is None
    tables = [run.tables(name)[0].read_text() for name in ("families", "neighbours")]
    table, neighbours = (list(csv.DictReader(text.splitlines())) for text in tables)
    rows = {row["cell"]: row for row in table}
    assert float(rows["other-s0"]["FD-EffNetLite0"]) > 0
    assert float(rows["other-s0"]["over_seeds"]) == float(rows["other-s1"]["over_seeds"])
    assert rows["other-s0"]["sample_seconds"] == rows["other-s0"]["sampler"] == ""
    assert {"other-s0", "other-s1"} < {row["cell"] for row in neighbours}
    assert run.neighbours(record.id).stat().st_size > 0
    caption = run.tables("families")[1].read_text()
    assert "other (seed 0): 6 of the 8 images in elsewhere, made elsewhere." in caption


def test_a_changed_image_of_a_folder_is_noticed_and_nothing_else(project: Path) -> None:
    image = project / "elsewhere" / "0.png"
    image.touch()
    (image.parent / "README.md").write_text("no image")
    (image.parent / ".DS_Store").write_bytes(b"no image")
    assert planned(project, config=FAMILIES.name) == set()
    Image.fromarray(255 - np.asarray(Image.open(image))).save(image)
    assert planned(project, config=FAMILIES.name) == {
        "gather",
        "features",
        "evaluate",
        "retrieve",
        "tables",
        "plots",
        "site",
    }


@pytest.mark.slow
def test_ready_weights_alone_go_through_every_stage(tmp_path: Path) -> None:
    folder = lay_out(tmp_path)
    done = snakemake(folder, "--cores", "2", "--resources", "gpu=1", config=READY.name)
    assert done.returncode == 0, done.stdout + done.stderr
    run, config = Run(folder / "results" / "ready"), load_config(READY)
    records = read_records(run.root)
    assert {r.kind for r in records} == {"data", "sample", "features", "metrics", "retrieval"}
    samples = {r.id: r for r in records if r.kind == "sample"}
    assert samples.keys() == {cell.id for cell in config.cells}
    for cell in config.cells:
        found = samples[cell.id]
        assert found.checkpoint is not None
        assert found.checkpoint.schedule == found.spec["schedule"]
        assert found.cell is not None
        assert found.cell.weights == "pretrained"
        assert np.load(run.samples(cell.id)).shape == (6, 32, 32, 3)
    text = run.tables("pretrained")[1].read_text()
    assert all(f"Weights of {name}: avatars-" in text for name in config.models)
    assert not list(run.root.glob("models/*"))
    assert not run.plot("loss-curves").exists()
    again = snakemake(folder, "--cores", "2", config=READY.name)
    assert "Nothing to be done" in again.stdout + again.stderr


GENERATOR = {
    "networks": {"net": {"kind": "dcgan", "latent": 8, "channels": [8, 16], "patch": 2}},
    "training": {"short": {"steps": 4, "batch": 8, "warmup": 2, "log_every": 2, "clip": None}},
    "models": {"GAN": {"family": "GAN", "data": "tiny", "network": "net", "training": "short"}},
    "grid": [
        {
            "table": "trained",
            "model": "GAN",
            "schedule": "latent",
            "sampler": "generator",
            "steps": 1,
            "samples": 8,
        }
    ],
}
QUESTIONS = {
    "grid": [
        {
            "table": "questions",
            "model": "DDIM",
            "schedule": "linear",
            "sampler": "ddim",
            "steps": 5,
            "samples": 8,
            "evaluate_every": 6,
            "weights": ["averaged", "raw"],
            "task": {"kind": "inpaint", "mask": "box", "answers": 1, "method": "replacement"},
        }
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "missing"),
    [(GENERATOR, "denoising-loss"), (QUESTIONS, "distance-against-training")],
    ids=["generators alone", "answers alone"],
)
def test_a_plot_of_what_a_run_does_not_have_is_not_asked_for(
    tmp_path: Path, content: dict[str, object], missing: str
) -> None:
    folder = lay_out(tmp_path)
    odd = yaml.safe_load(SMOKE.read_text()) | content | {"run": "odd"}
    odd["evaluation"]["neighbours"] = 0
    (folder / "odd.yaml").write_text(yaml.safe_dump(odd))
    done = snakemake(folder, "--cores", "2", "--resources", "gpu=1", config="odd.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    run = Run(folder / "results" / "odd")
    assert not run.plot(missing).exists()
    assert run.plot("loss-curves").exists()


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ({"kind": "zoo", "name": "avatars-dppm"}, "no 'avatars-dppm' in the zoo: did you mean"),
        ({"kind": "own", "path": "none.safetensors"}, "none.safetensors: no such file"),
    ],
)
def test_wrong_weights_are_one_line_before_any_job_is_planned(
    project: Path, weights: dict[str, str], expected: str
) -> None:
    content = yaml.safe_load(READY.read_text())
    content["models"]["DDIM"]["weights"] = weights
    (project / "wrong.yaml").write_text(yaml.safe_dump(content))
    wrong = snakemake(project, "--dry-run", config="wrong.yaml")
    assert wrong.returncode != 0
    lines = [line for line in wrong.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert f"wrong.yaml: models.DDIM.weights: {expected}" in lines[0]
    assert "Traceback" not in wrong.stderr


def test_a_run_without_neighbours_retrieves_nothing(project: Path) -> None:
    content = yaml.safe_load(SMOKE.read_text())
    content["run"] = "alone"
    content["evaluation"]["neighbours"] = 0
    (project / "alone.yaml").write_text(yaml.safe_dump(content))
    assert planned(project, config="alone.yaml") == EVERYTHING - {"retrieve", "retrieve_controls"}
    with pytest.raises(BenchmarkError, match=r"^evaluation\.neighbours: 0 neighbours are not retr"):
        load_config(project / "alone.yaml").job("retrieve", "DDIM-linear-ddim-5-s0")


def test_a_file_that_a_run_needs_is_asked_for_by_the_run_and_not_by_its_plan(
    project: Path,
) -> None:
    content = yaml.safe_load(READY.read_text())
    content["models"]["NCSN"]["weights"] = {"kind": "ncsn", "path": "missing.pth"}
    (project / "later.yaml").write_text(yaml.safe_dump(content))
    needed = "models.NCSN.weights.path: no such file missing.pth: put it there before a run"
    planned = snakemake(project, "--dry-run", config="later.yaml")
    assert planned.returncode == 0, planned.stderr
    assert f"warning: {needed}" in planned.stderr
    refused = snakemake(project, "--cores", "2", config="later.yaml")
    assert refused.returncode != 0
    assert f"error: {needed}" in refused.stderr.splitlines()
    assert "Traceback" not in refused.stderr
    assert not (project / "results" / "ready").exists()


def test_touching_and_commenting_the_sources_reruns_nothing(project: Path) -> None:
    for file in (project / "benchmark").rglob("*.py"):
        file.write_text(file.read_text() + "\n# a comment\n")
    (project / "benchmark" / "diffusion" / "samplers" / "new.py").write_text("NEW = 1\n")
    (project / "benchmark" / "data" / ".base.py.swp").write_bytes(b"an editor's")
    (project / "benchmark" / "data" / "README").write_text("a note")
    assert planned(project) == set()


@pytest.mark.parametrize(
    ("module", "rules"),
    [
        ("metrics/kernel.py", MEASURED),
        ("runtime/device.py", EVERYTHING - {"prepare", "controls"}),
        ("records/record.py", EVERYTHING),
        ("report/plots.py", {"plots"}),
        ("report/pareto.py", FIGURES),
        ("models/modules/refinenet.py", set()),
        ("report/tables.py", {"tables", "site"}),
        ("report/letters.py", {"tables", "site"}),
        ("report/templates/site.css", {"site"}),
        ("stages/retrieve.py", {"retrieve", "retrieve_controls"} | FIGURES),
        ("stages/controls.py", OF_CONTROLS),
        ("data/controls/blur.py", OF_CONTROLS),
        ("extractors/dinov2_vitl14.py", set()),
    ],
)
def test_editing_a_module_reruns_its_stage_and_what_follows(
    project: Path, module: str, rules: set[str]
) -> None:
    file = project / "benchmark" / module
    before = file.read_text()
    added = "/* edited */" if file.suffix == ".css" else "EDITED = 1"
    file.write_text(f"{before}\n{added}\n")
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


def test_a_run_is_compared_with_another_one_or_its_bundle(project: Path, tmp_path: Path) -> None:
    run, old = Run(project / "results" / "smoke"), Run(tmp_path / "old")
    shutil.copytree(run.root, old.root)
    slower = old.record("sample", "DDIM-linear-ddim-5-s0")
    slower.write_text(
        slower.read_text().replace('"precision": "float32"', '"precision": "float16"')
    )
    against = ("--config", f"against={old.root}")
    assert planned(project, *against, target="compare") == {"comparison"}
    done = snakemake(project, "--cores", "2", *against, target="compare")
    assert done.returncode == 0, done.stdout + done.stderr
    text = run.comparison("md").read_text()
    assert text.startswith("## smoke against old\n")
    assert "precision: float16 against float32" in text
    assert "<h2>smoke against old</h2>" in run.comparison("html").read_text()
    assert planned(project, *against, target="compare") == set()
    assert planned(project, *against) == set()
    bundled = ("--config", f"against={pack(old.root)}")
    assert planned(project, *bundled, target="compare") == {"comparison"}


@pytest.mark.parametrize(
    ("against", "expected"),
    [
        ([], "with which run?"),
        (["--config", "against=results/none"], "no such run"),
        (["--config", "against=results/smoke"], "the same run"),
        (["--config", "against=workflow"], "no run"),
    ],
)
def test_a_wrong_other_run_is_one_line_before_any_job_starts(
    project: Path, against: list[str], expected: str
) -> None:
    wrong = snakemake(project, "--cores", "2", *against, target="compare")
    assert wrong.returncode != 0
    [line] = [line for line in wrong.stderr.splitlines() if line.startswith("error: ")]
    assert expected in line
    assert "Traceback" not in wrong.stderr


def test_the_workflow_passes_its_lint_and_makes_its_report(project: Path) -> None:
    lint = snakemake(project, "--lint")
    assert lint.returncode == 0, lint.stderr
    report = snakemake(project, "--report", "report.zip")
    assert report.returncode == 0, report.stderr
    with zipfile.ZipFile(project / "report.zip") as packed:
        kept = {Path(name).name for name in packed.namelist()}
        page = packed.read("report/report.html").decode()
    run = Run(project / "results" / "smoke")
    shown = [*run.root.glob("tables/*"), *run.root.glob("plots/*.png"), run.site]
    shown += [
        p for cell in load_config(SMOKE).cells for p in (run.grid(cell.id), run.neighbours(cell.id))
    ]
    assert {path.name for path in shown} <= kept
    for path in shown:
        assert str(path.relative_to(project)) in page
    for category in ("Tables", "Plots", "Samples", "Neighbours", "Page"):
        assert f'"{category}"' in page
    assert "most suspicious rows come first" in page  # of a caption


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


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("run: x".encode("utf-16"), "is written in UTF-16"),
        (b"", "is empty"),
        (b"run: [", "while parsing a flow node"),
    ],
)
def test_a_damaged_config_of_the_quickstart_is_one_line(
    tmp_path: Path, content: bytes, expected: str
) -> None:
    checkout.lay_out(tmp_path)
    (tmp_path / "config" / "config.yaml").write_bytes(content)
    options = ("--dry-run", "--cores", "1")
    found = forks.run(forks.SNAKEMAKE, "snakemake", options, tmp_path, os.environ)
    assert found.returncode != 0
    [line] = found.stderr.splitlines()
    assert line.startswith("error: config/config.yaml: ")
    assert expected in line


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


@pytest.mark.slow
def test_a_run_made_in_chunks_has_the_images_of_a_run_at_once(
    project: Path, tmp_path: Path
) -> None:
    folder = lay_out(tmp_path)
    command = [sys.executable, "-m", "benchmark", "reference", "--config", SMOKE.name, "--no-speed"]
    statuses = []
    minutes = 0.1  # too short for all on any machine, and longer each time, to get to the end
    while not statuses or statuses[-1] == EXIT_RUN_AGAIN:
        assert minutes < 10, statuses
        chunk = subprocess.run(
            [*command, "--minutes", str(minutes)], cwd=folder, capture_output=True
        )
        statuses.append(chunk.returncode)
        minutes *= 1.5
    assert statuses[0] == EXIT_RUN_AGAIN, "the first chunk is too short for all"
    assert statuses[-1] == 0
    for cell in load_config(SMOKE).cells:
        at_once, in_chunks = (
            np.load(Run(place / "results" / "smoke").samples(cell.id))
            for place in (project, folder)
        )
        np.testing.assert_array_equal(at_once, in_chunks)
    [kept] = (folder / "results" / "reference").glob("*/smoke/records")
    assert len(read_records(kept.parent)) == len(read_records(folder / "results" / "smoke"))
