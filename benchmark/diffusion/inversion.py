"""From images back to the noise that DDIM makes them of, and between two of them."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from benchmark.diffusion.ode import ODE, move
from benchmark.diffusion.processes.base import Array, Process

if TYPE_CHECKING:
    from benchmark.diffusion.samplers.base import Model


def invert(model: Model, process: Process, x_0: Tensor, timesteps: Array) -> Tensor:
    """Return the state x_T, B×C×H×W, from which DDIM without noise leads to images.

    Euler's steps of Song et al. 2021 (DDIM), equation 14, from little noise to much. The slope of a
    step is that at its less noisy end; that of the first one, which begins at the clean image where
    no network is defined, is of the image at the smallest level of noise.

    Args:
        model: evaluates the network once on x: B×C×H×W at time t.
        process: gives α and σ.
        x_0: images in the range of the process, B×C×H×W; they are not changed.
        timesteps: the N descending times of the sampler.
    """
    ode = ODE(process)
    clean, first, *others = reversed(ode.points(timesteps))
    path = [first, *others]
    slope = ode.slope(model((first.scale / clean.scale) * x_0, first.t))
    x = move(x_0, clean, first, first.u - clean.u, [(1.0, slope)])
    for start, end in pairwise(path):
        slope = ode.slope(model(x, start.t))
        x = move(x, start, end, end.u - start.u, [(1.0, slope)])
    return x


def between(a: Tensor, b: Tensor, share: float) -> Tensor:
    """Return noise on the arc from one noise to another, B×C×H×W: Shoemake 1985.

    Normal noise of many dimensions lies near a sphere, which the straight line between two points
    leaves: Song et al. 2021 (DDIM), appendix D.5, equation 67.

    Args:
        a: standard normal noise, B×C×H×W.
        b: other noise of this shape.
        share: of the way from a, which is 0, to b, which is 1.
    """
    one, other = a.flatten(1), b.flatten(1)
    cosine = torch.nn.functional.cosine_similarity(one, other).clamp(-1, 1)
    angle = cosine.acos()[:, None]
    arc = angle.sin()
    # Where both are the same the arc is a point, and the straight line is right.
    near = arc.abs() < 1e-6
    safe = torch.where(near, torch.ones_like(arc), arc)
    first = torch.where(near, torch.full_like(arc, 1 - share), ((1 - share) * angle).sin() / safe)
    second = torch.where(near, torch.full_like(arc, share), (share * angle).sin() / safe)
    return (first * one + second * other).reshape(a.shape)
