"""The stages after sampling: features with their cache, evaluation, retrieval, on made images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from networks import register, with_facts
from stages import do

from benchmark.config.config import Config
from benchmark.config.loading import parse_config
from benchmark.core.errors import BenchmarkError
from benchmark.data import load_dataset
from benchmark.extractors import EXTRACTORS, features_of
from benchmark.metrics.frechet import Frechet
from benchmark.records.record import read_record
from benchmark.stages import image_sets as subjects
from benchmark.storage.paths import CACHE, Run

CELL = "DDPM-linear-ddpm-10-s0"
HELD_OUT = "held-out-tiny"
EXTRACTOR = EXTRACTORS.make("efficientnet-lite0")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory, prepared: Run, smoke: Config) -> Run:
    """A run whose samples are the first training images, so that every answer is known."""
    run = Run(tmp_path_factory.mktemp("copies") / smoke.run)
    run.data("tiny").parent.mkdir(parents=True)
    run.data("tiny").symlink_to(prepared.data("tiny"))
    run.samples(CELL).parent.mkdir(parents=True)
    np.save(run.samples(CELL), load_dataset(run.data("tiny")).train[:8])
    for name in ("tiny", CELL):
        do("features", smoke, name, run)
    return run


def test_features_of_a_data_set_are_kept_for_other_runs(
    copied: Run, smoke: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = list((copied.root.parent / CACHE / "features").glob("*.npy"))
    assert len(kept) == 1
    assert do("features", smoke, "tiny", copied).embedding.from_cache is True
    assert np.array_equal(np.load(kept[0]), np.load(copied.features("efficientnet-lite0", "tiny")))


def test_equal_images_have_equal_features_whatever_set_they_are_in(copied: Run) -> None:
    real = np.load(copied.features("efficientnet-lite0", "tiny"))
    fake = np.load(copied.features("efficientnet-lite0", CELL))
    assert real.shape == (32, 1280)
    np.testing.assert_allclose(fake, real[:8], rtol=1e-4, atol=1e-4)


def test_samples_and_held_out_images_are_measured_against_the_training_images_alone(
    copied: Run, smoke: Config
) -> None:
    own, train = subjects.load_features(
        EXTRACTORS.make("efficientnet-lite0"), smoke.subjects[HELD_OUT], copied
    )
    real = np.load(copied.features("efficientnet-lite0", "tiny"))
    assert np.array_equal(train, real[:24])
    assert np.array_equal(own, real[24:])


def test_the_record_states_the_protocol_and_never_says_fid(copied: Run, smoke: Config) -> None:
    do("evaluate", smoke, CELL, copied)
    record = read_record(copied.record("metrics", CELL))
    assert record.protocol is not None
    assert (record.protocol.n_fake, record.protocol.n_real) == (8, 24)
    assert record.protocol.label == "FD-EffNetLite0"
    assert set(record.values) == {"fd", "kid"}
    assert record.values["kid"].std_error is not None


def test_copies_of_training_images_are_found_at_no_distance_and_held_out_ones_are_not(
    copied: Run, smoke: Config
) -> None:
    for subject in (CELL, HELD_OUT):
        do("retrieve", smoke, subject, copied)
        assert copied.neighbours(subject).stat().st_size > 0
    copies = read_record(copied.record("retrieval", CELL)).values
    unseen = read_record(copied.record("retrieval", HELD_OUT)).values
    assert copies["nearest_mean"].value < 0.01 * unseen["nearest_mean"].value
    assert unseen["nearest_min"].value > 0


def test_a_missing_network_names_the_file_and_where_to_put_it(
    copied: Run, smoke: Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("no internet")

    monkeypatch.setattr("urllib.request.urlopen", offline)
    monkeypatch.delenv("BENCHMARK_WEIGHTS", raising=False)
    update = {"extractor": "inception-v3-fid"}
    config = smoke.model_copy(update={"evaluation": smoke.evaluation.model_copy(update=update)})
    with pytest.raises(BenchmarkError) as caught:
        do("features", config, CELL, copied)
    message = str(caught.value)
    assert "pt_inception-2015-12-05-6726825d.pth" in message
    assert "put the file with SHA-256 6726825d0af5f729cebd5821db510b11b1cfad8f" in message
    assert "\n" not in message


def test_all_controls_are_judged_in_one_job_each_with_its_own_images(
    copied: Run, smoke: Config
) -> None:
    do("controls", smoke, "tiny", copied)
    do("features", smoke, "controls-tiny", copied)
    measured = {r.id: r for r in do("evaluate", smoke, "controls-tiny", copied)}
    assert list(measured) == [
        f"{kind}-tiny"
        for kind in ("held-out", "noise", "blur", "faint-noise", "dropped-mode", "copies")
    ]
    for subject in (smoke.subjects[name] for name in measured):
        own, _ = subjects.load_features(EXTRACTOR, subject, copied)
        images = subjects.load_images(subject, copied)
        network = EXTRACTORS.make("efficientnet-lite0").load(
            CPU, copied.root.parent / CACHE / "weights"
        )
        np.testing.assert_allclose(own, features_of(images, network, CPU), rtol=1e-3, atol=1e-3)
        assert read_record(copied.record("metrics", subject.name)).control == subject.control
    noise, copies = measured["noise-tiny"].values["fd"], measured["copies-tiny"].values["fd"]
    assert noise.value > 3 * copies.value


def test_fewer_images_are_the_first_ones(copied: Run, smoke: Config) -> None:
    [record] = do("evaluate", smoke, CELL, copied)
    own, train = subjects.load_features(
        EXTRACTORS.make("efficientnet-lite0"), smoke.subjects[CELL], copied
    )
    assert list(record.sized) == [4]
    assert record.sized[4] == Frechet().compute(own[:4], train)
    assert record.judged.few == 1281


def test_too_few_images_leave_figures_empty_and_say_why(copied: Run, smoke: Config) -> None:
    [record] = do("retrieve", smoke, CELL, copied)
    assert {"distance_ratio", "closer_share", "authenticity"} <= record.values.keys()
    assert not {"data_copying", "accused"} & record.values.keys()
    assert "no cell holds 20 of 8 samples" in str(record.missing["data_copying"])
    assert "50 cannot be found among" in str(record.missing["accused"])
    assert record.retrieved.accused == []


def test_the_inception_score_is_of_the_class_probabilities(
    copied: Run, smoke: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    matrix = np.random.default_rng(0).standard_normal((1280, 7)).astype(np.float32)
    known = EXTRACTORS.make("efficientnet-lite0")
    register(monkeypatch, with_facts(known, has_classes=True, classifier=lambda *_: matrix))
    content = smoke.model_dump(mode="json")
    content["evaluation"]["metrics"]["is"] = {
        "kind": "inception-score",
        "splits": 2,
        "shuffle": False,
    }
    [record] = do("evaluate", parse_config(content), CELL, copied)
    logits = np.load(copied.features(known.kind, CELL)) @ matrix
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    halves = [
        np.exp((part * np.log(part / part.mean(axis=0))).sum(axis=1).mean())
        for part in (p[:4], p[4:])
    ]
    assert record.values["is"].value == pytest.approx(np.mean(halves), rel=1e-5)
