from __future__ import annotations

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.core.seeds import stream_seed
from benchmark.diffusion.noise import BLOCK_VALUES, NoiseStream

SHAPE = (3, 32, 32)


@settings(max_examples=10, deadline=None)
@given(cut=st.integers(1, 7), seed=st.integers(0, 2**31), draws=st.integers(1, 15))
def test_sample_has_the_same_noise_whatever_its_batch(cut: int, seed: int, draws: int) -> None:
    whole = NoiseStream(seed, range(8), SHAPE)
    parts = [NoiseStream(seed, range(cut), SHAPE), NoiseStream(seed, range(cut, 8), SHAPE)]
    for _ in range(draws):
        assert torch.equal(whole(), torch.cat([part() for part in parts]))


def test_noise_differs_between_samples_draws_and_seeds() -> None:
    stream = NoiseStream(0, range(3), SHAPE)
    drawn = [*stream(), *stream(), *NoiseStream(1, range(3), SHAPE)()]
    assert len({tuple(z.flatten()[:4].tolist()) for z in drawn}) == len(drawn)


def test_noise_is_standard_normal_and_uncorrelated_between_draws() -> None:
    stream = NoiseStream(0, range(64), SHAPE)
    z = torch.stack([stream() for _ in range(12)]).double()  # more than one block
    assert abs(z.mean()) < 5 / z.numel() ** 0.5
    assert abs(z.var() - 1) < 5 * (2 / z.numel()) ** 0.5
    rows = z.flatten(2).flatten(0, 1)  # (12·64, d)
    correlation = rows @ rows.T / rows.shape[1] - torch.eye(len(rows))
    assert correlation.fill_diagonal_(0).abs().max() < 6.5 / rows.shape[1] ** 0.5


def test_the_first_draw_is_made_without_those_that_may_never_be_asked_for() -> None:
    stream = NoiseStream(0, range(2), SHAPE)
    first = stream()
    assert first.untyped_storage().nbytes() == 2 * math.prod(SHAPE) * 4
    generator = torch.Generator().manual_seed(stream_seed("noise", 0))
    at_once = torch.empty(4, *SHAPE).normal_(generator=generator)
    assert torch.equal(torch.stack([first[0], *(stream()[0] for _ in range(3))]), at_once)


def test_does_a_large_image_work_though_it_exceeds_a_block() -> None:
    shape = (1, 200, 200)
    assert BLOCK_VALUES < 200 * 200
    stream = NoiseStream(0, [5], shape, dtype=torch.float64)
    assert stream().shape == (1, *shape)
    assert stream().dtype == torch.float64
