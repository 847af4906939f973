"""Networks on a CPU in bfloat16: packed convolutions, norms in float32, times that are equal."""

from __future__ import annotations

import copy
import warnings

import pytest
import torch
from torch import Tensor, nn

from benchmark.models.modules.unet import UNetModule
from benchmark.models.networks.unet import UNet
from benchmark.runtime.device import arithmetic, placed, seeded
from benchmark.runtime.packing import PackedConvolution, pack_convolutions

CPU = torch.device("cpu")


def network(classes: int | None = None) -> UNetModule:
    with seeded(0):
        spec = UNet(channels=[8, 16], layers=1, attention=[False, True], groups=4)
        built = UNetModule(spec.model_copy(update={"classes": classes}))
    return built.requires_grad_(False)


def images(count: int = 3) -> Tensor:
    drawn = torch.randn(count, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    return drawn.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    "options",
    [
        {"padding": 1},
        {"padding": 1, "stride": 2, "bias": False},
        {"padding": "same", "dilation": 2},
        {"padding": "valid"},
        {"padding": (2, 0), "groups": 2},
    ],
)
@torch.inference_mode()
def test_a_packed_convolution_is_that_of_autocast(options: dict[str, object]) -> None:
    with seeded(0):
        layers = nn.Sequential(nn.Conv2d(4, 6, 3, **options))  # type: ignore[arg-type]
    layers = layers.to(memory_format=torch.channels_last)
    packed = copy.deepcopy(layers)
    pack_convolutions(packed)
    assert isinstance(packed[0].forward, PackedConvolution)
    assert packed.state_dict().keys() == layers.state_dict().keys()
    for count in (2, 5):  # the layout is chosen for the first
        x = torch.randn(count, 4, 9, 9).contiguous(memory_format=torch.channels_last)
        with arithmetic("bf16", CPU):
            expected, found = layers(x), packed(x)
        assert found.dtype == torch.bfloat16
        torch.testing.assert_close(found, expected, rtol=2**-7, atol=2**-9)


def test_what_is_no_plain_convolution_is_left_as_it_is() -> None:
    class Own(nn.Conv2d):
        """May do something else."""

    layers = nn.Sequential(
        nn.Conv2d(3, 3, 3, padding=1, padding_mode="circular"), Own(3, 3, 1), nn.Conv1d(3, 3, 1)
    )
    with warnings.catch_warnings(action="ignore"):  # an old name of torch's
        layers.append(nn.utils.weight_norm(nn.Conv2d(3, 3, 1)))
    layers.append(nn.Conv2d(3, 3, 2, padding="same"))  # more zeros behind than before
    pack_convolutions(layers)
    assert not any(isinstance(layer.forward, PackedConvolution) for layer in layers)


@pytest.mark.parametrize("lacks", ["bfloat16", "oneDNN"])
def test_without_bfloat16_or_onednn_convolutions_are_kept(
    lacks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if lacks == "oneDNN":
        monkeypatch.setattr(torch._C, "_has_mkldnn", False)
    else:
        monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    layers = nn.Sequential(nn.Conv2d(3, 3, 1))
    pack_convolutions(layers)
    assert not isinstance(layers[0].forward, PackedConvolution)


def test_norms_of_other_classes_and_types_are_left_as_they_are() -> None:
    class Told(nn.GroupNorm):
        """Has a second input."""

        def forward(self, x: Tensor, scale: Tensor) -> Tensor:  # type: ignore[override]
            return super().forward(x) * scale

    told, exact = placed(Told(2, 4), CPU), placed(nn.GroupNorm(2, 4).double(), CPU)
    x = torch.randn(2, 4, 3, 3)
    assert torch.equal(told(x, torch.ones(())), nn.GroupNorm(2, 4)(x))
    assert exact(x.double()).dtype == torch.float64


@torch.inference_mode()
def test_norms_compute_in_float32_and_the_network_is_as_near_as_rounding_lets_it() -> None:
    plain = network()
    fast = placed(copy.deepcopy(plain), CPU)
    seen: list[torch.dtype] = []
    last_norm = fast.get_submodule("conv_norm_out")
    last_norm.register_forward_hook(lambda _, __, output: seen.append(output.dtype))
    pack_convolutions(fast)
    x, t = images(), torch.tensor([5, 100, 900])
    with arithmetic("bf16", CPU):
        rough = fast(x, t).float()
        before = plain(x, t).float()
    exact = plain(x, t)
    assert seen == [torch.float32]
    error, error_before = ((each - exact).norm() / exact.norm() for each in (rough, before))
    assert error < 0.02
    assert error < 1.2 * error_before
    torch.testing.assert_close(placed(copy.deepcopy(plain), CPU)(x, t), exact)  # in float32


@torch.inference_mode()
@pytest.mark.parametrize(
    ("classes", "labels"), [(None, None), (3, None), (3, torch.tensor([0, 2, 1]))]
)
def test_a_time_that_all_images_have_is_embedded_once(
    classes: int | None, labels: Tensor | None
) -> None:
    built, x = network(classes), images()
    rows: list[int] = []
    built.time_embedding.register_forward_hook(lambda _, __, output: rows.append(len(output)))
    each = built(x, torch.full((3,), 500), labels)
    once = built(x, torch.full((1,), 500).expand(3), labels)
    assert rows == [3, 1]
    torch.testing.assert_close(once, each, rtol=1e-5, atol=1e-6)
