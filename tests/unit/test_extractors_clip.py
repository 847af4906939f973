"""CLIP with seeded weights, under the names in the published file."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
import torch
from networks import images, relative_error, with_weights
from torch import Tensor, nn

from benchmark.extractors import EXTRACTORS
from benchmark.extractors.networks.clip import DEVIATION, MEAN, preprocess_cmmd

CPU = torch.device("cpu")
WIDTH, DEPTH, OUT = 128, 2, 48
PATCHES = (336 // 14) ** 2


def state() -> dict[str, Tensor]:
    """A small network's parameters, and one of the texts' network, which is not read."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int, scale: float = 1.0, mean: float = 0.0) -> Tensor:
        return mean + scale * torch.randn(shape, generator=generator)

    def affine(name: str, out: int, into: int) -> dict[str, Tensor]:
        weight = normal(out, into, scale=into**-0.5)
        return {f"{name}.weight": weight, f"{name}.bias": normal(out, scale=0.2)}

    def norm(name: str) -> dict[str, Tensor]:
        return {
            f"{name}.weight": normal(WIDTH, scale=0.2, mean=1),
            f"{name}.bias": normal(WIDTH, scale=0.2),
        }

    tower = "vision_model"
    found = {
        "text_model.encoder.layers.0.layer_norm1.weight": normal(WIDTH),
        "logit_scale": torch.tensor(4.6),
        f"{tower}.embeddings.class_embedding": normal(WIDTH),
        f"{tower}.embeddings.patch_embedding.weight": normal(WIDTH, 3, 14, 14, scale=0.04),
        f"{tower}.embeddings.position_embedding.weight": normal(1 + PATCHES, WIDTH, scale=0.2),
        f"{tower}.embeddings.position_ids": torch.arange(1 + PATCHES)[None],
        "visual_projection.weight": normal(OUT, WIDTH, scale=WIDTH**-0.5),
        **norm(f"{tower}.pre_layrnorm"),
        **norm(f"{tower}.post_layernorm"),
    }
    for layer in (f"{tower}.encoder.layers.{i}" for i in range(DEPTH)):
        found |= norm(f"{layer}.layer_norm1") | norm(f"{layer}.layer_norm2")
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            found |= affine(f"{layer}.self_attn.{part}", WIDTH, WIDTH)
        found |= affine(f"{layer}.mlp.fc1", 4 * WIDTH, WIDTH)
        found |= affine(f"{layer}.mlp.fc2", WIDTH, 4 * WIDTH)
    return found


class QuickGelu(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


def torchvision_clip(parameters: dict[str, Tensor]) -> nn.Module:
    """torchvision's transformer, with what CLIP does before it and after it."""
    from torchvision.models import VisionTransformer

    tower = "vision_model"
    renamed = {
        "class_token": parameters[f"{tower}.embeddings.class_embedding"][None, None],
        "encoder.pos_embedding": parameters[f"{tower}.embeddings.position_embedding.weight"][None],
        "conv_proj.weight": parameters[f"{tower}.embeddings.patch_embedding.weight"],
        "conv_proj.bias": torch.zeros(WIDTH),
        "heads.weight": parameters["visual_projection.weight"],
    }
    for kind in ("weight", "bias"):
        renamed[f"encoder.dropout.{kind}"] = parameters[f"{tower}.pre_layrnorm.{kind}"]
        renamed[f"encoder.ln.{kind}"] = parameters[f"{tower}.post_layernorm.{kind}"]
        for i in range(DEPTH):
            ours, theirs = f"{tower}.encoder.layers.{i}", f"encoder.layers.encoder_layer_{i}"
            qkv = [parameters[f"{ours}.self_attn.{part}_proj.{kind}"] for part in "qkv"]
            renamed |= {
                f"{theirs}.ln_1.{kind}": parameters[f"{ours}.layer_norm1.{kind}"],
                f"{theirs}.ln_2.{kind}": parameters[f"{ours}.layer_norm2.{kind}"],
                f"{theirs}.self_attention.in_proj_{kind}": torch.cat(qkv),
                f"{theirs}.self_attention.out_proj.{kind}": (
                    parameters[f"{ours}.self_attn.out_proj.{kind}"]
                ),
                f"{theirs}.mlp.0.{kind}": parameters[f"{ours}.mlp.fc1.{kind}"],
                f"{theirs}.mlp.3.{kind}": parameters[f"{ours}.mlp.fc2.{kind}"],
            }
    norm = functools.partial(nn.LayerNorm, eps=1e-5)
    network = VisionTransformer(336, 14, DEPTH, WIDTH // 64, WIDTH, 4 * WIDTH, norm_layer=norm)
    network.heads = nn.Linear(WIDTH, OUT, bias=False)  # type: ignore[assignment]
    network.encoder.dropout = norm(WIDTH)  # type: ignore[assignment]
    for layer in network.encoder.layers:
        assert isinstance(layer, nn.Module)
        layer.get_submodule("mlp")[1] = QuickGelu()  # type: ignore[index]
    network.load_state_dict(renamed)
    return network.eval()


@torch.inference_mode()
def test_clip_matches_torchvisions_transformer(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    file = tmp_path / "weights.bin"
    torch.save(state(), file)
    x = images(2, 50, 70)
    extractor = EXTRACTORS.make("clip-vit-l14-336")
    found = with_weights(extractor, file).load(CPU, tmp_path, file)(x)
    expected = torchvision_clip(state())(preprocess_cmmd(x))
    assert found.shape == (2, OUT)
    assert relative_error(found, nn.functional.normalize(expected, dim=1)) < 1e-5
    assert relative_error(found[0], found[1]) > 1e-2
    assert found.norm(dim=1).tolist() == pytest.approx([1, 1], rel=1e-6)


@pytest.mark.parametrize("size", [(32, 48), (400, 700)])
def test_the_input_is_that_of_cmmd_pytorch(size: tuple[int, int]) -> None:
    """There, images in [0, 1] are resized by torch and normalised in NumPy."""
    x = images(1, *size)
    small = torch.nn.functional.interpolate(x / 255, (336, 336), mode="bicubic")
    mean, deviation = (torch.tensor(v)[:, None, None] for v in (MEAN, DEVIATION))
    torch.testing.assert_close(preprocess_cmmd(x), (small - mean) / deviation, atol=1e-5, rtol=0)


def test_clip_is_the_large_one() -> None:
    extractor = EXTRACTORS.make("clip-vit-l14-336")
    assert extractor.dimension == 768
    assert extractor.weights.mirrors[0].endswith("pytorch_model.bin")


@torch.inference_mode()
def test_clip_is_that_of_transformers(tmp_path: Path) -> None:
    """It is no dependency: docs/fid-dialects.md says how this is run."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    options = transformers.CLIPVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=4 * WIDTH,
        projection_dim=OUT,
        num_hidden_layers=DEPTH,
        num_attention_heads=WIDTH // 64,
        image_size=336,
        patch_size=14,
    )
    network = transformers.CLIPVisionModelWithProjection(options).eval()
    for weight in network.parameters():
        weight += 0.1 * torch.randn_like(weight)
    file = tmp_path / "weights.bin"
    torch.save(network.state_dict(), file)
    x = images(2, 50, 70)
    extractor = EXTRACTORS.make("clip-vit-l14-336")
    found = with_weights(extractor, file).load(CPU, tmp_path, file)(x)
    expected = network(pixel_values=preprocess_cmmd(x)).image_embeds
    assert relative_error(found, nn.functional.normalize(expected, dim=1)) < 1e-6
