"""Files of tensors that others wrote. Nothing in them is ever executed."""

from __future__ import annotations

import hashlib
import pickle
import re
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from benchmark.errors import BenchmarkError


def read_tensors(path: Path) -> Any:
    """Return what a .safetensors file or a file of `torch.save` holds, on the CPU.

    Raises:
        BenchmarkError: the file is missing, truncated, or holds anything but tensors and plain
            containers of them.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings(action="ignore"):  # of pickle protocols; they are refused
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise BenchmarkError(f"{path}: no such file of weights: check the path") from None
    except pickle.UnpicklingError as error:
        raise BenchmarkError(_refusal(path, str(error))) from None
    except SafetensorError as error:
        raise BenchmarkError(f"{path}: damaged weights ({error}): fetch the file again") from None
    except Exception:  # the readers of torch raise what a damaged byte happens to lead to
        raise BenchmarkError(
            f"{path}: damaged weights, or none that torch.save wrote: fetch the file again"
        ) from None


def check_sha256(path: Path, expected: str | None) -> str:
    """Return the SHA-256 of a file in hexadecimal.

    Raises:
        BenchmarkError: it cannot be read, or it has another one than `expected`.
    """
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BenchmarkError(f"{path}: cannot be read: {error.strerror}: check the path") from None
    if expected not in (None, found):
        raise BenchmarkError(
            f"{path}: its SHA-256 is {found}, not {expected}: damaged or another file; fetch it "
            "again, or correct sha256"
        )
    return found


def fill(network: nn.Module, weights: dict[str, Tensor], path: Path, described_by: str) -> None:
    """Give a network, which may have been built on the meta device, its weights as float32.

    Raises:
        BenchmarkError: they do not fit; the first key that does not is named.
    """
    expected = network.state_dict()
    for name, parameter in expected.items():
        if name not in weights:
            raise BenchmarkError(
                f"{path}: has no {name}, which {described_by} asks for: the two do not belong "
                "together"
            )
        if weights[name].shape != parameter.shape:
            raise BenchmarkError(
                f"{path}: {name} has shape {tuple(weights[name].shape)}, but {described_by} makes "
                f"it {tuple(parameter.shape)}: the two do not belong together"
            )
    for name in weights:
        if name not in expected:
            raise BenchmarkError(
                f"{path}: has {name}, for which {described_by} has no place: the two do not belong "
                "together"
            )
    network.load_state_dict({k: w.float() for k, w in weights.items()}, assign=True)


def _refusal(path: Path, reason: str) -> str:
    code = re.search(r"GLOBAL ([\w.]+)", reason)
    with path.open("rb") as file:
        pickled = file.read(1) == pickle.PROTO
    if code is None and not pickled:
        return f"{path}: damaged weights, or no file of tensors at all: fetch the file again"
    holds = f"holds Python code ({code[1]})" if code else "a plain pickle, which can hold code"
    return (
        f"{path}: {holds}, and is not executed: only a file of nothing but tensors is read; save "
        "it as safetensors on a machine where you trust it"
    )
