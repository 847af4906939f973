import subprocess
import sys
import types
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor, nn

from benchmark.core.errors import BenchmarkError
from benchmark.models.modules.unet import UNetModule
from benchmark.models.networks.custom import Custom
from benchmark.models.networks.unet import UNet

torch.set_num_threads(1)

REPORT = UNet(channels=(128, 128, 256, 256, 512, 512), attention=(False,) * 4 + (True, False))

FOURIER = UNet(
    channels=(8, 16), attention=(True, False), groups=2, layers=1, time_embedding="fourier"
)

CONFIGS = {
    "as google/ddpm-celebahq-256": UNet(
        channels=(8, 8, 16, 16), attention=(False, False, True, False), groups=8
    ),
    "diffusers' defaults": UNet(
        channels=(12, 16, 24),
        attention=(False, True, True),
        head_channels=8 // 2,
        groups=4,
        norm_eps=1e-5,
        freq_shift=0,
        flip_sin_to_cos=True,
        downsample_padding=1,
    ),
    "fourier": FOURIER,
    "adaptive normalisation": UNet(
        channels=(8, 16), attention=(False, True), groups=4, scale_shift=True
    ),
    "adaptive normalisation as diffusers has it": UNet(
        channels=(8, 16),
        attention=(False, True),
        groups=4,
        scale_shift=True,
        mid_attention_norm=False,
    ),
    "residual blocks that sample": UNet(
        channels=(8, 12, 16), attention=(False, True, True), groups=4, residual_sampling=True
    ),
    "all of the improved U-Net": UNet(
        channels=(8, 16, 16),
        attention=(False, True, False),
        groups=4,
        scale_shift=True,
        residual_sampling=True,
        rescale_skips=True,
        head_channels=4,
    ),
    "rescaled skips": UNet(
        channels=(8, 16), attention=(True, True), groups=4, rescale_skips=True, layers=1
    ),
    "one level, no attention": UNet(
        channels=(6,), attention=(False,), groups=3, layers=3, mid_attention=False, image_channels=1
    ),
    "odd widths": UNet(channels=(9, 5), attention=(True, True), groups=1, freq_shift=0.5),
}


def diffusers_network(spec: UNet) -> Any:
    from diffusers import UNet2DModel

    plain = "Resnet{}sampleBlock2D" if spec.residual_sampling else "{}Block2D"
    kinds = ["Attn{}Block2D" if attends else plain for attends in spec.attention]
    network = UNet2DModel(
        in_channels=spec.image_channels,
        out_channels=spec.image_channels,
        time_embedding_type=spec.time_embedding,
        freq_shift=spec.freq_shift,
        flip_sin_to_cos=spec.flip_sin_to_cos,
        down_block_types=tuple(kind.format("Down") for kind in kinds),
        up_block_types=tuple(kind.format("Up") for kind in reversed(kinds)),
        downsample_type="resnet" if spec.residual_sampling else "conv",
        upsample_type="resnet" if spec.residual_sampling else "conv",
        resnet_time_scale_shift="scale_shift" if spec.scale_shift else "default",
        attn_norm_num_groups=spec.groups if spec.mid_attention_norm else None,
        block_out_channels=spec.channels,
        layers_per_block=spec.layers,
        downsample_padding=spec.downsample_padding,
        attention_head_dim=spec.head_channels,
        norm_num_groups=spec.groups,
        norm_eps=spec.norm_eps,
        add_attention=spec.mid_attention,
    )
    if spec.rescale_skips:  # a setting of its blocks that the network does not offer
        for module in network.modules():
            for name in ("output_scale_factor", "rescale_output_factor"):
                if hasattr(module, name):
                    setattr(module, name, 2**0.5)
    return network


