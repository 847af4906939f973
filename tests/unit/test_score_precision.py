"""`score` with networks that compute in bfloat16."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmark.core.errors import BenchmarkError
from benchmark.extractors import EXTRACTORS
from benchmark.tools.score import save, score
from benchmark.tools.score_embedding import Embedding, embed_images
from benchmark.tools.score_inputs import ImageInput, open_input

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two folders of 24 smooth images with noise, the second darker."""
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for name, most in (("real", 256), ("fake", 200)):
        (root / name).mkdir()
        for number in range(24):
            coarse = Image.fromarray(rng.integers(0, most, (4, 4, 3), np.uint8))
            coarse.resize((32, 32), Image.Resampling.BICUBIC).save(root / name / f"{number}.png")
    return root / "real", root / "fake"


@pytest.fixture
def embedding(tmp_path: Path) -> Embedding:
    return Embedding("efficientnet-lite0", tmp_path, device="cpu", batch=8, threads=1)


def test_the_distance_in_bf16_is_near_that_in_float32_and_says_what_it_is(
    folders: tuple[Path, Path], embedding: Embedding
) -> None:
    names = ["frechet", "kernel"]
    exact = score(*folders, embedding, names)
    found = score(*folders, dataclasses.replace(embedding, precision="bf16"), names)
    one, other = exact.values["frechet"].value, found.values["frechet"].value
    assert one != other
    assert other == pytest.approx(one, rel=0.1)
    assert json.loads(found.to_json())["precision"] == "bf16"
    assert json.loads(exact.to_json())["precision"] == "float32"
    assert ", in bf16: compare it with others in bf16 alone" in found.to_text()
    assert "bf16" not in exact.to_text()


def test_images_are_prepared_in_float32_and_features_are_float32(
    folders: tuple[Path, Path], embedding: Embedding
) -> None:
    seen = []
    network = EXTRACTORS.make("efficientnet-lite0").load(CPU, embedding.cache)

    def forward(x: torch.Tensor) -> torch.Tensor:
        seen.append((x.dtype, torch.is_autocast_enabled("cpu")))
        return network.forward(x)

    watched = dataclasses.replace(network, forward=forward)
    images = open_input(folders[0], None)
    assert isinstance(images, ImageInput)
    in_bf16 = dataclasses.replace(embedding, precision="bf16")
    rough = embed_images(images, watched, CPU, in_bf16)
    assert seen == [(torch.float32, True)] * 3
    exact = embed_images(images, network, CPU, embedding)
    assert rough.dtype == exact.dtype == np.float32
    assert np.corrcoef(rough.ravel(), exact.ravel())[0, 1] > 0.98
    # The mean over the pixels is taken in float32: rounded to bfloat16, few values would be left.
    known = rough[rough != 0]
    assert (known != torch.from_numpy(known).bfloat16().float().numpy()).mean() > 0.9


def test_statistics_are_kept_of_float32_alone(
    folders: tuple[Path, Path], embedding: Embedding, tmp_path: Path
) -> None:
    in_bf16 = dataclasses.replace(embedding, precision="bf16")
    for call in (
        lambda file: save(folders[0], in_bf16, file),
        lambda file: score(*folders, in_bf16, ["frechet"], file),
    ):
        with pytest.raises(
            BenchmarkError, match="--precision bf16: statistics are kept of float32"
        ):
            call(tmp_path / "kept.npz")
        assert not (tmp_path / "kept.npz").exists()


def test_a_precision_without_a_network_is_refused(tmp_path: Path, embedding: Embedding) -> None:
    features = np.random.default_rng(0).normal(size=(9, 4))
    np.save(tmp_path / "a.npy", features)
    in_bf16 = dataclasses.replace(embedding, extractor=None, precision="bf16")
    with pytest.raises(BenchmarkError, match="--precision bf16: no network is needed"):
        score(tmp_path / "a.npy", tmp_path / "a.npy", in_bf16, ["frechet"])


def test_tf32_is_refused_on_a_processor(folders: tuple[Path, Path], embedding: Embedding) -> None:
    with pytest.raises(BenchmarkError, match="tf32 is a format of GPUs"):
        score(*folders, dataclasses.replace(embedding, precision="tf32"), ["frechet"])
