"""A value that cannot be computed costs no other value or row, and no table, plot or page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from records_fixture import write_run
from stages import do

from benchmark.config.config import Config
from benchmark.config.loading import parse_config
from benchmark.core.values import Value
from benchmark.data import load_dataset
from benchmark.extractors import EXTRACTORS
from benchmark.metrics.base import Figures
from benchmark.records.record import Record, read_record
from benchmark.records.sections import Retrieved
from benchmark.report.bundle import pack
from benchmark.report.compare import Figure, compare_runs
from benchmark.report.compare_formats import COMPARISON_FORMATS
from benchmark.report.formats import markdown_escape
from benchmark.report.plots import write_plots
from benchmark.report.site import write_site
from benchmark.report.tables import write_tables
from benchmark.storage.arrays import write_blocks
from benchmark.storage.paths import PLOTS, REFERENCE, Run

CELL = "DDPM-linear-ddpm-10-s0"
WHY = "every image has 5 equal ones, so its neighbourhood is empty"
METRICS = {
    "fd": {"kind": "frechet"},
    "recall": {"kind": "recall", "k": 2},
    "density": {"kind": "density"},
}
NEAREST = {"nearest_min", "nearest_median", "nearest_mean", "kth_mean"}


@pytest.fixture
def config(smoke: Config) -> Config:
    content = smoke.model_dump(mode="json")
    content["evaluation"]["metrics"] = METRICS
    return parse_config(content)


def embed(run: Run, config: Config, own: NDArray[np.float32]) -> None:
    """Write made-up features of the data set and these of the cell, and its images."""
    dimension, extractor = own.shape[1], config.evaluation.extractor
    data = load_dataset(run.data("tiny"))
    real = np.random.default_rng(0).normal(size=(32, dimension)).astype(np.float32)
    for path, array in {
        run.features(extractor, "tiny"): real,
        run.features(extractor, CELL): own,
        run.samples(CELL): np.asarray(data.train[: len(own)]),
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_blocks(path, [array], array.shape, array.dtype)


def features(n: int = 8) -> NDArray[np.float32]:
    dimension = EXTRACTORS.make("efficientnet-lite0").dimension
    return np.random.default_rng(1).normal(size=(n, dimension)).astype(np.float32)


def test_a_collapsed_model_has_no_recall_but_all_else(run: Run, config: Config) -> None:
    own = np.repeat(features(1), 8, axis=0)
    embed(run, config, own)
    [record] = do("evaluate", config, CELL, run)
    assert set(record.values) == {"fd", "density"}
    assert list(record.missing) == ["recall"]
    assert "fake: every image has 2 equal ones" in record.missing["recall"]
    assert read_record(run.record("metrics", CELL)) == record


@pytest.mark.faults(
    "features that are not finite, or all alike",
    "evaluate and retrieve",
    "the value is missing with its reason; other values, rows, tables and plots stand",
)
@pytest.mark.parametrize(("bad", "sized"), [(0, {}), (7, {4})])
def test_features_that_are_not_finite_leave_every_figure_empty(
    run: Run, config: Config, bad: int, sized: set[int]
) -> None:
    own = features()
    own[bad, 3] = np.nan
    embed(run, config, own)
    [record] = do("evaluate", config, CELL, run)
    why = f"fake: the features of image {bad} hold NaN or infinity"
    assert record.values == {}
    assert {name: record.missing[name] for name in METRICS} == dict.fromkeys(METRICS, why)
    assert set(record.sized) == set(sized)
    assert ("distance_at_4" in record.missing) == (not sized)


def test_neighbours_of_features_that_are_not_finite_are_missing_and_the_panel_is_drawn(
    run: Run, config: Config
) -> None:
    own = features()
    own[5] = np.inf
    embed(run, config, own)
    [record] = do("retrieve", config, CELL, run)
    assert NEAREST | {"distance_ratio", "authenticity"} <= record.missing.keys()
    assert "the features of image 5 hold NaN" in record.missing["nearest_mean"]
    assert run.neighbours(CELL).stat().st_size > 0


def test_training_features_that_are_not_finite_cost_no_record(run: Run, config: Config) -> None:
    embed(run, config, features())
    path = run.features(config.evaluation.extractor, "tiny")
    real = np.load(path)
    real[2] = np.nan
    write_blocks(path, [real], real.shape, real.dtype)
    for rule in ("evaluate", "retrieve"):
        records = do(rule, config, CELL, run)
        assert records[0].missing


def test_an_overflow_is_a_reason_and_no_traceback() -> None:
    found = Figures({}, {})
    found.add("infinite", lambda: Value(value=float("inf")))
    found.add("zero", lambda: Value(value=1 / int("0")))
    found.add("fine", lambda: Value(value=1))
    assert found.missing == {
        "infinite": "the result is not a finite number",
        "zero": "division by zero",
    }
    assert list(found.values) == ["fine"]


def test_a_mistake_in_a_metric_is_not_hidden() -> None:
    def broken() -> Value:
        raise TypeError("a mistake")

    with pytest.raises(TypeError):
        Figures({}, {}).add("broken", broken)


DDIM, DDPM = "ddim-linear-ddim-50-s0", "ddpm-linear-ddpm-1000-s0"


def without(run: Run, kind: str, name: str, *keys: str) -> None:
    """Take values out of a record; the same reason stands in their place."""
    path = run.record(kind, name)
    record = read_record(path)
    values = {k: v for k, v in record.values.items() if k not in keys}
    change = {"values": values, "missing": dict.fromkeys(keys, WHY)}
    path.write_text(record.model_copy(update=change).model_dump_json())


def edit(run: Run, name: str, **change: object) -> None:
    path = run.record("metrics", name)
    path.write_text(read_record(path).model_copy(update=change).model_dump_json())


def markdown(run: Run, name: str) -> str:
    write_tables(run, REFERENCE)
    return run.tables(name)[1].read_text(encoding="utf-8")


def rows_of(text: str) -> list[str]:
    """Return the lines of the table alone."""
    return [line for line in text.splitlines() if line.startswith("|")]


def test_a_missing_value_is_a_dash_and_its_reason_stands_once_below(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    before = rows_of(markdown(run, "trained"))
    without(run, "metrics", DDIM, "kid")
    text = markdown(run, "trained")
    assert f"No KID for {DDIM}: {WHY}." in text.splitlines()[-1]
    assert text.count(WHY) == 1
    pairs = zip(before, rows_of(text), strict=True)
    [(row, changed)] = [pair for pair in pairs if len(set(pair)) > 1]
    assert row.count("–") + 1 == changed.count("–")


def test_a_metric_that_no_row_has_keeps_its_column_and_its_place(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    header = markdown(run, "trained").splitlines()[2]
    for path in (run.root / "records" / "metrics").iterdir():
        without(run, "metrics", path.stem, "kid")
    names = [cell.strip() for cell in header.split("|")]
    assert [c.strip() for c in markdown(run, "trained").splitlines()[2].split("|")] == names


@pytest.mark.usefixtures("svg_alone")
@pytest.mark.parametrize("names", [[DDIM], [DDIM, DDPM, "held-out-faces"], None])
def test_all_that_is_made_of_records_is_made_without_a_distance(
    tmp_path: Path, names: list[str] | None
) -> None:
    run = write_run(tmp_path / "run")
    for name in names or [path.stem for path in (run.root / "records" / "metrics").iterdir()]:
        without(run, "metrics", name, "fd")
        if names is None:
            edit(run, name, sized={})
    text = markdown(run, "trained")
    assert text.count("No FD-EffNetLite0 for ") == text.count(WHY) == 1
    plots = {path.stem for path in write_plots(run, REFERENCE) if path.stat().st_size}
    without_data = {"samples-overview", "guidance", "denoising-loss", "distance-against-training"}
    assert plots == set(PLOTS) - without_data
    page = write_site(run, REFERENCE)[0].read_text(encoding="utf-8")
    assert WHY in page
    assert pack(run.root, tmp_path / "run.zip").stat().st_size


def test_a_claim_about_a_missing_distance_cannot_be_told_and_says_why(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    without(run, "metrics", DDIM, "fd")
    edit(run, DDIM, sized={})
    assert markdown_escape(f"{DDIM} has no distance: {WHY}") in markdown(run, "findings")


def test_a_comparison_says_why_a_figure_is_missing(tmp_path: Path) -> None:
    base, other = write_run(tmp_path / "base"), write_run(tmp_path / "other")
    without(other, "metrics", DDIM, "kid", "fd")
    found = compare_runs([base.root, other.root])
    figures = {f.metric: f for f in found.pairs[0].figures if f.cell == DDIM}

    def seen(figure: Figure) -> tuple[str, str]:
        return figure.mark, figure.why

    assert seen(figures["kid"]) == seen(figures["fd"]) == ("missing", WHY)
    assert all(f.mark == "same" for f in found.pairs[0].figures if f.cell == DDPM)
    assert all(WHY in COMPARISON_FORMATS[name](found) for name in ("json", "html", "md"))


def test_reasons_of_earlier_versions_are_read() -> None:
    path = Path(__file__).parents[1] / "golden/run/records/retrieval/blur-faces.json"
    record = read_record(path)
    assert record.missing == {"data_copying": "data copying: no cell holds 20 of 64 samples"}
    assert record.retrieved == Retrieved(false_discovery_rate=0.1)
    assert Record.model_validate_json(record.model_dump_json()) == record
