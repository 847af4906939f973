"""DINOv2 with seeded weights. Its published network gave the same features within 5e-7."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from networks import images, relative_error, with_weights
from PIL import Image
from torch import Tensor

from benchmark.extractors import EXTRACTORS
from benchmark.extractors.networks.dinov2 import preprocess_dinov2, resampled_positions

CPU = torch.device("cpu")
WIDTH, DEPTH, SIDE = 128, 3, 37  # SIDE: patches along the images that the network was trained on


def state(seed: int = 0) -> dict[str, Tensor]:
    """A small network's parameters, under the names in the published file."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int, scale: float = 1.0, mean: float = 0.0) -> Tensor:
        return mean + scale * torch.randn(shape, generator=generator)

    def affine(name: str, out: int, *rest: int) -> dict[str, Tensor]:
        weight = normal(out, *rest, scale=(1 / np.prod(rest)) ** 0.5)
        return {f"{name}.weight": weight, f"{name}.bias": normal(out, scale=0.2)}

    def norm(name: str) -> dict[str, Tensor]:
        weight = normal(WIDTH, scale=0.2, mean=1)
        return {f"{name}.weight": weight, f"{name}.bias": normal(WIDTH, scale=0.2)}

    found = {
        "cls_token": normal(1, 1, WIDTH),
        "pos_embed": normal(1, 1 + SIDE**2, WIDTH, scale=0.2),
        "mask_token": normal(1, WIDTH),
        **affine("patch_embed.proj", WIDTH, 3, 14, 14),
        **norm("norm"),
    }
    for block in (f"blocks.{i}" for i in range(DEPTH)):
        found |= norm(f"{block}.norm1") | affine(f"{block}.attn.qkv", 3 * WIDTH, WIDTH)
        found |= affine(f"{block}.attn.proj", WIDTH, WIDTH) | norm(f"{block}.norm2")
        found |= affine(f"{block}.mlp.fc1", 4 * WIDTH, WIDTH)
        found |= affine(f"{block}.mlp.fc2", WIDTH, 4 * WIDTH)
        found |= {f"{block}.ls{i}.gamma": normal(WIDTH) for i in (1, 2)}
    return found


def torchvision_vit(parameters: dict[str, Tensor]) -> torch.nn.Module:
    """torchvision's network with the same parameters, layer scales multiplied into the weights."""
    from torchvision.models import VisionTransformer

    renamed = {
        "class_token": parameters["cls_token"],
        "encoder.pos_embedding": resampled_positions(parameters["pos_embed"]),
        "conv_proj.weight": parameters["patch_embed.proj.weight"],
        "conv_proj.bias": parameters["patch_embed.proj.bias"],
        "encoder.ln.weight": parameters["norm.weight"],
        "encoder.ln.bias": parameters["norm.bias"],
    }
    for i in range(DEPTH):
        ours, theirs = f"blocks.{i}", f"encoder.layers.encoder_layer_{i}"
        scale1, scale2 = (parameters[f"{ours}.ls{j}.gamma"] for j in (1, 2))
        for kind, column in (("weight", (slice(None), None)), ("bias", (slice(None),))):
            renamed |= {
                f"{theirs}.ln_1.{kind}": parameters[f"{ours}.norm1.{kind}"],
                f"{theirs}.ln_2.{kind}": parameters[f"{ours}.norm2.{kind}"],
                f"{theirs}.self_attention.in_proj_{kind}": parameters[f"{ours}.attn.qkv.{kind}"],
                f"{theirs}.self_attention.out_proj.{kind}": (
                    scale1[column] * parameters[f"{ours}.attn.proj.{kind}"]
                ),
                f"{theirs}.mlp.0.{kind}": parameters[f"{ours}.mlp.fc1.{kind}"],
                f"{theirs}.mlp.3.{kind}": scale2[column] * parameters[f"{ours}.mlp.fc2.{kind}"],
            }
    network = VisionTransformer(224, 14, DEPTH, WIDTH // 64, WIDTH, 4 * WIDTH)
    network.heads = torch.nn.Identity()
    network.load_state_dict(renamed)
    return network.eval()


@torch.inference_mode()
def test_dinov2_matches_torchvisions_transformer(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    file = tmp_path / "weights.pth"
    torch.save(state(), file)
    x = images(2, 50, 70)
    found = with_weights(EXTRACTORS.make("dinov2-vitl14"), file).load(CPU, tmp_path, file)(x)
    assert found.shape == (2, WIDTH)
    assert relative_error(found, torchvision_vit(state())(preprocess_dinov2(x))) < 1e-5
    assert relative_error(found[0], found[1]) > 1e-2


@pytest.mark.parametrize("side", [20, 37])
def test_positions_are_interpolated_at_the_scale_of_the_authors(side: int) -> None:
    """Bicubic interpolation by its kernel (Keys 1981, a = -3/4), at 16.1 new places in the grid."""
    embedding = torch.randn(1, 1 + side**2, 3, generator=torch.Generator().manual_seed(0))
    taps = np.zeros((16, side))
    for i in range(16):
        centre = (i + 0.5) * side / 16.1 - 0.5
        for j in range(int(np.floor(centre)) - 1, int(np.floor(centre)) + 3):
            t = abs(centre - j)
            near = 1.25 * t**3 - 2.25 * t**2 + 1
            far = -0.75 * (t**3 - 5 * t**2 + 8 * t - 4)
            taps[i, np.clip(j, 0, side - 1)] += near if t <= 1 else far
    grid = embedding[0, 1:].reshape(side, side, 3).numpy()
    expected = np.einsum("yi,xj,ijd->yxd", taps, taps, grid)
    found = resampled_positions(embedding)
    np.testing.assert_array_equal(found[:, 0], embedding[:, 0])
    np.testing.assert_allclose(found[0, 1:].reshape(16, 16, 3), expected, atol=1e-5)


@pytest.mark.parametrize("size", [(32, 32), (256, 178), (400, 333)])
def test_dinov2_input_is_that_of_dgm_eval(size: tuple[int, int]) -> None:
    from torchvision import transforms

    x = images(1, *size)
    picture = Image.fromarray(x[0].permute(1, 2, 0).numpy())
    expected = transforms.Compose(
        [
            transforms.Resize((224, 224), transforms.InterpolationMode.BICUBIC),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )(picture)
    np.testing.assert_allclose(preprocess_dinov2(x)[0], expected, atol=1e-6)


@pytest.mark.parametrize("size", [(32, 32), (256, 178), (400, 333)])
def test_edm2_input_is_torchs_bicubic_without_rounding(size: tuple[int, int]) -> None:
    x = images(1, *size)
    resized = torch.nn.functional.interpolate(
        x.float(), size=(224, 224), mode="bicubic", antialias=True
    )
    mean, deviation = (
        torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    found = EXTRACTORS.make("dinov2-vitl14-edm2").preprocess(x)
    np.testing.assert_allclose(found, (resized / 255 - mean) / deviation, atol=1e-5)
    off = (found - EXTRACTORS.make("dinov2-vitl14").preprocess(x)).abs().max()
    assert off > 0.2 / 255  # at least of rounding


def test_dinov2_is_the_large_one() -> None:
    """Width 1024, as its label and its protocol say; the file decides the network's shape."""
    extractor = EXTRACTORS.make("dinov2-vitl14")
    assert (extractor.dimension, extractor.label) == (1024, "FD-DINOv2")
    assert extractor.weights.file == "dinov2_vitl14_pretrain.pth"
