"""Weights of models and of the network of features are fetched before a run, and not again."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from networks import register, with_facts
from test_extractors import internet
from test_pretrained import Hub, ddpm, hub, sde

from benchmark.core.errors import BenchmarkError
from benchmark.extractors import EXTRACTORS
from benchmark.storage.paths import CACHE
from benchmark.tools.fetching import fetch

__all__ = ["ddpm", "hub", "internet", "sde"]  # fixtures

CONTENT = b"the published weights"
ADDRESS = "https://weights.invalid/w.pth"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config of weights on a hub, judged by a network whose weights are downloaded too."""
    known = EXTRACTORS.make("inception-v3-fid")
    digest = hashlib.sha256(CONTENT).hexdigest()
    weights = dataclasses.replace(
        known.weights, file="w.pth", sha256=digest, size=len(CONTENT), mirrors=(ADDRESS,)
    )
    register(monkeypatch, with_facts(known, "far", label="FD-far", weights=weights))
    source = {"kind": "diffusers", "source": "google/tiny", "revision": Hub.commit}
    content: dict[str, Any] = {
        "run": "mine",
        "data": {"faces": {"source": "avatars", "resolution": 8, "train": 24, "held_out": 8}},
        "models": {"DDPM": {"family": "DDPM", "data": "faces", "weights": source}},
        "grid": [
            {
                "table": "t",
                "model": "DDPM",
                "schedule": "linear",
                "sampler": "ddpm",
                "steps": 2,
                "samples": 4,
            }
        ],
        "evaluation": {"extractor": "far", "metrics": {"fd": {"kind": "frechet"}}},
    }
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_weights_are_fetched_once(
    hub: Hub, ddpm: Path, config: Path, internet: dict[str, bytes | Exception], tmp_path: Path
) -> None:
    hub.folder = ddpm
    internet[ADDRESS] = CONTENT
    results = tmp_path / "results"
    assert [*fetch(config, results)] == ["models.DDPM.weights", "evaluation.extractor"]
    assert (results / CACHE / "weights" / "w.pth").read_bytes() == CONTENT
    hub.requests.clear()
    internet.clear()
    assert [*fetch(config, results)] == []
    assert hub.requests == []


def test_what_was_fetched_before_a_failure_is_kept(
    hub: Hub, ddpm: Path, config: Path, internet: dict[str, bytes | Exception], tmp_path: Path
) -> None:
    hub.folder = ddpm
    results = tmp_path / "results"
    with pytest.raises(BenchmarkError, match=r"w\.pth: missing, and cannot be downloaded"):
        [*fetch(config, results)]
    internet[ADDRESS] = CONTENT
    assert [*fetch(config, results)] == ["evaluation.extractor"]
