"""The diffusion transformer against its statement in plain sums, and its numbers in the paper."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray
from pydantic import ValidationError

from benchmark.config.loading import parse_config
from benchmark.core.errors import BenchmarkError
from benchmark.models.modules.dit import DiTModule, position_embedding
from benchmark.models.networks.dit import DiT

torch.set_num_threads(1)
Array = NDArray[np.float64]
SMOKE = Path(__file__).parents[1] / "workflow" / "smoke.yaml"
SMALL = DiT(patch=2, width=24, depth=2, heads=3, mlp_ratio=2)


class Statement:
    """The network once more, in NumPy, token by token and pixel by pixel.

    It keeps the names of the weights that it read.
    """

    def __init__(self, network: DiTModule) -> None:
        self.weights = {k: v.double().numpy() for k, v in network.state_dict().items()}
        self.read: set[str] = set()

    def __call__(self, spec: DiT, x: Array, t: float) -> Array:
        """Predict from one image, C×H×W."""
        p, (channels, height, width) = spec.patch, x.shape
        angles = t * 10_000 ** (-np.arange(128) / 128)
        time = self.linear(
            "time_embedding.linear_1", np.concatenate([np.cos(angles), np.sin(angles)])
        )
        time = _silu(self.linear("time_embedding.linear_2", _silu(time)))
        places = [(i, j) for i in range(height // p) for j in range(width // p)]
        tokens = np.stack(
            [
                self.linear("embed", x[:, i * p : i * p + p, j * p : j * p + p].reshape(-1))
                + np.concatenate([_wave(j, spec.width // 2), _wave(i, spec.width // 2)])
                for i, j in places
            ]
        )
        for block in range(spec.depth):
            tokens = self.block(f"blocks.{block}.", spec, tokens, time)
        shift, scale = np.split(self.linear("modulation", time), 2)
        out = np.zeros(x.shape)
        for token, (i, j) in zip(tokens, places, strict=True):
            pixels = self.linear("out", _normed(token) * (1 + scale) + shift)
            out[:, i * p : i * p + p, j * p : j * p + p] = pixels.reshape(channels, p, p)
        return out

    def block(self, name: str, spec: DiT, x: Array, time: Array) -> Array:
        a1, b1, g1, a2, b2, g2 = np.split(self.linear(f"{name}modulation", time), 6)
        h = np.stack([_normed(token) * (1 + b1) + a1 for token in x])
        q, k, v = np.split(np.stack([self.linear(f"{name}qkv", token) for token in h]), 3, axis=1)
        size = spec.width // spec.heads
        seen = np.zeros_like(x)
        for start in range(0, spec.width, size):
            part = slice(start, start + size)
            weights = np.exp(q[:, part] @ k[:, part].T / math.sqrt(size))
            seen[:, part] = weights / weights.sum(1, keepdims=True) @ v[:, part]
        x = x + np.stack([g1 * self.linear(f"{name}project", token) for token in seen])
        added = []
        for token in x:
            hidden = self.linear(f"{name}mlp.0", _normed(token) * (1 + b2) + a2)
            cubic = math.sqrt(2 / math.pi) * (hidden + 0.044715 * hidden**3)
            added.append(g2 * self.linear(f"{name}mlp.2", hidden * (1 + np.tanh(cubic)) / 2))
        return x + np.stack(added)

    def linear(self, name: str, x: Array) -> Array:
        self.read |= {f"{name}.weight", f"{name}.bias"}
        out: Array = self.weights[f"{name}.weight"] @ x + self.weights[f"{name}.bias"]
        return out


def _silu(x: Array) -> Array:
    out: Array = x / (1 + np.exp(-x))
    return out


def _normed(x: Array) -> Array:
    out: Array = (x - x.mean()) / np.sqrt(x.var() + 1e-6)
    return out


def _wave(place: int, width: int) -> Array:
    angles = place * 10_000 ** (-np.arange(width // 2) / (width // 2))
    return np.concatenate([np.sin(angles), np.cos(angles)])


def _with_random_weights(spec: DiT) -> DiTModule:
    generator = torch.Generator().manual_seed(0)
    network = DiTModule(spec)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return network.double()


@pytest.mark.parametrize(
    "spec",
    [SMALL, DiT(patch=4, width=8, depth=1, heads=1), DiT(patch=1, width=12, depth=3, heads=2)],
)
def test_it_is_its_statement(spec: DiT) -> None:
    network = _with_random_weights(spec)
    x = torch.randn(2, 3, 8, 4, generator=torch.Generator().manual_seed(1)).double()
    times = [3.0, 812.0]
    found = network(x, torch.tensor(times)).detach().numpy()
    statement = Statement(network)
    expected = np.stack(
        [statement(spec, image, t) for image, t in zip(x.numpy(), times, strict=True)]
    )
    # the network embeds times and places in float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-4 * np.abs(expected).max())
    assert statement.read == set(network.state_dict())


def test_dit_s_of_the_paper_has_33_million_parameters() -> None:
    with torch.device("meta"):
        network = DiTModule(DiT(image_channels=4))
    width, depth = 384, 12
    block = 12 * width**2 + 9 * width + 6 * width * (width + 1)
    ends = 16 * width + width + 2 * width * (width + 1) + 16 * (width + 1)
    time = 256 * width + width + width * (width + 1)
    count = sum(p.numel() for p in network.parameters())
    assert count == depth * block + ends + time
    assert abs(count / 33e6 - 1) < 0.02  # table 1, which counts classes and variances too


def test_a_fresh_network_predicts_nothing_and_learns() -> None:
    network = DiTModule(SMALL)
    x, t = torch.randn(4, 3, 8, 8), torch.tensor([1.0, 100.0, 500.0, 999.0])
    assert not network(x, t).any()
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    losses = []
    for _ in range(60):
        loss = (network(x, t) - x).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
    assert all(p.grad is not None and p.grad.any() for p in network.parameters())


def test_places_are_told_apart() -> None:
    found = position_embedding(5, 7, 16)
    assert found.shape == (35, 16)
    assert len(torch.unique(found, dim=0)) == 35


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"width": 10, "heads": 4}, "width: 10 is not a multiple of heads, 4"),
        ({"width": 6, "heads": 3}, "width: 6 is not a multiple of 4"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, int], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        DiT.model_validate(options)


@pytest.mark.parametrize(
    ("network", "schedule", "said"),
    [
        ({"kind": "dit", "patch": 3}, "linear", "patch 3 does not divide the resolution 16"),
        ({"kind": "dit"}, "ve", "embeds times, and the schedule ve tells noise levels"),
        ({"kind": "unet-2015"}, "ve", "embeds times, and the schedule ve tells noise levels"),
    ],
)
def test_a_config_in_which_it_cannot_learn_is_refused(
    network: dict[str, Any], schedule: str, said: str
) -> None:
    content = yaml.safe_load(SMOKE.read_text())
    [name] = content["networks"]
    content["networks"][name] = network
    content["grid"] = [
        entry | {"schedule": schedule, "sampler": "ddim"} for entry in content["grid"]
    ]
    with pytest.raises(
        BenchmarkError, match=rf"(networks\.{name}|models\.DDPM\.network): .*{said}"
    ):
        parse_config(content)


def test_a_patch_that_does_not_divide_the_images_is_refused() -> None:
    with pytest.raises(ValueError, match=r"networks\.a: patch 3 does not divide the resolution 8"):
        DiT(patch=3).check_fits("networks.a", 8)
    with pytest.raises(BenchmarkError, match="multiple of 3, not 8"):
        DiT(patch=3).build(8)
