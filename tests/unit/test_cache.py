"""The cache returns the bits that are computed, only for the same features and the same code."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

from benchmark.metrics import frechet
from benchmark.metrics.base import Features
from benchmark.metrics.frechet import GaussianStats, frechet_distance, statistics
from benchmark.metrics.memorisation import Bank, distinct
from benchmark.storage.cache import cached

OWN = """
import numpy as np
from benchmark.metrics.memorisation import Bank


def compute(features):
    return Bank(np.arange(len(features)), np.ones(len(features)))
"""
FEATURES = np.random.default_rng(0).normal(size=(60, 12)).astype(np.float32)


def in_order(features: Features) -> Bank:
    return Bank(np.arange(len(features)), np.ones(len(features)))


def reversed_order(features: Features) -> Bank:
    return Bank(np.arange(len(features))[::-1], np.ones(len(features)))


@pytest.mark.parametrize("rows", [7, 60])  # fewer images than dimensions, and more
def test_distances_have_the_same_bits_with_and_without_what_is_kept(
    rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, fake = FEATURES[:rows], statistics(FEATURES[::-2])
    first = cached(statistics, real, tmp_path, GaussianStats)
    monkeypatch.setattr(frechet, "check_features", None)  # nothing can be computed any more
    second = cached(statistics, real.copy(), tmp_path, GaussianStats)
    monkeypatch.undo()
    fresh = statistics(real)
    assert len({frechet_distance(fake, gaussian) for gaussian in (fresh, first, second)}) == 1
    assert len(list(tmp_path.glob("*.npz"))) == 1


def test_near_duplicates_that_are_kept_are_those_that_are_found(tmp_path: Path) -> None:
    doubled = np.concatenate([FEATURES, FEATURES[:5]])
    for _ in range(2):
        found = cached(distinct, doubled, tmp_path, Bank)
        np.testing.assert_array_equal(found.rows, np.arange(60))
        np.testing.assert_array_equal(found.gaps, distinct(doubled).gaps)


def test_other_features_functions_and_code_have_results_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def count() -> int:
        return len(list(tmp_path.glob("*.npz")))

    def keep(features: Features) -> GaussianStats:
        return cached(statistics, features, tmp_path, GaussianStats)

    keep(FEATURES)
    np.testing.assert_allclose(keep(FEATURES + 1).mean, FEATURES.mean(axis=0) + 1, rtol=1e-5)
    keep(FEATURES.astype(np.float64))
    keep(FEATURES.reshape(30, 24))
    assert count() == 4
    for compute in (distinct, reversed_order):
        cached(compute, FEATURES, tmp_path, Bank)
    assert count() == 6
    cached(in_order, FEATURES, tmp_path, Bank)
    assert count() == 7
    monkeypatch.syspath_prepend(tmp_path)
    own = tmp_path / "own_metric.py"
    for version, code in enumerate((OWN, OWN + "\n# a comment\n", OWN + "\nedited = 1\n")):
        own.write_text(code)
        cached(importlib.import_module("own_metric").compute, FEATURES, tmp_path, Bank)
        assert count() == (8 if version < 2 else 9)


def test_any_changed_byte_of_what_is_kept_is_harmless(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = cached(statistics, FEATURES, tmp_path, GaussianStats)
    [path] = tmp_path.glob("*.npz")
    written = path.read_bytes()
    for at in range(0, len(written), 7):
        changed = bytearray(written)
        changed[at] ^= 4
        path.write_bytes(changed)
        found = cached(statistics, FEATURES, tmp_path, GaussianStats)
        for name, array in vars(expected).items():
            np.testing.assert_array_equal(getattr(found, name), array)
    assert "damaged: " in capsys.readouterr().err
