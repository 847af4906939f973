"""Resizing of images as different libraries do it, on which the FID depends strongly.

Parmar et al. (2022) compare them. All functions take uint8 B×3×H×W; those that return float32 do
not round.
"""

from __future__ import annotations

from mmap import mmap
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

BAND = 2**19  # numbers that are converted to float32 at a time where an image shrinks a lot
SPARSE = 4  # few rows are read of an image that is at least so many times as high as its result
CENTRE_ERROR = 0.01  # pixels; the rounding error of the centre of an output row is far smaller


def bilinear(images: Tensor, side: int) -> Tensor:
    """Interpolate between the four nearest pixels, also where the image shrinks (pytorch-fid).

    Returns:
        float32 B×3×side×side in [0, 255], channels_last.
    """
    height = images.shape[2]
    if images.device.type == "cpu" and images.numel() > BAND and height >= SPARSE * side:
        x = _float_rows(images, _rows_between(height, side))
    else:
        x = images.float().contiguous(memory_format=torch.channels_last)
    return interpolate(x, (side, side), mode="bilinear", align_corners=False)


def _rows_between(height: int, side: int) -> list[int]:
    """Return the rows that `bilinear` reads of `height`: those above and below each output row."""
    centre = (np.arange(side) + 0.5) * (height / side) - 0.5
    # torch rounds the centre to float32, which may move it to the next row
    above = np.floor([centre - CENTRE_ERROR, centre + CENTRE_ERROR]).astype(int)
    rows: list[int] = np.unique(np.clip([above, above + 1], 0, height - 1)).tolist()
    return rows


def _float_rows(images: Tensor, rows: list[int]) -> Tensor:
    """Return images as float32, channels_last, with all but the given rows zero.

    Mapped memory takes space only for pages that are written, so the other rows take none.
    """
    pixels = images.permute(0, 2, 3, 1)
    x = torch.frombuffer(mmap(-1, 4 * pixels.numel()), dtype=torch.float32).view(pixels.shape)
    for row in rows:
        x[:, row] = pixels[:, row]
    return x.permute(0, 3, 1, 2)


def bilinear_tf1(images: Tensor, side: int) -> Tensor:
    """Interpolate as `tf.image.resize_bilinear` of TensorFlow 1 does (torch-fidelity).

    The centre of output pixel i is at i·H/side, so that the image shifts to the lower right.

    Returns:
        float32 B×3×side×side in [0, 255], channels_last.
    """
    x = images.permute(0, 2, 3, 1)
    height, width = x.shape[1:3]
    low, high, weight = _tf1_taps(width, side, x.device)
    x = torch.lerp(x[:, :, low].float(), x[:, :, high].float(), weight[:, None])
    low, high, weight = _tf1_taps(height, side, x.device)
    x = torch.lerp(x[:, low], x[:, high], weight[:, None, None])
    return x.permute(0, 3, 1, 2)


def bicubic(images: Tensor, side: int) -> Tensor:
    """Resize with a cubic filter (a = -1/2), widened where the image shrinks (clean-fid, Pillow).

    Returns:
        float32 B×3×side×side in [0, 255] (the cubic's overshoot is cut), channels_last.
    """
    return antialiased(images, side, "bicubic").clamp_(0, 255)


def antialiased(images: Tensor, side: int, mode: Literal["bilinear", "bicubic"]) -> Tensor:
    """Resize with torch's filter `mode`, widened where the image shrinks.

    As in torch, rows are filtered first and columns after them. The rows are filtered in bands,
    which gives the same numbers and needs no copy of the whole image in float32.

    Returns:
        float32 B×3×side×side, channels_last.
    """

    def resized(x: Tensor, height: int) -> Tensor:
        x = x.float().contiguous(memory_format=torch.channels_last)
        return interpolate(x, (height, side), mode=mode, antialias=True, align_corners=False)

    count, channels, height, width = images.shape
    rows = max(1, BAND // (count * channels * width))
    if rows < height and side < width:
        images = torch.cat(
            [resized(band, band.shape[2]) for band in torch.split(images, rows, 2)], 2
        )
    return resized(images, side)


def pillow(images: Tensor, height: int, width: int, resample: Image.Resampling) -> Tensor:
    """Resize with Pillow itself, which rounds to whole grey levels after each of the two axes.

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
