"""What the machine can do at most, measured: how near to it a program comes, tells what is left."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmark.tools.speed.timing import CPU, seconds


@dataclass(frozen=True)
class Limits:
    """What was measured of a machine.

    Attributes:
        product: FLOP/s of a matrix product.
        copy: bytes/s of a copy.
    """

    product: float
    copy: float

    def reached(self, network: nn.Module, *inputs: Tensor, seconds: float) -> str:
        """Say which share of them a network reaches that takes `seconds` for its inputs."""
        rate = matrix_flops(network, *inputs) / seconds
        moved = moved_bytes(network, *inputs) / seconds
        return (
            f"{rate / 1e9:.3g} GFLOP/s are {rate / self.product:.0%} of a matrix product's "
            f"{self.product / 1e9:.3g}; layers read and write {moved / 1e9:.3g} GB/s, "
            f"{moved / self.copy:.0%} of a copy's {self.copy / 1e9:.3g}"
        )


def product_rate(n: int, device: torch.device = CPU) -> float:
    """Return the FLOP/s of a float32 matrix product, n×n."""
    a = torch.rand(n, n, device=device)
    return 2 * n**3 / min(seconds(lambda: a @ a, device) for _ in range(5))


def copy_rate(megabytes: int, device: torch.device = CPU) -> float:
    """Return the bytes/s of copying an array that no cache holds, reading and writing counted."""
    a = torch.rand(megabytes * 2**18, device=device)
    b = torch.empty_like(a)
    return 8 * a.numel() / min(seconds(lambda: b.copy_(a), device) for _ in range(5))


def matrix_flops(network: nn.Module, *inputs: Tensor) -> int:
    """Return the floating-point operations of one call, two for a multiplication with addition."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(*inputs)
    return int(counter.get_total_flops())


def moved_bytes(network: nn.Module, *inputs: Tensor) -> int:
    """Return the bytes that the layers of one call read and write, each tensor once a layer.

    What is done between layers, as joining skips, is not counted: it is a lower bound.
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
