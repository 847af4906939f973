"""Reads files of tensors that others wrote. No code in them is ever executed."""

from __future__ import annotations

import hashlib
import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from benchmark.core.errors import BenchmarkError
from benchmark.models.choices import Choice
from benchmark.models.headers import WeightFiles, check_pointer

# Prefixes of the names of a moving average of weights.
AVERAGE = re.compile(r"(?:^|[._])ema(?:[._]|$)", re.IGNORECASE)


def read_tensors(path: Path) -> Any:
    """Return what a .safetensors file or a file of `torch.save` holds, on the CPU.

    Raises:
        BenchmarkError: the file is missing or damaged, or holds more than tensors and plain
            containers of them.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings(action="ignore"):  # about pickle protocols, which are refused
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise BenchmarkError(f"{path}: no such file of weights: check the path") from None
    except pickle.UnpicklingError as error:
        raise BenchmarkError(_refusal(path, str(error))) from None
    except SafetensorError as error:
        raise BenchmarkError(f"{path}: damaged weights ({error}): fetch the file again") from None
    except Exception:  # on a damaged file torch raises almost anything
        raise BenchmarkError(
            f"{path}: damaged weights, or none that torch.save wrote: fetch the file again"
        ) from None


def read_shards(files: WeightFiles) -> Any:
    """Return the tensors of a network by name, from one file or from several with an index.

    Raises:
        BenchmarkError: a file cannot be read, or lacks a tensor that the index says it has.
    """
    if files.shards is None:
        return read_tensors(files.path)
    content = {path.name: read_tensors(path) for path in files.files}
    for name, file in files.shards.items():
        if not isinstance(content[file], dict) or name not in content[file]:
            raise BenchmarkError(
                f"{files.path}: says that {file} has {name}, which it has not: fetch both again"
            )
    return {name: content[file][name] for name, file in files.shards.items()}


def flat(weights: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the values of nested dictionaries by their keys, joined with dots."""
    found: dict[str, Any] = {}
    for key, value in weights.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def is_weights(value: object) -> bool:
    """Tell whether a value is a dictionary of tensors."""
    return isinstance(value, dict) and all(isinstance(item, Tensor) for item in value.values())


def check_sha256(files: WeightFiles, expected: str | None) -> str:
    """Return the SHA-256 of a network's weights in hexadecimal.

    Several files are hashed one after the other, in the order of their names.

    Raises:
        BenchmarkError: a file cannot be read, or the hash is not `expected`.
    """
    digest = hashlib.sha256()
    for path in files.files:
        check_pointer(path)
        try:
            with path.open("rb") as file:
                while part := file.read(2**20):
                    digest.update(part)
        except OSError as error:
            raise BenchmarkError(
                f"{path}: cannot be read: {error.strerror}: check the path"
            ) from None
    found = digest.hexdigest()
    if expected not in (None, found):
        raise BenchmarkError(
            f"{files.path}: its SHA-256 is {found}, not {expected}: damaged or another file; fetch "
            "it again, or correct sha256"
        )
    return found


def fill(
    network: nn.Module, weights: Mapping[str, Any], path: Path, described_by: str
) -> tuple[Choice, ...]:
    """Set the weights of a network, which may have been built on the meta device, as float32.

    Names may have a prefix that training programs add: `module.`, `_orig_mod.`, or the key of a
    dictionary. If there are several sets of weights, the moving average is taken.

    Args:
        network: network that gets the weights.
        weights: tensors by name, as `flat` returns them.
        path: path of their file, for errors.
        described_by: name of what describes the network, for errors.

    Returns:
        What was chosen among the weights.

    Raises:
        BenchmarkError: the weights do not fit the network; the message names the first wrong one.
    """
    expected = network.state_dict()
    tensors, choices = _chosen(weights, expected, path)
    _check_fits(tensors, expected, path, described_by)
    network.load_state_dict(
        {
            name: tensor.float() if tensor.is_floating_point() else tensor
            for name, tensor in tensors.items()
        },
        assign=True,
    )
    return choices


def _chosen(
    weights: Mapping[str, Any], expected: Mapping[str, Tensor], path: Path
) -> tuple[Mapping[str, Any], tuple[Choice, ...]]:
    """Return one set of weights without its prefix, and what was chosen among several sets."""
    # A name that stands once in each set of weights: no other name ends with it.
    mark = next(
        (name for name in expected if not any(n.endswith(f".{name}") for n in expected)), None
    )
    if mark is None or mark in weights:
        return weights, ()
    prefixes = [name.removesuffix(mark) for name in weights if name.endswith(f".{mark}")]
    if not prefixes:
        return weights, ()
    averages = [prefix for prefix in prefixes if AVERAGE.search(prefix)]
    taken = averages if len(prefixes) > 1 else prefixes
    if len(taken) != 1:
        sets = ", ".join(prefix.rstrip(".") for prefix in prefixes)
        raise BenchmarkError(
            f"{path}: has several sets of weights ({sets}): save the one that is meant in a file "
            "of its own"
        )
    prefix = taken[0]
    chosen = {n.removeprefix(prefix): w for n, w in weights.items() if n.startswith(prefix)}
    rest = {name.split(".")[0] for name in weights if not name.startswith(prefix)}
    if not rest:
        return chosen, ()
    name = prefix.rstrip(".")
    others = ", ".join(sorted({name, *rest}))
    return chosen, (Choice.of(f"the weights {others}", f"in {path.name}", f"{name} is sampled"),)


def _check_fits(
    weights: Mapping[str, Any], expected: Mapping[str, Tensor], path: Path, described_by: str
) -> None:
    """Refuse weights whose names, shapes or kinds of numbers are not those of a network."""
    for name, parameter in expected.items():
        if name not in weights:
            raise BenchmarkError(
                f"{path}: has no {name}, which {described_by} asks for: the two do not belong "
                "together"
            )
        found = weights[name]
        if not isinstance(found, Tensor):
            raise BenchmarkError(f"{path}: {name} is no tensor: fetch the file again")
        if found.shape != parameter.shape:
            raise BenchmarkError(
                f"{path}: {name} has shape {tuple(found.shape)}, but {described_by} makes "
                f"it {tuple(parameter.shape)}: the two do not belong together"
            )
        if found.is_floating_point() != parameter.is_floating_point():
            raise BenchmarkError(
                f"{path}: {name} holds {_kind(found)}, not {_kind(parameter)}: weights that were "
                "quantised cannot be read; give those of before"
            )
    for name in weights:
        if name not in expected:
            raise BenchmarkError(
                f"{path}: has {name}, for which {described_by} has no place: the two do not belong "
                "together"
            )


def _kind(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


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
