"""Shards in the workflow: the same run as with one job a cell, and done once."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from test_workflow import SMOKE, lay_out, planned, snakemake

from benchmark.records.record import read_records

pytestmark = pytest.mark.slow
CELL = "DDPM-linear-ddpm-10-s0"
MADE = ("samples/*/*.npy", "samples/*/*.png", "features/*/*.npy")


def write(path: Path, run: str, shard: int | None, samples: int = 20) -> None:
    """Write the smoke config with one cell."""
    content = yaml.safe_load(SMOKE.read_text())
    [entry, _] = content["grid"]
    entry |= {"schedule": "linear", "samples": samples, "shard": shard}
    del content["models"]["DDIM"]
    path.write_text(yaml.safe_dump({**content, "run": run, "grid": [entry]}))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with the same run by one job a cell and in shards."""
    folder = lay_out(tmp_path_factory.mktemp("shards"))
    for run, shard in (("whole", None), ("parts", 5)):
        write(folder / f"{run}.yaml", run, shard)
        done = snakemake(folder, "--cores", "2", "--resources", "gpu=1", config=f"{run}.yaml")
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_a_run_in_shards_has_the_bytes_of_one_without(project: Path) -> None:
    whole, parts = (project / "results" / run for run in ("whole", "parts"))
    files = sorted(p.relative_to(whole) for pattern in MADE for p in whole.glob(pattern))
    assert len(files) == 2 + 3 + 3  # of the cell and the controls, pictures, and of the data
    for file in files:
        assert (whole / file).read_bytes() == (parts / file).read_bytes(), file


def test_a_run_in_shards_has_the_figures_of_one_without(project: Path) -> None:
    whole, parts = (
        {(r.kind, r.id): r for r in read_records(project / "results" / run)}
        for run in ("whole", "parts")
    )
    assert whole.keys() == parts.keys()
    for key, record in whole.items():
        assert record.spec_hash == parts[key].spec_hash
        if key[0] in ("metrics", "retrieval"):
            assert (record.values, record.sized) == (parts[key].values, parts[key].sized)
    jobs = {kind: parts[kind, CELL].jobs for kind in ("sample", "features")}
    assert {kind: len(found or []) for kind, found in jobs.items()} == {"sample": 5, "features": 4}


def test_shards_go_away_once_they_are_merged(project: Path) -> None:
    assert not list((project / "results" / "parts").glob("samples/*/shards/*/*"))


@pytest.mark.parametrize(("run", "shards"), [("whole", (5, 12)), ("parts", (None, 12, 100))])
def test_another_size_of_shards_makes_nothing_again(
    project: Path, run: str, shards: tuple[int | None, ...]
) -> None:
    config = project / f"{run}.yaml"
    for shard in shards:
        write(config, run, shard)
        assert planned(project, config=config.name) == set()


def test_a_cell_without_shards_has_the_jobs_that_it_always_had(project: Path) -> None:
    write(project / "new.yaml", "new", None)
    assert not {"sample_shard", "merge_samples", "features_shard", "merge_features"} & planned(
        project, config="new.yaml"
    )
    write(project / "new.yaml", "new", 20)  # as many as there are
    found = planned(project, config="new.yaml")
    assert "sample" in found
    assert not {"sample_shard", "merge_samples", "features_shard", "merge_features"} & found


def test_edited_code_makes_all_shards_again(project: Path) -> None:
    file = project / "benchmark" / "stages" / "sample.py"
    before = file.read_text()
    write(project / "parts.yaml", "parts", 5)
    file.write_text(before + "\nEDITED = 1\n")
    try:
        found = planned(project, config="parts.yaml")
    finally:
        file.write_text(before)
    assert {"sample_shard", "merge_samples", "features_shard", "merge_features"} <= found
    assert "train" not in found


def test_a_cell_that_gets_more_samples_draws_only_these(tmp_path: Path) -> None:
    folder = lay_out(tmp_path)
    for samples in (8, 14):
        write(folder / "more.yaml", "more", None, samples)
        target = f"results/more/records/sample/{CELL}.json"
        options = ("--cores", "2", "--resources", "gpu=1")
        done = snakemake(folder, *options, config="more.yaml", target=target)
        assert done.returncode == 0, done.stdout + done.stderr
    [record] = [r for r in read_records(folder / "results" / "more") if r.kind == "sample"]
    assert record.jobs is not None
    assert [job.images for job in record.jobs] == [(0, 6), (6, 14)]  # whole batches are kept
    log = folder / "results" / "more" / "logs" / "sample" / f"{CELL}.log"
    assert "6 of 14 images were drawn before" in log.read_text()