def random_weights(network: nn.Module, seed: int = 0) -> nn.Module:
    """Draw every parameter, also those that start at 0 or 1, so that each counts."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return network.eval()


def images(spec: UNet, batch: int = 3, seed: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    size = 2 * spec.multiple
    x = torch.randn((batch, spec.image_channels, size, size), generator=generator)
    return x, torch.rand(batch, generator=generator) * 999 + 0.1


def assert_close(found: Tensor, expected: Tensor, tolerance: float) -> None:
    """Compare by the largest expected value, as float32 sums in another order differ by that."""
    assert expected.any()
    assert (found - expected).abs().max() <= tolerance * expected.abs().max()


@pytest.mark.parametrize("name", CONFIGS)
def test_outputs_and_names_are_those_of_diffusers(name: str) -> None:
    spec = CONFIGS[name]
    theirs = random_weights(diffusers_network(spec))
    ours = UNetModule(spec)
    ours.load_state_dict(theirs.state_dict())
    x, t = images(spec)
    expected = theirs(x, t).sample
    assert_close(ours(x, t), expected, 1e-5)


@pytest.mark.parametrize("name", CONFIGS)
def test_gradients_are_those_of_diffusers(name: str) -> None:
    spec = CONFIGS[name]
    theirs = random_weights(diffusers_network(spec))
    ours = UNetModule(spec)
    ours.load_state_dict(theirs.state_dict())
    x, t = images(spec)
    theirs(x, t).sample.square().mean().backward()
    ours(x, t).square().mean().backward()
    assert_close(gradient(ours), gradient(theirs), 1e-4)


def gradient(network: nn.Module) -> Tensor:
    parameters = sorted(network.named_parameters())
    return torch.cat([p.grad.flatten() for _, p in parameters if p.grad is not None])


def test_network_of_the_report_has_113_673_219_parameters() -> None:
    with torch.device("meta"):
        ours, theirs = UNetModule(REPORT), diffusers_network(REPORT)
    assert sum(p.numel() for p in ours.parameters()) == 113_673_219
    assert {k: v.shape for k, v in ours.state_dict().items()} == {
        k: v.shape for k, v in theirs.state_dict().items()
    }


def test_what_is_left_out_takes_no_random_numbers() -> None:
    """A training that is done again must begin with the weights of before."""
    spec = UNet(channels=(16, 16), attention=(False, False), groups=4, mid_attention=False)
    torch.manual_seed(0)
    network = UNetModule(spec)
    total = sum(p.double().sum().item() for p in network.parameters())
    assert total == pytest.approx(505.2505581693458)
    assert torch.rand(1).item() == pytest.approx(0.43891507387161255)


def test_patches_are_channels_of_a_coarser_grid() -> None:
    spec = UNet(channels=(8, 16), attention=(False, True), groups=4, patch=2)
    network = random_weights(UNetModule(spec))
    coarse = UNetModule(spec.model_copy(update={"patch": 1, "image_channels": 12}))
    coarse.load_state_dict(network.state_dict())
    x, t = images(spec)
    # (B, C, 2H, 2W) -> (B, 4C, H, W): channel 4c + 2i + j is row i, column j of a patch of c
    b, c, h, w = x.shape
    folded = (
        x.view(b, c, h // 2, 2, w // 2, 2).permute(0, 1, 3, 5, 2, 4).reshape(b, 4 * c, h // 2, -1)
    )
    out = coarse(folded, t).view(b, c, 2, 2, h // 2, w // 2).permute(0, 1, 4, 2, 5, 3)
    torch.testing.assert_close(network(x, t), out.reshape(x.shape))


def test_gated_network_starts_as_the_identity() -> None:
    spec = UNet(channels=(8,), attention=(False,), groups=4, patch=2, output_gates=True)
    x, t = images(spec)
    torch.testing.assert_close(UNetModule(spec)(x, t), x)


def test_gated_score_network_starts_at_minus_x_over_sigma() -> None:
    spec = FOURIER.model_copy(update={"patch": 2, "output_gates": True})
    x, sigma = images(spec)
    torch.testing.assert_close(UNetModule(spec)(x, sigma), -x / sigma[:, None, None, None])


def test_sigma_data_gives_the_input_unit_variance() -> None:
    spec = FOURIER.model_copy(update={"sigma_data": 0.5})
    network = random_weights(UNetModule(spec))
    plain = UNetModule(FOURIER)
    plain.load_state_dict(network.state_dict())
    x, _ = images(spec)
    sigma = torch.tensor([0.01, 0.5, 30.0])
    c_in = torch.tensor([1.9996, 1.41421356, 0.03332870])[:, None, None, None]
    torch.testing.assert_close(network(x, sigma), plain(c_in * x, sigma))


def test_fourier_scale_scales_the_frequencies() -> None:
    frequencies = []
    for scale in (16.0, 2.0):
        torch.manual_seed(0)
        network = UNetModule(FOURIER.model_copy(update={"fourier_scale": scale}))
        frequencies.append(network.state_dict()["time_proj.weight"])
    torch.testing.assert_close(frequencies[0], 8 * frequencies[1])


def test_gates_scale_network_and_input_by_the_time() -> None:
    spec = UNet(channels=(8,), attention=(False,), groups=4, output_gates=True)
    network = random_weights(UNetModule(spec))
    plain = UNetModule(spec.model_copy(update={"output_gates": False})).eval()
    weights = network.state_dict()
    plain.load_state_dict({k: v for k, v in weights.items() if not k.startswith("gates.")})
    x, t = images(spec)
    emb = F.silu(network.time_embedding(network.time_proj(t)))
    gates = emb @ weights["gates.weight"].T + weights["gates.bias"]
    a, b = gates[:, :3, None, None], gates[:, 3:, None, None]
    torch.testing.assert_close(network(x, t), a * plain(x, t) + b * x)
    assert gates.std(0).min() > 1e-3  # the times differ, so this would see a gate without time


def test_every_parameter_learns() -> None:
    spec = UNet(channels=(8, 16), attention=(True, False), groups=4, output_gates=True)
    network = random_weights(UNetModule(spec))
    x, t = images(spec)
    network(x, t).square().mean().backward()
    still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


@given(batch=st.integers(1, 5), seed=st.integers(0, 2**31))
@settings(max_examples=10, deadline=None)
def test_an_image_is_predicted_alike_in_every_batch(batch: int, seed: int) -> None:
    spec = CONFIGS["as google/ddpm-celebahq-256"]
    network = random_weights(UNetModule(spec))
    x, t = images(spec, batch, seed)
    whole = network(x, t)
    alone = network(x[-1:], t[-1:])
    assert_close(whole[-1:], alone, 1e-5)


def test_memory_layout_changes_nothing() -> None:
    spec = UNet(channels=(8, 16), attention=(False, True), groups=4, patch=2, output_gates=True)
    network = random_weights(UNetModule(spec))
    x, t = images(spec)
    expected = network(x, t)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    found = network(x.contiguous(memory_format=torch.channels_last), t)
    assert_close(found, expected, 1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attention": (False,)}, "attention has 1 entries and channels 2"),
        ({"channels": (8, 15)}, "15 is not a multiple of groups, 4"),
        ({"head_channels": 6}, "16 is not a multiple of head_channels, 6"),
        ({"sigma_data": 0.5}, "sigma_data needs time_embedding: fourier"),
        ({"freq_shift": 4}, "freq_shift must be below half of channels.0, 4"),
        ({"channels": ()}, "at least 1 item"),
        ({"layers": 0}, "greater than or equal to 1"),
        ({"chanels": (8, 16)}, "did you mean 'channels'"),
    ],
)
def test_impossible_specs_are_refused(change: dict[str, Any], message: str) -> None:
    good = {"channels": (8, 16), "attention": (False, True), "groups": 4}
    assert UNet(**good)
    with pytest.raises(ValidationError, match=message):
        UNet(**(good | change))


def test_resolution_that_cannot_be_halved_is_refused() -> None:
    spec = UNet(channels=(8, 8), attention=(False, False), groups=4, patch=4)
    assert spec.build(32)(torch.zeros(1, 3, 32, 32), torch.zeros(1)).shape == (1, 3, 32, 32)
    with pytest.raises(BenchmarkError, match="multiple of 8, not 36"):
        spec.build(36)


def test_custom_network_is_built_from_its_factory(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("mine")
    module.network = lambda resolution, width: nn.Linear(resolution, width)  # type: ignore[attr-defined]
    module.number = lambda resolution: resolution  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mine", module)
    spec = Custom(kind="custom", factory="mine:network", options={"width": 5})
    built = spec.build(32)
    assert isinstance(built, nn.Linear)
    assert (built.in_features, built.out_features) == (32, 5)
    with pytest.raises(BenchmarkError, match="mine:number returns int, not a torch module"):
        Custom(kind="custom", factory="mine:number").build(32)


@pytest.mark.parametrize(
    ("factory", "reason"),
    [
        ("no_such_module:network", "No module named 'no_such_module'"),
        ("benchmark.core.errors:network", "has no attribute 'network'"),
        ("benchmark.models.modules.unet:UNetModule", "unexpected keyword argument 'width'"),
    ],
)
def test_custom_network_without_factory_is_one_line(factory: str, reason: str) -> None:
    with pytest.raises(BenchmarkError, match=reason) as caught:
        Custom(kind="custom", factory=factory, options={"width": 5}).build(32)
    assert "\n" not in str(caught.value)


def test_networks_and_checkpoints_are_read_without_torch() -> None:
    code = (
        "import sys; from benchmark.models.networks import NETWORKS; "
        "from benchmark.models.checkpoints import CHECKPOINTS; "
        "NETWORKS.union(); CHECKPOINTS.union(); sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
