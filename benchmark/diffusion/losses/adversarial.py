"""The loss of a GAN."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from benchmark.diffusion.losses.base import Example, Loss
from benchmark.diffusion.processes.base import Prediction, Process

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from benchmark.diffusion.adversarial import Judged
    from benchmark.diffusion.denoiser import Estimate


class Adversarial(Loss):
    """The relativistic pairing loss of Huang et al. 2024 (R3GAN), equation 2, with R1 and R2.

    With f(u) = log(1 + e^-u) the critic D minimises E f(D(x) - D(G(z))) + R1 + R2, and the
    generator G minimises E f(D(G(z)) - D(x)), after Jolicoeur-Martineau 2019, section 4.1. The
    penalties are R = γ/2 E ‖∇D‖², R1 at real images and R2 at generated ones, Mescheder et al.
    2018, equations 9 and 10. Where D tells nothing, both losses together are 2 ln 2.
    """

    trains = "latent schedules"
    is_adversarial = True
    differentiates_twice = True
    kind: Literal["adversarial"] = "adversarial"
    gradient_penalty: float = Field(
        default=0.1,
        ge=0,
        le=1e6,
        description="γ of the penalties of a critic's gradient, a sum over pixels in [-1, 1]",
    )

    def of_network(
        self,
        network: Callable[..., Judged],
        model: Callable[[Tensor], Estimate],
        example: Example,
        process: Process,
        prediction: Prediction,
    ) -> Tensor:
        """Return the losses of generator and critic together, of shape (), of a `Pair`.

        See `Loss.of_network`; the state of the example is noise alone.
        """
        import torch
        from torch.nn.functional import softplus

        judged = network(example.x_t, example.truth.x0)
        critic = softplus(judged.fake - judged.real).mean()
        generator = softplus(judged.real.detach() - judged.own).mean()
        slopes = torch.autograd.grad(
            judged.real.sum() + judged.fake.sum(),
            (judged.of_real, judged.of_fake),
            create_graph=True,
        )
        r1, r2 = (slope.square().flatten(1).sum(1).mean() for slope in slopes)
        return critic + generator + self.gradient_penalty / 2 * (r1 + r2)
