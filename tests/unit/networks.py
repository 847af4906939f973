"""Networks with seeded weights, in place of the published ones, which no test can download."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from pydantic import create_model
from torch import Tensor, nn

from benchmark.extractors import EXTRACTORS, Extractor


def images(count: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Smooth colour fields with noise, uint8 B×3×height×width."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 4, 4, generator=generator)
    smooth = nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    noise = 0.1 * torch.randn(count, 3, height, width, generator=generator)
    return ((smooth + noise).clamp(0, 1) * 255).to(torch.uint8)


def seeded(network: nn.Module) -> nn.Module:
    """Give a network weights that keep activations of order one, and normalisation that matters."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            fan_in = module.weight[0].numel()
            module.weight.data.normal_(0, (2 / fan_in) ** 0.5, generator=generator)
        if isinstance(module, nn.BatchNorm2d):
            for value in (module.weight.data, module.running_var):
                assert value is not None
                value.uniform_(0.5, 1.5, generator=generator)
            for value in (module.bias.data, module.running_mean):
                assert value is not None
                value.normal_(0, 0.1, generator=generator)
    return network.eval()


def with_facts(extractor: Extractor, kind: str = "", **facts: Any) -> Extractor:
    """Return the extractor with other facts or methods, and with another name if one is given."""
    base, name = type(extractor), kind or extractor.kind
    part = create_model(
        base.__name__, __base__=base, __module__=base.__module__, kind=(Literal[name], name)
    )
    for fact, value in facts.items():
        setattr(part, fact, value)
    return part()


def with_weights(extractor: Extractor, file: Path) -> Extractor:
    """Return the extractor that expects the weights in `file`."""
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    weights = dataclasses.replace(extractor.weights, sha256=sha256, mirrors=())
    return with_facts(extractor, weights=weights)


def register(patch: pytest.MonkeyPatch, extractor: Extractor) -> None:
    """Let a config, or a command, name this extractor."""
    patch.setitem(EXTRACTORS.classes, extractor.kind, type(extractor))


def relative_error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def inception_file(folder: Path) -> Path:
    """Write a file like that of the FID Inception, with seeded weights."""
    from pytorch_fid import inception

    file = folder / "weights.pth"
    network = inception._inception_v3(num_classes=1008, aux_logits=False, weights=None)
    torch.save(seeded(network).state_dict(), file)
    return file
