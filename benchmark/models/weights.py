"""Our own weight files: safetensors that say in their header what they are weights of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from benchmark.atomic import write_bytes
from benchmark.errors import BenchmarkError
from benchmark.records import canonical_json

SPEC = "spec"  # the key of the header: network, schedule, data and training as in the config


def save_weights(path: Path, weights: dict[str, Tensor], spec: dict[str, Any]) -> None:
    """Write weights with the specification of their training; equal input gives equal bytes."""
    contiguous = {name: tensor.cpu().contiguous() for name, tensor in weights.items()}
    write_bytes(path, save(contiguous, metadata={SPEC: canonical_json(spec)}))


def load_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return weights and the specification of their training.

    Raises:
        BenchmarkError: the file is missing, truncated, or not one of ours.
    """
    try:
        with safe_open(path, framework="pt") as file:
            spec = json.loads((file.metadata() or {})[SPEC])
        return load_file(path), spec
    except FileNotFoundError:
        raise BenchmarkError(f"{path}: no such weights: train the model first") from None
    except SafetensorError as error:
        raise BenchmarkError(f"{path}: damaged weights ({error}): train the model again") from None
    except (KeyError, ValueError):
        raise BenchmarkError(
            f"{path}: its header has no {SPEC!r}: not written by `train`"
        ) from None
