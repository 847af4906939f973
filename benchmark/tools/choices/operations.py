"""What can be done to the pixels of an image before it is given to an extractor."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels: TypeAlias = NDArray[np.uint8]
Filter: TypeAlias = Literal[
    "Lanczos", "bicubic", "bilinear", "box", "plain bicubic", "plain bilinear", "nearest pixel"
]

_PILLOW = {
    "Lanczos": Image.Resampling.LANCZOS,
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "box": Image.Resampling.BOX,
    "nearest pixel": Image.Resampling.NEAREST,
}
# The filters that are not widened where an image shrinks, by torch's names.
_PLAIN: dict[str, Literal["bicubic", "bilinear"]] = {
    "plain bicubic": "bicubic",
    "plain bilinear": "bilinear",
}
FILTERS: dict[Filter, str] = {
    "Lanczos": "Lanczos, antialiased",
    "bicubic": "bicubic, antialiased",
    "bilinear": "bilinear, antialiased",
    "box": "box, antialiased",
    "plain bicubic": "bicubic, not antialiased",
    "plain bilinear": "bilinear, not antialiased",
    "nearest pixel": "nearest pixel",
}


@dataclass(frozen=True)
class Operation:
    """A change of an image, uint8 H×W×3 in [0, 255].

    Attributes:
        order: its place among other operations; smaller ones come first.
    """

    order: ClassVar[int]

    def __call__(self, pixels: Pixels) -> Pixels:
        """Return the changed image, uint8 H'×W'×3, of an image H×W×3; the image itself stays."""
        raise NotImplementedError


@dataclass(frozen=True)
class Grey(Operation):
    """Replaces colours by their luma of BT.601, as Pillow does."""

    order = 1

    def __call__(self, pixels: Pixels) -> Pixels:
        """Return an image, H×W×3, without colours."""
        return _pixels(Image.fromarray(pixels).convert("L").convert("RGB"))


@dataclass(frozen=True)
class CentreCrop(Operation):
    """Cuts the largest square out of the centre."""

    order = 2

    def __call__(self, pixels: Pixels) -> Pixels:
        """Return the square, S×S×3 with S the smaller of H and W, of an image H×W×3."""
        height, width = pixels.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        return pixels[top : top + side, left : left + side]


@dataclass(frozen=True)
class Scale(Operation):
    """Resizes to width × height, and rounds to whole grey levels."""

    width: int
    height: int
    filter: Filter

    order = 3

    def __call__(self, pixels: Pixels) -> Pixels:
        """Return an image H×W×3 in the new size, height×width×3."""
        if self.filter in _PLAIN:
            return self._plain(pixels)
        size = (self.width, self.height)
        return _pixels(Image.fromarray(pixels).resize(size, _PILLOW[self.filter]))

    def _plain(self, pixels: Pixels) -> Pixels:
        import torch
        from torch.nn.functional import interpolate

        x = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].float()
        mode, size = _PLAIN[self.filter], (self.height, self.width)
        resized = interpolate(x, size, mode=mode, align_corners=False)
        return resized[0].permute(1, 2, 0).round().clamp(0, 255).byte().numpy()


@dataclass(frozen=True)
class Jpeg(Operation):
    """Saves as JPEG, as Pillow does by default: colours at half the resolution; and reads again."""

    quality: int

    order = 4

    def __call__(self, pixels: Pixels) -> Pixels:
        """Return what is left of an image, H×W×3."""
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=self.quality)
        return _pixels(Image.open(file))


@dataclass(frozen=True)
class Fit(Scale):
    """Resizes to the size of the network's input, so that the extractor has nothing to resize."""

    order = 5


def _pixels(image: Image.Image) -> Pixels:
    """Return an image in RGB as an array, uint8 H×W×3."""
    return np.array(image)
