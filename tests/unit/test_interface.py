"""The Python interface: what a run found as tables of pandas, samples, and scores."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from records_fixture import write_run

import benchmark as db
from benchmark.core.errors import BenchmarkError
from benchmark.report.bundle import pack
from benchmark.report.formats import Column, Table, frame_of
from benchmark.report.tables import write_tables
from benchmark.storage.arrays import write_blocks
from benchmark.storage.paths import REFERENCE, Run
from benchmark.tools.run_frames import ReadRun

CELL = "ddim-linear-ddim-50-s0"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with records, and with samples of one cell."""
    made = write_run(tmp_path / "quickstart")
    noise = np.random.default_rng(0).integers(0, 256, (64, 8, 8, 3)).astype(np.uint8)
    write_blocks(made.samples(CELL), [noise], noise.shape, np.uint8)
    Image.fromarray(noise[0]).save(made.grid(CELL))
    return made


def test_the_import_takes_nothing_with_it() -> None:
    code = (
        "import sys, benchmark; print({'torch', 'pandas', 'numpy', 'pydantic'} & {*sys.modules}); "
        "print(sorted({'read', 'sample', 'score'} & {*dir(benchmark)}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["set()", "['read', 'sample', 'score']"]


def test_a_name_that_is_not_there_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="'reads'"):
        db.reads  # noqa: B018


def test_tables_are_those_of_the_csv_with_real_types(run: Run) -> None:
    write_tables(run, REFERENCE)
    read = db.read(run.root)
    assert "trained" in read.tables
    for name in read.tables:
        written = pd.read_csv(run.tables(name)[0])
        found = read.table(name)
        assert list(found.columns) == list(written.columns)
        assert len(found) == len(written)
        for column in found.columns:
            as_written = written[column]
            if as_written.dtype.kind in "if":
                pd.testing.assert_series_equal(
                    found[column].astype("Float64"), as_written.astype("Float64"), rtol=1e-12
                )
    trained = read.table("trained")
    assert trained["steps"].dtype == "Int64"
    assert trained["FD-EffNetLite0_low"].dtype == "Float64"
    assert trained["sampler"].dtype == "string"


def test_cells_metrics_timings_and_verdicts(run: Run) -> None:
    read = db.read(str(run.root))
    assert isinstance(read, ReadRun)
    assert read.cells.loc[CELL, "steps"] == 50
    assert len(read.cells) == 10
    mine = read.metrics.query(f"subject == '{CELL}'").set_index(["metric", "n_fake"])
    record = next(r for r in read.records if (r.kind, r.id) == ("metrics", CELL))
    assert mine.loc[("fd", 64), "value"] == record.values["fd"].value
    assert mine.loc[("fd", 64), "low"] == record.values["fd"].low
    assert mine.loc[("fd", 16), "value"] == record.sized[16].value
    assert set(mine["label"].loc["fd"]) == {"FD-EffNetLite0"}
    assert set(read.metrics["kind"]) == {"cell", "control"}
    timed = read.timings.loc[CELL]
    assert timed["seconds_per_image_low"] <= timed["seconds_per_image"]
    assert timed["seconds_per_image"] * timed["images_per_second"] == pytest.approx(1)
    assert read.timings["started"].dt.tz is not None
    assert set(read.verdicts["verdict"]) <= {"reproduced", "contradicted", "cannot tell", "not run"}


def test_samples_and_pictures(run: Run, tmp_path: Path) -> None:
    read = db.read(run.root)
    assert read.samples(CELL).shape == (64, 8, 8, 3)
    assert read.show(CELL).size == (8, 8)
    assert "10 cells" in repr(read)
    bundle = db.read(pack(run.root, tmp_path / "sent.zip"))
    assert bundle.show(CELL).size == (8, 8)
    pd.testing.assert_frame_equal(bundle.metrics, read.metrics)
    with pytest.raises(BenchmarkError, match="a bundle has no samples: read the run folder"):
        bundle.samples(CELL)
    with pytest.raises(BenchmarkError, match="no cell 'ddim': "):
        read.samples("ddim")
    with pytest.raises(BenchmarkError, match=r"no samples/ddim-cosine-.*/grid\.png in it"):
        read.show("ddim-cosine-ddim-50-s0")
    with pytest.raises(BenchmarkError, match=r"no table 'trainde': did you mean 'trained'\?"):
        read.table("trainde")
    with pytest.raises(BenchmarkError, match="no such run"):
        db.read(tmp_path / "gone")


