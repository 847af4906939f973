"""Times samplers against calls of their network alone, and the network against the machine."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from benchmark.diffusion.guidance import Told
from benchmark.runtime.device import arithmetic, placed, seeded
from benchmark.stages.sample import CellSampling
from benchmark.tools.speed.limits import Limits
from benchmark.tools.speed.timing import SpeedRow, interleave, seconds, take_turns

if TYPE_CHECKING:
    from benchmark.models.networks.unet import UNet
    from benchmark.tools.speed.sampling import SamplingSizes

_SHARE = 1 / 1.03  # the share of a sampler's time that should be its network's
_SHARE_OF_GUIDANCE = 1 / 1.05
_CLASSES, _SCALE = 10, 2.0


def share(sampling: CellSampling, name: str, batch: int, sizes: SamplingSizes) -> SpeedRow:
    """Compare a sampler with as many calls of the bare network as it does.

    Args:
        sampling: the sampling of a cell.
        name: name of the network, for the row.
        batch: size of the batch.
        sizes: has the number of rounds.
    """
    draw = partial(sampling.draw, range(batch), sampling.timesteps)
    draw()
    sampling.model.evaluations = 0
    draw()
    calls = sampling.model.evaluations // batch
    forward = _forward(sampling, batch, calls)
    own, bare = take_turns(draw, forward, sizes.rounds, sizes.seconds, sampling.device)
    return SpeedRow(
        name=f"{sampling.cell.sampler}, {sampling.cell.schedule}, {name}, batch {batch}",
        unit="ms per image",
        ours=per_image(own, batch),
        theirs=per_image(bare, batch),
        peer="bare forward passes",
        target=f"ratio {_SHARE:.3f}",
        note=f"{calls} evaluations of {size_of(sampling)}",
    )


def guided(
    spec: UNet, name: str, batch: int, sizes: SamplingSizes, device: torch.device
) -> SpeedRow:
    """Compare classifier-free guidance with its two evaluations: one pass of twice the batch.

    Args:
        spec: the network, which gets classes.
        name: name of the network, for the row.
        batch: images that are guided together.
        sizes: has the number of rounds, and the height and width of the images.
        device: the device of the network.
    """
    with seeded(0):
        made = spec.model_copy(update={"classes": _CLASSES}).build(sizes.side)
    network = placed(made, device)
    x = torch.zeros(batch, 3, sizes.side, sizes.side, device=device)
    x = x.to(memory_format=torch.channels_last)
    time, labels = torch.ones(batch, device=device), torch.arange(batch, device=device) % _CLASSES
    told = Told(network, labels, _SCALE, _CLASSES)
    twice = torch.cat([x, x]), torch.cat([time, time]), torch.cat([labels, labels])

    @torch.inference_mode()
    def guide() -> None:
        told(x, time)

    @torch.inference_mode()
    def bare() -> None:
        network(*twice)

    own, theirs = take_turns(guide, bare, sizes.rounds, sizes.seconds, device)
    return SpeedRow(
        name=f"guidance by class, {name}, batch {batch}",
        unit="ms per image",
        ours=per_image(own, batch),
        theirs=per_image(theirs, batch),
        peer=f"bare forward passes of batch {2 * batch}",
        target=f"ratio {_SHARE_OF_GUIDANCE:.3f}",
    )


def limit(sampling: CellSampling, name: str, batch: int, rounds: int, limits: Limits) -> SpeedRow:
    """Time the bare network, and say how much of the machine's rates it reaches.

    Args:
        sampling: the sampling that has the network.
        name: name of the network, for the row.
        batch: size of the batch.
        rounds: number of rounds.
        limits: the rates of the machine.
    """
    forward = _forward(sampling, batch, 1)
    own, _ = interleave(partial(seconds, forward, sampling.device), None, rounds, 0)
    return SpeedRow(
        name=f"one forward pass of {name}, batch {batch}",
        unit="ms per image",
        ours=per_image(own, batch),
        theirs=[],
        note=limits.reached(
            sampling.network, *_inputs(sampling, batch), seconds=float(np.median(own))
        ),
    )


def _forward(sampling: CellSampling, batch: int, calls: int) -> Callable[[], None]:
    """Return a function that calls the network on a batch `calls` times, as the sampler does."""
    network, inputs = sampling.network, _inputs(sampling, batch)

    @torch.inference_mode()
    def forward() -> None:
        with arithmetic(sampling.precision, sampling.device):
            for _ in range(calls):
                network(*inputs)

    return forward


def _inputs(sampling: CellSampling, batch: int) -> tuple[Tensor, Tensor]:
    """Return noise, B×3×side×side in channels_last, and the condition of the first time (B)."""
    side, t = sampling.cell.resolution, float(sampling.timesteps[0])
    x = torch.randn(batch, 3, side, side, generator=torch.Generator().manual_seed(0))
    condition = torch.full((batch,), sampling.process.condition(t), device=sampling.device)
    return x.to(sampling.device, memory_format=torch.channels_last), condition


def size_of(sampling: CellSampling) -> str:
    """Return the number of parameters of the network, in words."""
    count = sum(p.numel() for p in sampling.network.parameters())
    return f"{count / 1e6:.2f} M parameters"


def per_image(times: list[float], batch: int) -> list[float]:
    """Return the milliseconds of an image from the seconds of batches."""
    return [1e3 * time / batch for time in times]
