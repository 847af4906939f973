"""Resizing to a square as each library does it: FID changes with it as with the images.

Parmar et al. (2022) compare them. All take uint8 B×3×H×W; the float ones keep fractions.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate


def bilinear(images: Tensor, side: int) -> Tensor:
    """Interpolate between the four nearest pixels, also where the image shrinks (pytorch-fid).

    Returns:
        float32 B×3×side×side in [0, 255], channels_last.
    """
    x = images.float().contiguous(memory_format=torch.channels_last)
    return interpolate(x, (side, side), mode="bilinear", align_corners=False)


def bilinear_tf1(images: Tensor, side: int) -> Tensor:
    """Interpolate as `tf.image.resize_bilinear` of TensorFlow 1 does (torch-fidelity).

    The centre of output pixel i lies at i·H/side: the image shifts to the lower right.

    Returns:
        float32 B×3×side×side in [0, 255], channels_last.
    """
    x = images.permute(0, 2, 3, 1).float()
    height, width = x.shape[1:3]
    low, high, weight = _tf1_taps(width, side, x.device)
    x = torch.lerp(x[:, :, low], x[:, :, high], weight[:, None])
    low, high, weight = _tf1_taps(height, side, x.device)
    x = torch.lerp(x[:, low], x[:, high], weight[:, None, None])
    return x.permute(0, 3, 1, 2)


def bicubic(images: Tensor, side: int) -> Tensor:
    """Filter with the cubic (a = -1/2) widened where the image shrinks, as Pillow (clean-fid).

    Returns:
        float32 B×3×side×side in [0, 255] (the cubic's overshoot is cut), channels_last.
    """
    x = images.float().contiguous(memory_format=torch.channels_last)
    x = interpolate(x, (side, side), mode="bicubic", antialias=True, align_corners=False)
    return x.clamp_(0, 255)


def pillow(images: Tensor, height: int, width: int, resample: Image.Resampling) -> Tensor:
    """Resize with Pillow itself, which rounds to whole grey levels after either axis.

    torch resizes uint8 differently: by up to 20 levels where one axis grows and the other shrinks
    (torch 2.15), and only on CPUs.

    Returns:
        uint8 B×3×height×width in [0, 255], on the device of `images`.
    """
    pictures = [Image.fromarray(image) for image in images.permute(0, 2, 3, 1).cpu().numpy()]
    resized = [np.asarray(picture.resize((width, height), resample)) for picture in pictures]
    return torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2).to(images.device)


def _tf1_taps(length: int, side: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return for each output pixel the two input pixels and the second one's weight."""
    # The scale is rounded to float32 first, as in TensorFlow.
    position = torch.arange(side, device=device) * torch.tensor(length / side, device=device)
    low = position.long()
    return low, (low + 1).clamp_(max=length - 1), position - low