def test_samples_are_those_of_a_cell(tmp_path: Path) -> None:
    """What a run samples of the same weights with the same seed."""
    from stages import do

    from benchmark.config.loading import parse_config

    config = parse_config(
        {
            "run": "x",
            "sampling_batch": 4,
            "data": {"a": {"source": "avatars", "resolution": 32, "train": 8, "held_out": 4}},
            "models": {"F": {"family": "Flow", "data": "a", "weights": ZOO}},
            "schedules": {"flow": {"kind": "flow"}},
            "grid": [{"table": "t", "model": "F", "schedule": "flow", **WAY, "samples": 6}],
            "evaluation": {"metrics": {"fd": {"kind": "frechet"}}},
        }
    )
    run = Run(tmp_path / "x")
    [cell] = config.cells
    do("sample", config, cell.id, run, threads=1)
    drawn = db.sample("avatars-flow", n=6, batch=4, device="cpu", **WAY)
    assert np.abs(drawn.astype(int) - np.load(run.samples(cell.id))).max() <= 1
    assert (db.sample("avatars-flow", n=2, seed=1, device="cpu", **WAY) != drawn[:2]).any()


ZOO = {"kind": "zoo", "name": "avatars-flow"}
WAY = {"sampler": "heun", "steps": 3}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"weights": "avatar-flow"}, "avatar-flow"),
        ({"weights": "gone.safetensors"}, r"gone\.safetensors: "),
        ({"sampler": "huen"}, "did you mean 'heun'"),
        ({"sampler": "annealed-langevin"}, "annealed-langevin is not defined for flow"),
        ({"options": {"etta": 1}}, "options: unknown key 'etta'"),
        ({"n": 0}, "n: a number above 0 is needed, not 0"),
        ({"labels": [1]}, r"labels: avatars-flow\.safetensors knows no classes: leave it out"),
    ],
)
def test_what_cannot_be_sampled(
    changed: dict[str, object], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    arguments = {"weights": "avatars-flow", "n": 1, "device": "cpu", **WAY, **changed}
    with pytest.raises(BenchmarkError, match=expected) as caught:
        db.sample(**arguments)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_columns_have_their_types_whatever_they_hold(run: Run) -> None:
    read = db.read(run.root)
    assert read.cells["guidance"].isna().all()
    empty = ReadRun(run.root, [])
    for name in ("cells", "metrics", "timings", "losses"):
        found, none = getattr(read, name), getattr(empty, name)
        assert "object" not in set(map(str, found.dtypes))
        pd.testing.assert_series_equal(found.dtypes, none.dtypes)
    assert read.cells["guidance"].dtype == read.timings["joules"].dtype == "Float64"
    assert read.metrics["missing"].dtype == read.timings["busy"].dtype == "string"


def test_a_mean_number_of_evaluations_is_a_number(run: Run) -> None:
    """An adaptive solver needs others for each image."""
    records = db.read(run.root).records
    [index] = [i for i, r in enumerate(records) if (r.kind, r.id) == ("sample", CELL)]
    timing = records[index].timing
    assert timing is not None
    timing = timing.model_copy(update={"network_evaluations": 12.5})
    records[index] = records[index].model_copy(update={"timing": timing})
    assert ReadRun(run.root, records).timings.loc[CELL, "network_evaluations"] == 12.5


def test_columns_of_tables_have_their_types_whatever_they_hold(run: Run) -> None:
    read = db.read(run.root)
    for name in read.tables:
        found = read.table(name)
        assert set(map(str, found.dtypes)) <= {"Int64", "Float64", "string"}
        empty = frame_of(dataclasses.replace(read._tables[name], rows=[]))
        for column in empty.columns:
            if not isinstance(found[column].dropna().iloc[:1].squeeze(), str):
                assert found[column].dtype in (empty[column].dtype, "string")
    trained = read.table("trained")
    assert trained["seconds_per_image"].dtype == "Float64"
    assert trained["seed"].dtype == "Int64"
    whole = Table("x", [], [Column("fid", "fid"), Column("steps", "n")], [{"fid": 3, "steps": 2}])
    assert [str(kind) for kind in frame_of(whole).dtypes] == ["Float64", "Int64"]


def test_a_run_is_named_as_its_folder(run: Run, tmp_path: Path) -> None:
    run.root.rename(tmp_path / "report-0.5")
    assert db.read(tmp_path / "report-0.5").name == "report-0.5"
    assert db.read(pack(tmp_path / "report-0.5")).name == "report-0.5"


def test_what_is_no_image_is_refused_by_name() -> None:
    features = np.zeros((4, 2))
    for wrong, kind in (([1], "list"), (np.array([{}]), "array of objects")):
        with pytest.raises(BenchmarkError, match=f"^fake: {kind}: a path, or an array"):
            db.score(features, wrong)  # type: ignore[arg-type]
    with pytest.raises(BenchmarkError, match=r"^fake: uint8 of shape \(3,\): images must be"):
        db.score(features, np.zeros(3, np.uint8))


def test_arrays_and_paths_score_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=(40, 6)), rng.normal(0.5, 1, size=(40, 6))
    np.save("real.npy", real)
    of_arrays = db.score(real, fake, metrics=["fd"])
    of_paths = db.score("real.npy", fake, metrics=["fd"])
    assert of_arrays.values == of_paths.values
    assert "frechet" in of_arrays.values
    assert str(of_arrays).startswith("real ")
