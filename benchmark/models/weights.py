"""Our own weight files: safetensors whose header says for what network the weights are.

The header also has the SHA-256 of the tensors' bytes, by which a damaged file is recognised.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, BinaryIO

from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from benchmark.core.canonical import canonical_json
from benchmark.core.errors import BenchmarkError
from benchmark.models.headers import SPEC, read_header
from benchmark.storage.atomic import write_bytes

DIGEST = "sha256"  # key of our header, for the hash
LENGTH = 8  # bytes at the beginning of a file, which give the length of the header


def save_weights(path: Path, weights: dict[str, Tensor], spec: dict[str, Any]) -> None:
    """Write weights with the specification of their training; equal input gives equal bytes.

    Args:
        path: path of the safetensors file.
        weights: tensors of any shape, by their names in the network.
        spec: specification of the training, which is written into the header as JSON.
    """
    contiguous = {name: tensor.cpu().contiguous() for name, tensor in weights.items()}
    plain = save(contiguous, metadata={SPEC: canonical_json(spec)})
    start = _start(plain)
    header = json.loads(plain[LENGTH:start])
    header["__metadata__"][DIGEST] = hashlib.sha256(memoryview(plain)[start:]).hexdigest()
    # The header is written here, because the library writes several keys in no fixed order. As by
    # the library, it is padded to a multiple of 8 bytes.
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    write_bytes(path, len(text).to_bytes(LENGTH, "little") + text + plain[start:])


def load_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the weights, with the shapes that they had, and the specification of their training.

    Raises:
        BenchmarkError: the file is missing, damaged, or not one of ours.
    """
    spec = read_header(path)
    with safe_open(path, framework="numpy") as file:
        digest = file.metadata().get(DIGEST)  # files of earlier versions have none
    with path.open("rb") as data:
        if digest and _digest(data) != digest:
            raise BenchmarkError(
                f"{path}: damaged weights (not the bytes that were written): "
                "fetch or train them again"
            )
    return load_file(path), spec


def _start(content: bytes) -> int:
    """Return where the tensors' bytes begin."""
    return LENGTH + int.from_bytes(content[:LENGTH], "little")


def _digest(file: BinaryIO) -> str:
    file.seek(_start(file.read(LENGTH)))
    digest = hashlib.sha256()
    while part := file.read(2**20):
        digest.update(part)
    return digest.hexdigest()
