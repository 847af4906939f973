"""Which modes samples reach, and how far their frequencies are from the data's."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import register, with_facts
from numpy.typing import NDArray
from PIL import Image
from stages import do
from test_fashion_mnist import DEBIAN, idx
from torch.nn.functional import adaptive_avg_pool2d

from benchmark.config.config import Config
from benchmark.config.loading import filled_in, parse_config
from benchmark.core.errors import BenchmarkError
from benchmark.data.idx import read_idx
from benchmark.data.sources.fashion_mnist import SETS
from benchmark.extractors import EXTRACTORS
from benchmark.metrics import METRICS
from benchmark.metrics.base import Features
from benchmark.records.record import read_records
from benchmark.records.rows import Row, collect
from benchmark.report.classes_table import accuracy_of
from benchmark.report.results_table import results_table
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


SHARES = {0: 0.5, 3: 0.3, 7: 0.2}  # of three classes of ten among planted images


def with_planted(smoke: Config, clothes: Path, planted: Path, train: int, held_out: int) -> Config:
    """A run of images from a folder, beside Fashion-MNIST, by the mean pixels of 4×4 fields."""
    content = filled_in(smoke)
    content["data"] = {
        "clothes": {
            "source": "fashion-mnist",
            "path": str(clothes),
            "train": train,
            "held_out": held_out,
        }
    }
    content["models"] = {"planted": {"family": "GAN", "data": "clothes", "images": str(planted)}}
    content["grid"] = [{"table": "t", "model": "planted", "samples": 100}]
    for key in ("schedules", "samplers", "networks", "training"):
        content[key] = {}
    content["evaluation"] |= {"extractor": "fields", "controls": ["collapsed"], "neighbours": 0}
    content["evaluation"]["metrics"] = {
        "fd": {"kind": "frechet"},
        "reached": {"kind": "mode-coverage"},
        "mostly": {"kind": "mode-coverage", "least": 0.5},
        "apart": {"kind": "mode-distance"},
    }
    return parse_config(content)


def judged(config: Config, run: Run) -> dict[str, Row]:
    """Return the rows of a run of planted images, by their names."""
    do("prepare", config, "clothes", run)
    do("controls", config, "clothes", run)
    do("gather", config, "planted-s0", run)
    for name in ("clothes", "controls-clothes", "planted-s0"):
        do("features", config, name, run)
    for name in ("controls-clothes", "planted-s0"):
        do("evaluate", config, name, run)
    return {row.metrics.id: row for row in collect(read_records(run.root)) if row.metrics}


def plant(folder: Path, images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Path:
    """Write 100 images of three classes with the frequencies `SHARES`."""
    folder.mkdir()
    for label, share in SHARES.items():
        for number, image in enumerate(images[labels == label][: round(100 * share)]):
            Image.fromarray(image).save(folder / f"{label}-{number}.png")
    return folder


@pytest.fixture
def fields(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One more extractor: the mean of each of 7×7 fields of a grey image of 28×28 pixels."""
    (tmp_path / "w.pth").write_bytes(b"weights")
    monkeypatch.setenv("BENCHMARK_WEIGHTS", str(tmp_path))
    known = EXTRACTORS.make("inception-v3-fid")
    facts: dict[str, Any] = {
        "label": "FD-fields",
        "dimension": 49,
        "preprocessing": "mean of pixels to 7x7",
        "weights": dataclasses.replace(
            known.weights,
            file="w.pth",
            sha256=hashlib.sha256(b"weights").hexdigest(),
            mirrors=(),
        ),
        "preprocess": lambda _, x: adaptive_avg_pool2d(x[:, :1].float(), 7),
        "network": lambda *_: torch.nn.Flatten(),
    }
    register(monkeypatch, with_facts(known, "fields", **facts))


def test_planted_frequencies_of_classes_are_found_by_a_judge_that_makes_no_error(
    smoke: Config, tmp_path: Path, fields: None
) -> None:
    """Each class has a bright field of its own, and noise."""
    rng = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    for (images, labels), count in zip(SETS.values(), (600, 500), strict=True):
        numbers = (np.arange(count) % 10).astype(np.uint8)
        pixels = rng.integers(0, 60, (count, 28, 28), np.uint8)
        for image, number in zip(pixels, numbers, strict=True):
            row, column = divmod(int(number), 5)
            image[8 * row : 8 * row + 8, 5 * column : 5 * column + 5] += 150
        (tmp_path / "in" / images).write_bytes(idx(pixels))
        (tmp_path / "in" / labels).write_bytes(idx(numbers))
    planted = plant(tmp_path / "planted", pixels, numbers)
    config = with_planted(smoke, tmp_path / "in", planted, 600, 500)
    rows = judged(config, Run(tmp_path / "results" / "modes"))
    values = {name: row.metrics.values for name, row in rows.items() if row.metrics}
    train = np.bincount(np.arange(600) % 10) / 600
    apart = 0.5 * sum(abs(SHARES.get(label, 0) - share) for label, share in enumerate(train))
    assert values["planted-s0"]["reached"].value == 0.3
    assert values["planted-s0"]["apart"].value == pytest.approx(apart)
    assert values["held-out-clothes"]["reached"].value == 1
    assert values["held-out-clothes"]["apart"].value == pytest.approx(0, abs=1e-9)
    assert values["collapsed-clothes"]["reached"].value <= 0.4
    assert values["collapsed-clothes"]["apart"].value >= 0.6


@pytest.mark.skipif(
    not DEBIAN.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed"
)
def test_planted_classes_of_fashion_mnist_are_found_to_the_error_that_the_table_tells(
    smoke: Config, tmp_path: Path, fields: None
) -> None:
    images, labels = (read_idx(DEBIAN / f"{name}.gz") for name in SETS["held_out"])
    planted = plant(tmp_path / "planted", images, labels)
    config = with_planted(smoke, DEBIAN, planted, 2000, 500)
    rows = judged(config, Run(tmp_path / "results" / "modes"))
    values = {name: row.metrics.values for name, row in rows.items() if row.metrics}
    held_out = rows["held-out-clothes"].metrics
    assert held_out
    assert held_out.by_class
    right = accuracy_of(held_out.by_class.values()).value
    assert right > 0.7
    # An error of the judge moves a sample to another class, so that it changes the distance by
    # its share at most.
    assert values["planted-s0"]["apart"].value == pytest.approx(0.7, abs=1 - right)
    # Some errors reach a class at a tenth of its share, but few do so at the half of it.
    assert values["planted-s0"]["reached"].value > 0.4
    assert 0.3 <= values["planted-s0"]["mostly"].value <= 0.4
    assert values["held-out-clothes"]["mostly"].value >= 0.9
    assert values["collapsed-clothes"]["mostly"].value <= 0.4
    legend = results_table("t", list(rows.values()), {}).legend
    [line] = [line for line in legend if "judge" in line]
    names, _, rest = line.partition(": by a judge that has seen the training images alone; ")
    assert sorted(names.split(", ")) == ["apart", "mostly", "reached"]
    assert rest.startswith(f"of the held-out images of clothes it names the class of {right:.3f} [")


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
