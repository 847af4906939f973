"""The first U-Net: sizes as in figure 1 of its paper, and each pixel in its place."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from benchmark.models.modules.unet_2015 import (
    UNet2015Block,
    UNet2015Module,
    cropped,
    mirrored,
    needed,
)
from benchmark.models.networks.unet_2015 import UNet2015

torch.set_num_threads(1)


def test_the_network_of_the_paper_sees_572_pixels_for_388() -> None:
    assert needed(388, 5) == 572


def test_the_network_of_the_paper_has_its_parameters() -> None:
    # By figure 1: of each block k² · in · out + out twice, of each enlargement 4 · in · out + out.
    widths = (64, 128, 256, 512, 1024)
    blocks = [(1, 64), *itertools.pairwise(widths)]
    blocks += [(2 * width, width) for width in widths[:-1]]
    count = sum(9 * a * b + b + 9 * b * b + b for a, b in blocks)
    count += sum(4 * 2 * width * width + width for width in widths[:-1])
    count += 64 + 1  # to the image
    time = 128 * 64 + 64 + 64 * 64 + 64
    with torch.device("meta"):
        network = UNet2015Module(UNet2015(image_channels=1))
    assert sum(p.numel() for p in network.parameters()) == count + time


@given(st.integers(1, 90), st.integers(1, 5))
@settings(deadline=None, max_examples=100)
def test_what_is_seen_halves_without_a_rest_and_suffices(side: int, levels: int) -> None:
    seen = needed(side, levels)
    for _ in range(levels - 1):
        seen -= 4
        assert seen % 2 == 0
        seen //= 2
    seen -= 4
    for _ in range(levels - 1):
        seen = 2 * seen - 4
    assert side <= seen < side + 2 ** (levels + 1)


@given(st.integers(1, 6), st.integers(0, 30))
def test_images_are_mirrored_as_often_as_it_takes(side: int, more: int) -> None:
    x = torch.arange(float(side)).view(1, 1, 1, side)
    row = mirrored(x, 1, side + more)[0, 0, 0].tolist()
    before = more // 2
    assert row[before : before + side] == list(range(side))
    assert all(abs(a - b) == (1 if side > 1 else 0) for a, b in itertools.pairwise(row))


@pytest.mark.parametrize("levels", [1, 2, 3])
@pytest.mark.parametrize(("height", "width"), [(8, 8), (7, 12), (1, 5)])
def test_each_pixel_comes_out_where_it_went_in(levels: int, height: int, width: int) -> None:
    network = UNet2015Module(UNet2015(channels=(2,) * levels, image_channels=1))
    _pass_the_finest_level_on(network)
    x = torch.rand(2, 1, height, width)
    torch.testing.assert_close(network(x, torch.tensor([1.0, 7.0])), x)


def _pass_the_finest_level_on(network: UNet2015Module) -> None:
    """Set all weights to 0 but for those that pass channel 0 on, through the skips only."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        for module in network.modules():
            if isinstance(module, UNet2015Block):
                module.first.weight[0, 0, 1, 1] = 1
                module.second.weight[0, 0, 1, 1] = 1
        network.out.weight[0, 0] = 1


def test_coarse_levels_and_the_time_reach_the_output() -> None:
    torch.manual_seed(0)
    network = UNet2015Module(UNet2015(channels=(4, 8, 8)))
    x, t = torch.rand(2, 3, 8, 8), torch.tensor([1.0, 900.0])
    network(x, t).square().sum().backward()
    unused = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not unused
    swapped = network(x, t.flip(0))
    assert not torch.allclose(network(x, t), swapped)


def test_the_middle_is_cropped() -> None:
    x = torch.arange(36.0).view(1, 1, 6, 6)
    assert cropped(x, 2, 4)[0, 0].tolist() == [[13, 14, 15, 16], [19, 20, 21, 22]]


def test_it_is_built_for_any_side() -> None:
    network = UNet2015(channels=(2, 4)).build(9)
    assert isinstance(network, nn.Module)
    assert network(torch.zeros(1, 3, 9, 9), torch.zeros(1)).shape == (1, 3, 9, 9)
