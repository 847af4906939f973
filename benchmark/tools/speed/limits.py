"""Measures the most that a machine can do, and how much of it a network reaches."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmark.tools.speed.timing import CPU, seconds


@dataclass(frozen=True)
class Limits:
    """The rates that were measured on a machine.

    Attributes:
        product: FLOP/s of a matrix product.
        copy: bytes/s of copying memory.
    """

    product: float
    copy: float

    def reached(self, network: nn.Module, *inputs: Tensor, seconds: float) -> str:
        """Return in words which shares of the rates a network reaches.

        Args:
            network: the network.
            inputs: its inputs, as images B×3×H×W and conditions B.
            seconds: the time that it takes for them.
        """
        rate = matrix_flops(network, *inputs) / seconds
        moved = moved_bytes(network, *inputs) / seconds
        return (
            f"{rate / 1e9:.3g} GFLOP/s are {rate / self.product:.0%} of a matrix product's "
            f"{self.product / 1e9:.3g}; layers read and write {moved / 1e9:.3g} GB/s, "
            f"{moved / self.copy:.0%} of a copy's {self.copy / 1e9:.3g}"
        )


def product_rate(n: int, device: torch.device = CPU) -> float:
    """Return the FLOP/s of a product of two float32 matrices, n×n."""
    a = torch.rand(n, n, device=device)
    return 2 * n**3 / min(seconds(lambda: a @ a, device) for _ in range(5))


def copy_rate(megabytes: int, device: torch.device = CPU) -> float:
    """Return the bytes/s, read and written, of copying an array too large for the caches."""
    a = torch.rand(megabytes * 2**18, device=device)
    b = torch.empty_like(a)
    return 8 * a.numel() / min(seconds(lambda: b.copy_(a), device) for _ in range(5))


def matrix_flops(network: nn.Module, *inputs: Tensor) -> int:
    """Return the FLOPs of one call, two for each multiplication with an addition.

    Args:
        network: the network.
        inputs: its inputs, as images B×3×H×W and conditions B.
    """
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(*inputs)
    return int(counter.get_total_flops())


def moved_bytes(network: nn.Module, *inputs: Tensor) -> int:
    """Return the bytes that the layers of a network read and write in one call.

    Each input, output and weight of a layer counts once. Operations between layers, such as
    concatenating skips, do not count, so that this is a lower bound.

    Args:
        network: the network.
        inputs: its inputs, as images B×3×H×W and conditions B.
    """
    total = 0

    def count(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        tensors = [*args, output, *module.parameters()]
        total += sum(t.numel() * t.element_size() for t in tensors if isinstance(t, Tensor))

    leaves = [module for module in network.modules() if not list(module.children())]
    hooks = [leaf.register_forward_hook(count) for leaf in leaves]
    try:
        with torch.no_grad():
            network(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return total


def multiplies_bf16() -> bool:
    """Tell whether the processor multiplies matrices of bfloat16 faster than of float32."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
    return bool(re.search(r"\b(amx_bf16|avx512_bf16)\b", flags))
