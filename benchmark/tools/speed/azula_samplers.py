"""The samplers of azula on a U-Net of diffusers, as azula's documentation has them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_LAST_TIME = 999  # of the discrete times that the U-Net is told


class AzulaPeer(NamedTuple):
    """The class of azula with which a sampler is compared.

    Attributes:
        sampler: name of the class in `azula.sample`.
        options: its options besides the steps.
    """

    sampler: str
    options: dict[str, Any] = {}


# The multistep classes differ in what they interpolate: the noise or the image, in σ/α or in its
# logarithm.
AZULA = {
    "ddpm": AzulaPeer("DDPMSampler"),
    "ddim": AzulaPeer("DDIMSampler"),
    "heun": AzulaPeer("HeunSampler"),
    "euler-maruyama": AzulaPeer("ItoSampler"),
    "deis": AzulaPeer("zEABSampler", {"order": 3}),
    "ipndm": AzulaPeer("zABSampler", {"order": 4}),
    "dpm-solver++": AzulaPeer("xEABSampler", {"order": 2}),
    "dpm-solver++3m": AzulaPeer("xEABSampler", {"order": 3}),
}


@torch.no_grad()
def azula_images(
    unet: Any, sampler: str, batch: int, steps: int, device: torch.device
) -> NDArray[np.uint8]:
    """Return uint8 images, B×H×W×3, by the peer of a sampler.

    Args:
        unet: UNet2DModel of diffusers that predicts the noise.
        sampler: our name of the sampler.
        batch: number of images.
        steps: number of steps.
        device: the device of the network.
    """
    import azula.sample

    peer = AZULA[sampler]
    made = getattr(azula.sample, peer.sampler)
    sample = made(_denoiser(unet), steps=steps, silent=True, **peer.options)
    side = unet.config.sample_size
    x = sample(sample.init((batch, unet.config.in_channels, side, side), device=device))
    images = (x / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).cpu().numpy()
    found: NDArray[np.uint8] = (images * 255).round().astype(np.uint8)
    return found


def _denoiser(unet: Any) -> Any:
    """Return azula's denoiser of a network that predicts the noise, on azula's VP schedule."""
    from azula.denoise import Denoiser
    from azula.noise import VPSchedule

    base: Any = Denoiser

    class NoisePrediction(base):  # type: ignore[misc]  # azula's types are not read
        def __init__(self) -> None:
            super().__init__()
            self.backbone, self.schedule = unet, VPSchedule()

        def forward(self, x_t: Tensor, t: Tensor) -> SimpleNamespace:
            alpha, sigma = self.schedule(t)
            noise = self.backbone(x_t, _LAST_TIME * t).sample
            return SimpleNamespace(mean=(x_t - sigma * noise) / alpha)

    return NoisePrediction()
