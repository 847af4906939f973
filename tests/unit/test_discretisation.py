"""The chains of DDPM and SMLD become the VP and the VE SDE as their times grow in number."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from analytic import order
from plot_discretisation import (
    LENGTHS,
    PANELS,
    VE_SDE,
    noising_of_ddpm,
    noising_of_smld,
    plot,
    sampling_of_ddpm,
    sampling_of_smld,
    smld,
)


@pytest.mark.parametrize("error_of", [noising_of_ddpm, noising_of_smld])
def test_noising_approaches_the_sde_at_order_one(error_of: Callable[[int], float]) -> None:
    errors = [error_of(length) for length in LENGTHS]
    assert order(LENGTHS, errors) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("error_of", [sampling_of_ddpm, sampling_of_smld])
def test_sampling_approaches_the_reverse_sde_towards_order_one(
    error_of: Callable[[int], float],
) -> None:
    errors = [error_of(length) for length in LENGTHS]
    assert order(LENGTHS[-2:], errors[-2:]) == pytest.approx(1, abs=0.2)
    assert errors == sorted(errors, reverse=True)


def test_smld_has_the_variance_of_the_ve_sde_at_its_times() -> None:
    levels = smld(100).sigma(np.arange(100))
    assert np.allclose(levels, VE_SDE.sigma(np.linspace(0, 1, 100)), rtol=1e-12)


def test_does_the_plot_show_both_chains(tmp_path: Path) -> None:
    png, svg = plot(tmp_path)
    assert 5_000 < png.stat().st_size < 60_000
    for curves in PANELS.values():
        for label in curves:
            assert f">{label}, order 1<" in svg.read_text()
