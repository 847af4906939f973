"""Files of other programs: what is read of them, and what is not."""

import dataclasses
import hashlib
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from networks import register, with_facts
from numpy.typing import NDArray

from benchmark.core.errors import BenchmarkError
from benchmark.extractors import EXTRACTORS
from benchmark.metrics.frechet import Frechet, GaussianStats
from benchmark.metrics.kernel import Kernel
from benchmark.metrics.precision import Precision
from benchmark.tools import score as module
from benchmark.tools.score import save, score
from benchmark.tools.score_embedding import Embedding
from benchmark.tools.score_inputs import ImageInput, Statistics, open_input
from benchmark.tools.score_options import MetricChoice
from benchmark.tools.score_result import Score

CONTENT = b"weights"
ITS_OWN, ANOTHER = "inception-v3-torch-fidelity", "inception-v3-fid"
ALL_PAIRS = MetricChoice(kid_subsets=0)


@pytest.fixture(autouse=True)
def extractors(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Two extractors whose features are quarters of an image, and their negatives."""
    (tmp_path / "w.pth").write_bytes(CONTENT)
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    for name, sign in ((ITS_OWN, 1), (ANOTHER, -1)):
        known = EXTRACTORS.make(name)
        weights = dataclasses.replace(known.weights, file="w.pth", sha256=sha256, mirrors=())
        extractor = with_facts(
            known,
            dimension=12,
            weights=weights,
            preprocess=lambda _, x: x.float(),
            network=lambda *_, sign=sign: lambda x: sign * quarters(x),
        )
        register(monkeypatch, extractor)


def quarters(x: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.adaptive_avg_pool2d(x, 2).flatten(1)


def images(seed: int, count: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    shades = rng.integers(0, 200, (count, 1, 1, 3))
    return (shades + rng.integers(0, 56, (count, 6, 8, 3))).astype(np.uint8)


def embedded(shown: NDArray[np.uint8]) -> NDArray[np.float32]:
    return quarters(torch.from_numpy(shown).permute(0, 3, 1, 2).float()).numpy()


def moments(features: NDArray[Any]) -> dict[str, NDArray[Any]]:
    return {"mu": features.mean(axis=0), "sigma": np.cov(features, rowvar=False)}


def reference_batch(path: Path, **more: Any) -> dict[str, NDArray[Any]]:
    """Write a batch as guided-diffusion's; its statistics are of more images than it holds."""
    of_more = moments(embedded(images(7, 60)))
    arrays = {**of_more, "mu_s": np.zeros(5), "sigma_s": np.eye(5), "arr_0": images(0, 20)}
    np.savez(path, **{**arrays, **more})
    return of_more


def scored(
    real: Path, fake: Path, extractor: str | None = None, metrics: tuple[str, ...] = ()
) -> Score:
    own = Embedding(extractor, real.parent, device="cpu", batch=4)
    choice = ALL_PAIRS if not metrics or "kid" in metrics else None
    return score(real, fake, own, metrics, choice=choice)


def test_the_distance_is_of_a_reference_batchs_statistics_and_all_else_of_its_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    real, fake = tmp_path / "ref.npz", tmp_path / "fake.npz"
    of_more = reference_batch(real)
    np.savez(fake, images(1, 15), np.zeros(15, np.int64))  # as its samples: images, then labels
    found = scored(real, fake)
    ours, theirs = embedded(images(1, 15)), embedded(images(0, 20))
    gaussian = GaussianStats.from_moments(of_more["mu"], of_more["sigma"])
    assert found.extractor == EXTRACTORS.make(ITS_OWN)
    assert found.values["frechet"].value == pytest.approx(Frechet().compute(ours, gaussian).value)
    assert found.values["frechet"].low == pytest.approx(Frechet().compute(ours, gaussian).low)
    assert found.values["kernel"].value == pytest.approx(Kernel().compute(ours, theirs).value)
    assert found.values["precision"] == Precision().compute(ours, theirs)
    assert found.counts == (20, 15)
    assert found.notes[0] == (
        f"{real}: the distance is of its mu and sigma, of {ITS_OWN}; all else of its 20 images"
    )
    told = capsys.readouterr().err.splitlines()
    assert f"{real}: mu, sigma, arr_0 read, not read: mu_s, sigma_s" in told
    assert f"{fake}: arr_0 read, not read: arr_1" in told


def test_no_image_of_a_reference_batch_is_read_for_the_distance_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, fake = tmp_path / "ref.npz", tmp_path / "fake.npy"
    of_more = reference_batch(real)
    np.save(fake, embedded(images(1, 15)))
    monkeypatch.setattr(module, "embed_images", None)
    found = scored(real, fake, metrics=("fd",)).values["frechet"].value
    gaussian = GaussianStats.from_moments(of_more["mu"], of_more["sigma"])
    assert found == pytest.approx(Frechet().compute(embedded(images(1, 15)), gaussian).value)
    assert scored(real, real, metrics=("fd",)).values["frechet"].value == 0


def test_what_is_known_of_images_that_are_not_read_is_told(tmp_path: Path) -> None:
    """Of a reference batch the shape, of features and statistics their number."""
    batch, fake, features = (tmp_path / name for name in ("a.npz", "b.npy", "c.npy"))
    reference_batch(batch)
    np.save(fake, images(1, 15)[:, :4, :5])
    np.save(features, embedded(images(1, 15)))
    kept = tmp_path / "kept.npz"
    save(features, Embedding(ITS_OWN, tmp_path), kept)

    def told(real: Path, fake: Path) -> list[str]:
        return [n for n in scored(real, fake, ITS_OWN, ("fd",)).notes if n.startswith("the two")]

    assert told(batch, fake) == ["the two differ in size: 8×6 against 5×4"]
    assert told(batch, features) == []
    np.save(fake, images(1, 14))
    assert told(batch, fake) == []
    for known in (features, kept):
        assert told(known, fake) == ["the two differ in number: 15 images against 14"]
    assert told(features, kept) == []


def test_statistics_of_another_network_are_left_out_by_name(tmp_path: Path) -> None:
    real, fake = tmp_path / "ref.npz", tmp_path / "fake.npy"
    reference_batch(real)
    np.save(fake, images(1, 15))
    found = scored(real, fake, ANOTHER, ("fd",))
    expected = Frechet().compute(-embedded(images(1, 15)), -embedded(images(0, 20))).value
    assert found.values["frechet"].value == pytest.approx(expected)
    assert found.notes[0] == (
        f"{real}: its mu and sigma are of {ITS_OWN}, not {ANOTHER}: the distance is of its images"
    )


def test_statistics_kept_of_a_reference_batch_are_those_of_its_images(tmp_path: Path) -> None:
    real, file = tmp_path / "ref.npz", tmp_path / "own.npz"
    reference_batch(real)
    save(real, Embedding(None, tmp_path, device="cpu"), file)
    with np.load(file) as kept:
        np.testing.assert_allclose(kept["mu"], embedded(images(0, 20)).mean(axis=0), rtol=1e-6)
        assert str(kept["extractor"]) == ITS_OWN


def test_opening_a_reference_batch_reads_none_of_its_images(tmp_path: Path) -> None:
    path = tmp_path / "ref.npz"
    reference_batch(path, arr_0=np.zeros((400, 128, 128, 3), np.uint8))
    open_input(path)  # imports
    tracemalloc.start()
    try:
        opened = open_input(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(opened, ImageInput)
    assert opened.count == 400
    assert peak < 2e6  # of 19.7 MB


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


FEATURES = np.random.default_rng(3).normal(size=(20, 12))
OTHERS = {
    "dgm-eval": (
        {"model": np.array("dinov2"), "reps": FEATURES},
        "reps read, not read: hparams",
    ),
    "score_sde": (
        {"pool_3": FEATURES, "logits": np.zeros((20, 1008), np.float32)},
        "pool_3 read, not read: logits, hparams",
    ),
    "clean-fid": ({"feats": FEATURES, "names": np.array(["a"] * 20)}, "feats read, not read: na"),
    "labelled": ({"x": FEATURES}, "x read, not read: hparams"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_features_of_other_programs_are_read_and_nothing_is_unpickled(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays, line = OTHERS[kind]
    path, plain, trap = tmp_path / "f.npz", tmp_path / "f.npy", tmp_path / "unpickled"
    np.savez(path, **arrays, hparams=np.array(Trap(trap), object))
    np.save(plain, FEATURES)
    fake = tmp_path / "fake.npy"
    np.save(fake, FEATURES[:15] + 0.3)
    found = scored(path, fake)
    assert found.values == scored(plain, fake).values
    assert f"{path}: {line}" in capsys.readouterr().err
    assert not trap.exists()


def test_an_array_of_objects_beside_statistics_is_not_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, trap = tmp_path / "s.npz", tmp_path / "unpickled"
    known = moments(FEATURES)
    np.savez(path, **known, count=np.array(20), config=np.array([Trap(trap)], object))
    opened = open_input(path)
    assert isinstance(opened, Statistics)
    np.testing.assert_allclose(opened.gaussian.covariance, known["sigma"], atol=1e-12)
    assert opened.facts == {"count": 20}
    assert capsys.readouterr().err == f"{path}: mu, sigma read, not read: config\n"
    assert not trap.exists()


@pytest.mark.parametrize(
    "beside", [FEATURES, np.zeros(20, np.int64), np.zeros((3, 4, 4), np.uint8)]
)
def test_beside_statistics_nothing_but_images_is_read(
    beside: NDArray[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "s.npz"
    np.savez(path, **moments(FEATURES), arr_0=beside)
    assert isinstance(open_input(path), Statistics)
    assert capsys.readouterr().err == f"{path}: mu, sigma read, not read: arr_0\n"


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": FEATURES, "b": FEATURES}, "holds a, b: give mu and sigma, or one array"),
        ({"reps": np.array([{}], object)}, "object of shape (1,): images must be uint8 N×H×W×3"),
        ({"arr_0": np.array({}, object)}, "object of shape (): images must be uint8 N×H×W×3"),
        ({}, "holds nothing: give mu and sigma, or one array"),
        (
            {"mu": np.array([{}], object), "sigma": np.eye(1)},
            "mu is object, sigma float64: they must be real numbers",
        ),
    ],
)
def test_files_without_anything_to_read_are_refused(
    arrays: dict[str, Any], message: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(BenchmarkError) as caught:
        open_input(tmp_path / "a.npz")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
