"""A generator and the critic that it is trained against, as one network."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call


class Judged(NamedTuple):
    """What a critic says of real images and of as many generated ones, paired by their rows.

    Attributes:
        real: of the real images, B.
        fake: of the generated ones, B, without a gradient for the generator.
        own: the same, with a gradient for the generator and none for the critic.
        of_real: the real images, B×C×H×W, for which a gradient of `real` can be asked.
        of_fake: the generated ones, likewise of `fake`.
    """

    real: Tensor
    fake: Tensor
    own: Tensor
    of_real: Tensor
    of_fake: Tensor


class Pair(nn.Module):
    """A generator and its critic.

    One loss trains both: what of it is the generator's has no gradient for the critic, and the
    other way round. So one step of the optimiser is one of simultaneous gradient descent, which
    Mescheder et al. 2018, section 4.1, show to converge locally with penalties of the gradient.

    Args:
        generator: maps (noise: B×C×H×W, condition: B) to images B×C×H×W.
        critic: maps images B×C×H×W to numbers B, the larger the more real they seem.
    """

    def __init__(self, generator: nn.Module, critic: nn.Module) -> None:
        super().__init__()
        self.generator = generator
        self.critic = critic

    def forward(self, noise: Tensor, images: Tensor) -> Judged:
        """Return what the critic says of real images and of generated ones.

        Args:
            noise: standard normal, B×C×H×W, of which the generator makes images.
            images: real images, B×C×H×W.
        """
        fixed = {name: weight.detach() for name, weight in self.critic.named_parameters()}
        with torch.enable_grad():  # the penalties are gradients, also where none is asked for
            made = self.generator(noise, noise.new_zeros(len(noise)))
            real, fake = (x.detach().requires_grad_() for x in (images, made))
            own = functional_call(self.critic, fixed, (made,))
            return Judged(self.critic(real), self.critic(fake), own, real, fake)


def sampled_part(network: nn.Module) -> nn.Module:
    """Return the part of a trained network that makes samples: of a pair the generator."""
    return network.generator if isinstance(network, Pair) else network
