"""The device that a job runs on, and how it computes: threads, precision, seeds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from benchmark.config.schema import ComputePrecision
from benchmark.core.errors import BenchmarkError
from benchmark.runtime.gpu_leases import lease
from benchmark.runtime.memory import peak_of_process
from benchmark.runtime.packing import norms_in_float32


def resolve_device(name: str, gpus: int = 1) -> torch.device:
    """Return the torch device that the key `device` of a config means.

    A GPU is leased first, so that no other job of this machine uses it meanwhile. This waits until
    one is free.

    Args:
        name: `auto`, which takes a GPU where there is one; `cpu`; `cuda`; or `cuda:N`, the GPU at
            place N among the visible ones.
        gpus: number of GPUs that this process and its children will use; the first is returned.

    Raises:
        BenchmarkError: `cuda` is asked for and there is no GPU, or there are too few.
    """
    if name == "cpu":
        return torch.device("cpu")
    _, _, position = name.partition(":")
    built = torch.version.cuda is not None
    leased = lease(gpus, int(position) if position else None) if built else []
    if torch.cuda.is_available():
        return torch.device("cuda" if leased or name == "auto" else name)
    if name == "auto":
        return torch.device("cpu")
    raise BenchmarkError(f"device: {name} is asked for and torch finds no GPU: use auto or cpu")


def placed(network: nn.Module, device: torch.device) -> nn.Module:
    """Return a network on a device, ready to be evaluated: in channels_last, which is fastest."""
    moved: nn.Module = network.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    if device.type == "cpu":
        norms_in_float32(moved)
    return moved


def use_threads(count: int) -> None:
    """Let torch use `count` threads within one operation."""
    torch.set_num_threads(max(1, count))


def synchronise(device: torch.device) -> None:
    """Wait until the device has finished all operations in its queue, before a clock is read."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_memory(device: torch.device) -> int:
    """Return the peak memory in bytes: allocated on a GPU, or resident of this process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return peak_of_process()


@contextmanager
def arithmetic(
    precision: ComputePrecision, device: torch.device, cache: bool = True
) -> Iterator[None]:
    """Let the networks that are called inside the block compute in this precision.

    Args:
        precision: `float32` means that of IEEE 754; torch's default lets the convolutions of a GPU
            use TF32.
        device: the device of the networks.
        cache: whether to convert the weights to half precision only once in the block; they must
            not change there.

    Raises:
        BenchmarkError: the device does not support the precision.
    """
    if precision == "tf32" and device.type != "cuda":
        raise BenchmarkError("precision: tf32 is a format of GPUs: float32 or bf16 would be right")
    backends = (torch.backends.cuda.matmul, torch.backends.cudnn.conv)  # type: ignore[attr-defined]
    before = [backend.fp32_precision for backend in backends]
    for backend in backends:
        backend.fp32_precision = "tf32" if precision == "tf32" else "ieee"
    try:
        with torch.autocast(
            device.type, torch.bfloat16, enabled=precision == "bf16", cache_enabled=cache
        ):
            yield
    finally:
        for backend, value in zip(backends, before, strict=True):
            backend.fp32_precision = value


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's global generator inside the block: layers draw their initial weights from it."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def gpu_uuid(device: torch.device) -> str:
    """Return the UUID of a GPU as NVML knows it; CUDA may number GPUs differently."""
    return f"GPU-{torch.cuda.get_device_properties(device).uuid}"
