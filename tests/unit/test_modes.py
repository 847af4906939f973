"""Which modes samples reach, and how far their frequencies are from the data's."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stages import do

from benchmark.config.config import Config
from benchmark.config.loading import filled_in, parse_config
from benchmark.core.errors import BenchmarkError
from benchmark.metrics import METRICS
from benchmark.metrics.base import Features
from benchmark.storage.arrays import write_blocks
from benchmark.storage.paths import Run
from benchmark.tools.score import score


def of_counts(*counts: int) -> Features:
    """Return rows that are 1 at their class, so many of each."""
    return np.repeat(np.eye(len(counts)), counts, axis=0)


def figures(fake: Features, real: Features, **options: float) -> tuple[float, float]:
    coverage = METRICS.make("mode-coverage", **options).compute(fake, real)
    return coverage.value, METRICS.make("mode-distance").compute(fake, real).value


def test_the_datas_own_frequencies_reach_all_and_are_at_no_distance() -> None:
    assert figures(of_counts(10, 20, 30), of_counts(20, 40, 60)) == (1.0, 0.0)


def test_a_collapse_to_one_of_four_equal_classes_is_counted() -> None:
    assert figures(of_counts(40, 0, 0, 0), of_counts(25, 25, 25, 25)) == (0.25, 0.75)


def test_a_class_that_a_single_error_of_the_judge_names_is_not_reached() -> None:
    fake, real = of_counts(99, 1), of_counts(50, 50)
    assert figures(fake, real)[0] == 0.5
    assert figures(fake, real, least=0.02)[0] == 1.0


def test_a_class_that_the_data_have_not_is_no_mode_but_counts_in_the_distance() -> None:
    coverage, distance = figures(of_counts(5, 0, 5), of_counts(5, 5, 0))
    assert coverage == 0.5
    assert distance == pytest.approx(0.5)


@given(st.lists(st.integers(0, 20), min_size=3, max_size=6), st.integers(0, 3))
@settings(max_examples=25, deadline=None)
def test_the_interval_holds_the_value_and_stays_within_0_and_1(
    counts: list[int], seed: int
) -> None:
    counts[0] += 2
    real = of_counts(*[10] * len(counts))
    for kind in ("mode-coverage", "mode-distance"):
        found = METRICS.make(kind, replicates=100, seed=seed).compute(of_counts(*counts), real)
        assert found.low is not None
        assert found.high is not None
        assert 0 <= found.low <= found.value <= found.high <= 1


def test_the_distance_of_few_samples_has_the_bias_that_the_page_states() -> None:
    """As |k/n - p| of a binomial k is √(2p(1 - p)/πn) on average, for large n."""
    p, n, rng = np.array([0.1, 0.2, 0.3, 0.4]), 300, np.random.default_rng(0)
    metric = METRICS.make("mode-distance")
    found = [metric.of_shares(rng.multinomial(n, p) / n, p) for _ in range(2000)]
    expected = float(np.sqrt(p * (1 - p) / (2 * math.pi * n)).sum())
    assert np.mean(found) == pytest.approx(expected, rel=0.03)


def test_the_interval_of_the_distance_is_where_other_samples_lie() -> None:
    """About 95 of 100 intervals hold the mean, where frequencies differ from the data's."""
    real, p, n = of_counts(25, 25, 25, 25), np.array([0.4, 0.3, 0.2, 0.1]), 100
    rng, metric = np.random.default_rng(1), METRICS.make("mode-distance", replicates=200)
    drawn = [metric.compute(of_counts(*rng.multinomial(n, p)), real) for _ in range(200)]
    mean = np.mean([value.value for value in drawn])
    held = np.mean([value.low <= mean <= value.high for value in drawn])  # type: ignore[operator]
    assert 0.88 < held < 0.99


def labelled(smoke: Config) -> dict:
    content = filled_in(smoke)
    content["data"]["tiny"]["label"] = "hair"
    content["models"] = {"DDIM": content["models"]["DDIM"]}
    content["grid"] = [content["grid"][1] | {"schedule": "linear"}]
    content["evaluation"]["metrics"] |= {
        "reached": {"kind": "mode-coverage"},
        "apart": {"kind": "mode-distance"},
    }
    content["evaluation"]["controls"] = ["collapsed", "noise"]
    return content


def test_a_collapsed_control_reaches_no_more_modes_than_held_out_images(
    smoke: Config, tmp_path: Path
) -> None:
    config = parse_config(labelled(smoke))
    run = Run(tmp_path / "results" / "modes")
    do("prepare", config, "tiny", run)
    do("controls", config, "tiny", run)
    for name in ("tiny", "controls-tiny"):
        do("features", config, name, run)
    found = {record.id: record for record in do("evaluate", config, "controls-tiny", run)}
    values = {name: record.values["reached"].value for name, record in found.items()}
    assert values["collapsed-tiny"] <= values["held-out-tiny"]
    assert values["held-out-tiny"] > 0.5
    for record in found.values():
        assert 0 <= record.values["apart"].value <= 1
    path = run.features(config.evaluation.extractor, "controls-tiny")
    broken = np.load(path)
    broken[:] = np.nan
    write_blocks(path, [broken], broken.shape, broken.dtype)
    for record in do("evaluate", config, "controls-tiny", run):
        known = record.id == "held-out-tiny"  # whose features are with those of the data
        assert ("reached" in record.values) == known
        assert known or "hold NaN or infinity" in record.missing["reached"]


def test_modes_of_data_without_labels_are_refused(smoke: Config) -> None:
    content = labelled(smoke)
    del content["data"]["tiny"]["label"]
    with pytest.raises(BenchmarkError) as caught:
        parse_config(content)
    assert "evaluation.metrics.reached: data.tiny has no labels, which are the modes" in str(
        caught.value
    )
    assert "\n" not in str(caught.value)


def test_a_score_that_is_told_no_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="mode-coverage needs the classes of real images"):
        score(tmp_path, tmp_path, None, metrics=["mode-coverage"])  # type: ignore[arg-type]
