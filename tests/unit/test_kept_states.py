"""States of a training that are kept, sampled as cells of their own, and drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from records_fixture import write_run
from stages import do

from benchmark.config.building import likelihood_job, sample_job, train_job
from benchmark.config.config import Config
from benchmark.config.loading import filled_in, parse_config
from benchmark.core.errors import BenchmarkError
from benchmark.core.values import Value
from benchmark.models.weights import load_weights
from benchmark.records.record import read_record, read_records
from benchmark.records.rows import Row, collect, plain, seconds_of_training
from benchmark.report.results_table import results_table
from benchmark.report.training_plot import distance_against_training
from benchmark.runtime.stopping import Stopped
from benchmark.storage.arrays import open_array
from benchmark.storage.paths import Run

TRAINING = "DDIM-linear"


def content_of(smoke: Config, every: int = 4, **training: Any) -> dict[str, Any]:
    content = filled_in(smoke)
    content["models"] = {"DDIM": content["models"]["DDIM"]}
    content["training"]["short"] |= {"decay": "constant", "warmup": 0, "log_every": 5, **training}
    content["grid"] = content["grid"][1:]
    content["grid"][0] |= {"schedule": "linear", "evaluate_every": every}
    return content


@pytest.fixture(scope="module")
def kept(smoke: Config) -> Config:
    """The smallest run of one network, whose 12 steps of training are sampled at 4 and 8, too."""
    return parse_config(content_of(smoke))


@pytest.fixture(scope="module")
def sampled(kept: Config, tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run(tmp_path_factory.mktemp("results") / "kept")
    do("prepare", kept, "tiny", run)
    do("train", kept, TRAINING, run)
    for cell in kept.cells:
        do("sample", kept, cell.id, run)
    return run


def test_each_state_has_cells_of_its_own(kept: Config) -> None:
    assert [(cell.id, cell.trained_steps) for cell in kept.cells] == [
        ("DDIM-linear-ddim-5-s0", None),
        ("DDIM-linear-ddim-5-at4-s0", 4),
        ("DDIM-linear-ddim-5-at8-s0", 8),
    ]
    assert train_job(kept, TRAINING).kept == (4, 8)
    assert len({str(sample_job(kept, cell.id).spec()) for cell in kept.cells}) == 3
    assert parse_config(filled_in(kept)) == kept


def test_a_kept_state_is_the_network_of_a_training_of_so_many_steps(
    kept: Config, sampled: Run, smoke: Config, run: Run
) -> None:
    short = content_of(smoke, steps=8)
    del short["grid"][0]["evaluate_every"]
    do("train", parse_config(short), TRAINING, run)
    expected, _ = load_weights(run.weights(TRAINING))
    found, spec = load_weights(sampled.kept_weights(TRAINING, 8))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)
    assert spec["kept"] == [4, 8]
    last, _ = load_weights(sampled.weights(TRAINING))
    assert not all(torch.equal(found[name], last[name]) for name in found)


def test_raw_weights_are_those_of_a_training_that_averages_nothing(smoke: Config, run: Run) -> None:
    content = content_of(smoke)
    content["grid"][0]["weights"] = ["averaged", "raw"]
    both = parse_config(content)
    raw = next(cell for cell in both.cells if cell.raw)
    assert (raw.id, raw.trained_steps) == ("DDIM-linear-ddim-5-raw-s0", None)
    assert len({str(sample_job(both, cell.id).spec()) for cell in both.cells}) == 4
    assert parse_config(filled_in(both)) == both
    do("train", both, TRAINING, run)
    found, _ = load_weights(run.raw_weights(TRAINING))
    averaged, _ = load_weights(run.weights(TRAINING))
    for cell in both.cells:
        do("sample", both, cell.id, run)
    images = [open_array(run.samples(cell.id)) for cell in both.cells if not cell.trained_steps]
    assert not np.array_equal(*images)
    rows = [row for row in collect(read_records(run.root)) if row.cell]
    assert [row.cell.id for row in plain(rows) if row.cell] == ["DDIM-linear-ddim-5-s0"]
    table = results_table(raw.table, rows, {})
    assert [row.get("raw") for row in table.rows].count("yes") == 1

    content = content_of(smoke, ema=None)
    del content["grid"][0]["evaluate_every"]
    do("train", parse_config(content), TRAINING, run)
    expected, _ = load_weights(run.weights(TRAINING))
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert not all(torch.equal(averaged[name], expected[name]) for name in expected)


def test_each_cell_is_sampled_with_its_own_state(kept: Config, sampled: Run) -> None:
    images = [open_array(sampled.samples(cell.id)) for cell in kept.cells]
    assert not any(np.array_equal(images[i], images[j]) for i, j in ((0, 1), (0, 2), (1, 2)))


def test_what_was_kept_before_a_stop_is_there_after_it(kept: Config, run: Run) -> None:
    with pytest.raises(Stopped):
        do("train", kept, TRAINING, run, minutes=1e-9)
    assert not run.kept(TRAINING).exists()
    do("train", kept, TRAINING, run)
    assert sorted(path.name for path in run.kept(TRAINING).iterdir()) == [
        "4.safetensors",
        "8.safetensors",
    ]


def test_the_seconds_of_a_state_are_those_of_the_laps_until_it(kept: Config, sampled: Run) -> None:
    training = read_record(sampled.record("train", TRAINING))
    # A lap ends where a loss is logged, every 5 steps, and where a state is kept.
    assert [steps for _, steps in training.step_laps] == [4, 1, 3, 2, 2]
    seconds = [lap for lap, _ in training.step_laps]
    rows = {row.cell.id: row for row in collect(read_records(sampled.root)) if row.cell}
    found = [seconds_of_training(rows[cell.id]) for cell in kept.cells]
    expected = [sum(seconds), sum(seconds[:1]), sum(seconds[:3])]
    assert found == pytest.approx(expected)


def test_claims_rankings_and_likelihoods_are_of_finished_networks(
    kept: Config, sampled: Run
) -> None:
    rows = collect(read_records(sampled.root))
    assert [row.cell.id for row in plain(rows) if row.cell] == ["DDIM-linear-ddim-5-s0"]
    asked = parse_config(filled_in(kept) | {"likelihood": {"model": "DDIM"}})
    assert [s.name for s in likelihood_job(asked, TRAINING).subjects] == ["DDIM-linear-ddim-5-s0"]


def trained_rows(root: Path) -> list[Row]:
    """Return the rows of a made-up run, and those of three states of its first training."""
    rows = collect(read_records(write_run(root).root))
    first = rows[0]
    assert first.cell
    assert first.training
    assert first.distance
    assert first.metrics
    assert first.training.curve
    length = first.training.curve.steps[-1]
    laps = [(2.0, length // 4)] * 4
    training = first.training.model_copy(update={"step_laps": laps})
    states = []
    for part in (1, 2, 3):
        steps = part * (length // 4)
        cell = first.cell.model_copy(update={"id": f"state-{part}", "trained_steps": steps})
        values = {
            name: Value(value=v.value + 50 / part) for name, v in first.metrics.values.items()
        }
        metrics = first.metrics.model_copy(update={"values": values, "sized": {}})
        states.append(Row(first.dataset, cell=cell, training=training, metrics=metrics))
    return [*rows, *states]


def test_the_distance_is_drawn_against_steps_and_seconds_with_the_floor(tmp_path: Path) -> None:
    rows = trained_rows(tmp_path)
    figure = distance_against_training(rows)
    assert figure
    steps, seconds = figure.axes
    assert steps.get_xlabel() == "steps of the training, linear scale"
    assert seconds.get_xlabel() == "seconds of the training, linear scale"
    line = max(steps.lines, key=lambda each: len(each.get_xdata()))  # type: ignore[arg-type]
    training = rows[0].training
    assert training
    assert training.curve
    whole = training.curve.steps[-1]
    quarter = whole // 4
    assert list(line.get_xdata()) == [quarter, 2 * quarter, 3 * quarter, whole]  # type: ignore[arg-type]
    assert any(patch.get_label() == "floor: as many held-out images" for patch in steps.patches)
    assert distance_against_training(collect(read_records(tmp_path))) is None


def measured(row: Row, model: str, **distances: float) -> Row:
    """Return a row as of another model, measured at other numbers of images: `n64=90` and so on."""
    assert row.cell
    assert row.metrics
    assert row.metrics.protocol
    sizes = {int(name[1:]): Value(value=v, low=v - 1, high=v + 1) for name, v in distances.items()}
    most = max(sizes)
    changes = {
        "protocol": row.metrics.protocol.model_copy(update={"n_fake": most}),
        "values": {"fd": sizes.pop(most)},
        "sized": sizes,
    }
    cell = {"id": f"{model}-{row.cell.id}", "model": model, "family": model, "samples": most}
    return Row(
        row.dataset,
        cell=row.cell.model_copy(update=cell),
        training=row.training,
        metrics=row.metrics.model_copy(update=changes),
    )


def test_two_families_are_drawn_at_the_number_of_images_that_both_have(tmp_path: Path) -> None:
    rows = trained_rows(tmp_path)
    states = [row for row in rows if row.cell and row.cell.trained_steps] + [rows[0]]
    first = [measured(row, "DDPM", n32=80.0 + i, n64=50.0) for i, row in enumerate(states)]
    other = [measured(row, "NCSN", n32=90.0 - i) for i, row in enumerate(states)]
    figure = distance_against_training([*first, *other, *(row for row in rows if row.control)])
    assert figure
    for axes in figure.axes:
        lines = [line.get_ydata() for line in axes.lines if len(line.get_xdata()) == 4]  # type: ignore[arg-type]
        assert [list(y) for y in lines] == [[80, 81, 82, 83], [90, 89, 88, 87]]  # type: ignore[arg-type]
        assert any(patch.get_label() == "floor: as many held-out images" for patch in axes.patches)
    named = [text.get_text() for text in figure.axes[0].texts if text.get_position() == (6, 0)]
    assert sorted(named) == ["DDPM", "NCSN"]
    assert "of 32 images" in figure.axes[0].get_ylabel()


def test_the_table_says_how_long_a_state_was_trained(tmp_path: Path) -> None:
    rows = trained_rows(tmp_path)
    assert rows[0].cell
    table = results_table(rows[0].cell.table, rows, {})
    assert "trained_steps" in [column.key for column in table.columns]
    minutes = [row["train_minutes"] for row in table.rows if row.get("trained_steps")]
    assert minutes == [Value(value=2 * part / 60) for part in (1, 2, 3)]


@pytest.mark.parametrize(
    ("every", "message"),
    [
        (
            12,
            "grid: evaluate_every: 12 keeps 0 states of the 12 steps of models.DDIM: from 1 to 11",
        ),
        (0, "grid.0.evaluate_every"),
    ],
)
def test_states_that_there_are_none_of_are_refused(smoke: Config, every: int, message: str) -> None:
    with pytest.raises(BenchmarkError, match=message):
        parse_config(content_of(smoke, every))


def test_too_many_states_are_refused(smoke: Config) -> None:
    with pytest.raises(BenchmarkError, match=r"9999 states .* from 100 to 9999 would be right"):
        parse_config(content_of(smoke, every=1, steps=10_000))


@pytest.mark.parametrize(
    ("entry", "training", "message"),
    [
        ({"weights": "raw"}, {"ema": None}, r"weights: raw: models.DDIM averages none"),
        ({"weights": "raw", "evaluate_every": 4}, {}, "evaluate_every: the states .* averaged"),
        ({"weights": ["raw", "raw"]}, {}, "DDIM-linear-ddim-5-raw-s0 is named twice"),
    ],
)
def test_raw_weights_that_there_are_none_of_are_refused(
    smoke: Config, entry: dict[str, Any], training: dict[str, Any], message: str
) -> None:
    content = content_of(smoke, **training)
    content["grid"][0] |= {"evaluate_every": None} | entry
    with pytest.raises(BenchmarkError, match=message):
        parse_config(content)


def test_raw_weights_of_ready_networks_are_refused(smoke: Config, tmp_path: Path) -> None:
    content = content_of(smoke)
    content["models"]["GAN"] = {"family": "GAN", "data": "tiny", "images": str(tmp_path)}
    content["grid"].append({"table": "t", "model": "GAN", "samples": 4, "weights": "raw"})
    with pytest.raises(BenchmarkError, match=r"weights: raw: models.GAN is not trained"):
        parse_config(content)


def test_states_of_a_network_that_is_not_trained_are_refused(smoke: Config, tmp_path: Path) -> None:
    content = content_of(smoke)
    content["models"]["GAN"] = {"family": "GAN", "data": "tiny", "images": str(tmp_path)}
    entry = {"table": "t", "model": "GAN", "samples": 4, "evaluate_every": 4}
    content["grid"].append(entry)
    with pytest.raises(BenchmarkError, match=r"evaluate_every: models.GAN is not trained"):
        parse_config(content)
