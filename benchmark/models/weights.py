"""Our own weight files: safetensors that say in their header what they are weights of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save
from torch import Tensor

from benchmark.atomic import write_bytes
from benchmark.models.description import SPEC, read_header
from benchmark.records import canonical_json


def save_weights(path: Path, weights: dict[str, Tensor], spec: dict[str, Any]) -> None:
    """Write weights with the specification of their training; equal input gives equal bytes."""
    contiguous = {name: tensor.cpu().contiguous() for name, tensor in weights.items()}
    write_bytes(path, save(contiguous, metadata={SPEC: canonical_json(spec)}))


def load_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return weights and the specification of their training.

    Raises:
        BenchmarkError: the file is missing, truncated, or not one of ours.
    """
    spec = read_header(path)
    return load_file(path), spec
