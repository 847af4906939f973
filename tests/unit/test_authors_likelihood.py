"""Bits per dimension against the code of the SDE paper's authors, of which a checkout is given.

git clone https://github.com/yang-song/score_sde_pytorch
SCORE_SDE=score_sde_pytorch uv run pytest tests/unit/test_authors_likelihood.py
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from analytic import Model, scales
from torch import Tensor, nn

from benchmark.diffusion.denoiser import Estimate
from benchmark.diffusion.likelihood import bits_per_dimension, log_density
from benchmark.diffusion.processes.base import Process
from benchmark.diffusion.processes.sub_vp import SubVP
from benchmark.diffusion.processes.ve import VE
from benchmark.diffusion.processes.vp import VP

CHECKOUT = os.environ.get("SCORE_SDE", "")
pytestmark = pytest.mark.skipif(
    not CHECKOUT, reason="give a checkout of score_sde_pytorch in SCORE_SDE"
)
PROCESSES = {"VPSDE": VP(0.1, 20.0), "subVPSDE": SubVP(0.1, 20.0), "VESDE": VE(0.01, 50.0)}
TOLERANCE = 1e-8


@pytest.fixture
def authors(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """Return the authors' modules, which compute in float64 here.

    In float32, as they ask for, the least noise of VP and sub-VP, √(1 − α²) = 0.001, has two or
    three digits, which moves bits by 2e-5, and the solver cannot be asked for closer steps.
    """
    monkeypatch.syspath_prepend(str(Path(CHECKOUT).absolute()))
    monkeypatch.setattr(torch, "float32", torch.float64)
    torch.set_default_dtype(torch.float64)
    names = ("likelihood", "sde_lib")
    yield SimpleNamespace(**{name: importlib.import_module(name) for name in names})
    monkeypatch.undo()
    torch.set_default_dtype(torch.float32)


def noise_in(x: Tensor, alpha: Any, sigma: Any) -> Tensor:
    """Return the noise that a network sees: it is not linear, and pixels depend on each other."""
    linear = sigma * x / (0.3 * alpha**2 + sigma**2)
    found: Tensor = linear + 0.2 * alpha * sigma * (2 * x.roll(1, 2) / (1 + sigma)).sin()
    return found


class Stub(nn.Module):
    """The same network as the authors call one."""

    def __init__(self, process: Process) -> None:
        super().__init__()
        self.process = process

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Return the noise for times 999 t, and of the VE SDE the score for σ; B×C×H×W."""
        if isinstance(self.process, VE):
            sigma = labels[:, None, None, None]
            return -noise_in(x, 1.0, sigma) / sigma
        t = labels[:, None, None, None] / 999
        return noise_in(x, self.process.alpha(t), self.process.sigma(t))


def ours(process: Process) -> Model:
    def model(x: Tensor, t: float) -> Estimate:
        alpha, sigma = scales(process, t)
        return Estimate(None, noise_in(x, alpha, sigma), alpha, sigma, x)

    return model


@pytest.mark.parametrize("key", list(PROCESSES))
def test_bits_are_those_of_the_authors(authors: SimpleNamespace, key: str) -> None:
    process = PROCESSES[key]
    low, high = process.data_range
    generator = torch.Generator().manual_seed(1)
    x_0 = low + (high - low) * torch.rand(3, 3, 4, 4, generator=generator)
    kinds = {"VESDE": {"sigma_min": 0.01, "sigma_max": 50}}
    sde = getattr(authors.sde_lib, key)(**kinds.get(key, {"beta_min": 0.1, "beta_max": 20}))

    def unscaled(x: float) -> float:
        return (x - low) / (high - low)

    likelihood = authors.likelihood.get_likelihood_fn(sde, unscaled, rtol=TOLERANCE, atol=TOLERANCE)
    torch.manual_seed(2)
    theirs, _, _ = likelihood(Stub(process), x_0)
    torch.manual_seed(2)
    probe = torch.randint_like(x_0, low=0, high=2).double() * 2 - 1
    found = log_density(ours(process), process, x_0.double(), [probe], TOLERANCE)
    bits = bits_per_dimension(process, found.log, x_0[0].numel())
    print(f"{key}: {np.abs(bits - theirs.numpy()).max():.1e} bits per dimension apart")
    assert np.abs(bits - theirs.numpy()).max() <= 1e-5
