"""From whatever a file holds to 8-bit RGB squares; every conversion is named, none is silent."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

Filter: TypeAlias = Literal["lanczos", "bicubic", "bilinear", "area"]

# Pillow widens its kernels by the reduction factor, so all four are antialiased.
_FILTERS = {
    "lanczos": Image.Resampling.LANCZOS,
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "area": Image.Resampling.BOX,
}
_ORIENTATION = 0x0112  # EXIF tag


def decode(load: Callable[[], Image.Image]) -> tuple[Image.Image, list[str]]:
    """Read an image and convert it to 8-bit RGB.

    16-bit grey is divided by 257 (of 16-bit colour Pillow keeps the high byte), transparency is
    laid on white, of an animation the first frame is taken, the EXIF orientation is applied.

    Returns:
        The image and the names of the conversions that it took.

    Raises:
        ValueError: with the reason why the image cannot be read.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with load() as image:
                notes = ["16-bit"] if _is_16_bit(image) else []
                image.load()
                return _to_rgb(image, notes)
        except UnidentifiedImageError as error:  # its text holds an address in memory
            raise ValueError("not an image that Pillow knows, or damaged") from error
        except Exception as error:  # on damaged files Pillow's decoders raise almost anything
            raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error


def fit_square(
    image: Image.Image, resolution: int, crop: Literal["centre", "none"] | int, resize: Filter
) -> Image.Image:
    """Crop an RGB image around its centre and resize it to resolution × resolution.

    Raises:
        ValueError: the image is smaller than the crop.
    """
    side = min(image.size) if crop == "centre" else crop
    if isinstance(side, int):
        if side > min(image.size):
            width, height = image.size
            raise ValueError(f"{width}×{height} pixels are too few for a crop of {side}")
        image = _centre_crop(image, side)
    return image.resize((resolution, resolution), _FILTERS[resize])


def _centre_crop(image: Image.Image, side: int) -> Image.Image:
    left, top = ((length - side) // 2 for length in image.size)
    return image.crop((left, top, left + side, top + side))


def _is_16_bit(image: Image.Image) -> bool:
    # Pillow gives 16-bit colour as 8-bit RGB; only the stored layout tells
    layouts = str(getattr(image, "tile", ""))
    return ";16" in layouts or image.mode.startswith("I")


def _to_rgb(image: Image.Image, notes: list[str]) -> tuple[Image.Image, list[str]]:
    if getattr(image, "n_frames", 1) > 1:
        notes.append("animated, first frame")
    if image.getexif().get(_ORIENTATION, 1) != 1:
        notes.append("EXIF orientation")
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        image = _from_16_bit(image)
    if image.mode == "F":
        raise ValueError("floating-point pixels have no known range: save the image with 8 bits")
    if image.mode in {"1", "L", "LA", "La"}:
        notes.append("greyscale")
    elif image.mode not in {"RGB", "RGBA", "RGBX", "RGBa"}:
        notes.append("palette" if image.mode in {"P", "PA"} else image.mode)
    if image.has_transparency_data:
        notes.append("alpha on white")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), _to_rgba(image))
    return image.convert("RGB"), notes


def _to_rgba(image: Image.Image) -> Image.Image:
    if image.mode == "La":
        image = image.convert("LA")
    return image.convert("RGBA")


def _from_16_bit(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("32-bit pixels have no known range: save the image with 8 or 16 bits")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))
