"""Conversion of any image file to an 8-bit sRGB square; every conversion that is done is named."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from benchmark.core.errors import one_line
from benchmark.data.colour import Declared, declared, to_srgb, unapplied

Filter: TypeAlias = Literal["lanczos", "bicubic", "bilinear", "area"]
# What transparent pixels are blended with; `dropped`: their stored colours are taken as they are.
Background: TypeAlias = Literal["white", "black", "dropped"]

# Pillow widens its kernels by the reduction factor, so all four are antialiased.
_FILTERS = {
    "lanczos": Image.Resampling.LANCZOS,
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "area": Image.Resampling.BOX,
}
_ORIENTATION, _TURNED = 0x0112, range(2, 9)  # EXIF tag, and its values for turned images
# Tags of TIFF, and the value of each that matters here.
_BITS = 258
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0
_PLANAR, _SEPARATE = 284, 2
_SAMPLE_FORMAT, _SIGNED = 339, 2
# Finds the value of white in Pillow's description of a portable pixmap.
_PORTABLE = re.compile(r"'ppm(?:_plain)?'.*\('\w+', (\d+)\)")
_NO_RANGE = "32-bit or signed pixels have no known range: save the image with 8 or unsigned 16 bits"


class _Stored(NamedTuple):
    """How a file stores an image: what Pillow no longer knows once the image is loaded.

    Attributes:
        layout: Pillow's list of tiles, which names their formats.
        frames: number of frames of an animation, or of pages.
        is_turned: whether the EXIF orientation must be applied, which loading does for TIFF.
        colours: what the file declares of its colours.
    """

    layout: str
    frames: int
    is_turned: bool
    colours: Declared


def decode(
    load: Callable[[], Image.Image], background: Background = "white"
) -> tuple[Image.Image, list[str]]:
    """Read an image and convert it to 8-bit sRGB, in the same way for all commands.

    - A colour profile is applied, unless it is that of sRGB.
    - 16-bit grey is divided by 257, 12-bit grey by 4095/255; of 16-bit colour Pillow keeps the high
      byte. Pixels that are 32-bit, signed or fractions are refused, since their range is not known.
      16-bit colour in uncompressed planes is refused too, since Pillow reads the wrong bytes.
    - Transparent pixels are blended with white, or with another background.
    - Of an animation the first frame is taken, and of several pages the first page.
    - The EXIF orientation is applied.
    - Palettes, grey, black-and-white and CMYK become RGB.

    Returns:
        The image, and the names of the conversions that were done.

    Raises:
        ValueError: the image cannot be read; the message says why.
    """
    try:
        with load() as image:
            _check_size(image)
            _check_samples(image)
            stored = _stored(image)
            image.load()
            return _convert(image, stored, background)
    except UnidentifiedImageError as error:  # its text contains a memory address
        raise ValueError("not an image that Pillow knows, or damaged") from error
    except Exception as error:  # on damaged files Pillow's decoders raise almost anything
        raise ValueError(one_line(error)) from error


def fit_square(
    image: Image.Image, resolution: int, crop: Literal["centre", "none"] | int, resize: Filter
) -> Image.Image:
    """Crop an RGB image around its centre and resize it to resolution × resolution.

    Raises:
        ValueError: the image is smaller than the crop.
    """
    if image.size == (resolution, resolution) and crop in ("centre", "none", resolution):
        return image
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


def _check_size(image: Image.Image) -> None:
    """Refuse more pixels than Pillow's limit, for which Pillow itself only warns."""
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and image.width * image.height > limit:
        raise ValueError(
            f"{image.width}×{image.height} pixels are more than {limit:,}: scale the image down, "
            "if it is no decompression bomb"
        )


def _check_samples(image: Image.Image) -> None:
    """Refuse TIFF files that Pillow reads wrongly: those of signed bytes or 16-bit planes."""
    tags = getattr(image, "tag_v2", {})
    if _SIGNED in tags.get(_SAMPLE_FORMAT, ()):
        raise ValueError(_NO_RANGE)
    is_raw = any(tile[0] == "raw" for tile in getattr(image, "tile", []))
    if is_raw and tags.get(_PLANAR) == _SEPARATE and max(tags.get(_BITS, (1,))) > 8:
        raise ValueError(
            "16-bit colours in separate planes are misread by Pillow: save the image with 8 bits"
        )


def _stored(image: Image.Image) -> _Stored:
    """Return how the file stores an image that is not loaded yet."""
    layout = str(getattr(image, "tile", ""))
    frames = getattr(image, "n_frames", 1)
    colours = declared(image)
    is_turned = image.getexif().get(_ORIENTATION) in _TURNED  # last, since it may load a PNG
    return _Stored(layout, frames, is_turned, colours)


def _convert(
    image: Image.Image, stored: _Stored, background: Background
) -> tuple[Image.Image, list[str]]:
    """Apply the conversions of `decode` in their order."""
    layout = stored.layout
    profile = image.info.get("icc_profile") or stored.colours.profile
    notes = _depth(image.mode, layout)
    if stored.frames > 1:
        notes.append("animated, first frame")
    if not profile:
        notes += unapplied(image, stored.colours)
    white_is_zero = getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    if stored.is_turned:
        notes.append("EXIF orientation")
        image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise ValueError("floating-point pixels have no known range: save the image with 8 bits")
    if image.mode.startswith("I"):
        image = _from_wide(image, layout, white_is_zero)
    if notes[:1] == ["16-bit"] and _is_black(image):
        notes[0] = "16-bit, but black"
    notes += _named(image.mode)
    colours, alpha = _split(image)
    if profile:
        colours, applied = to_srgb(colours, profile)
        notes += applied
    if colours.mode != "RGB":
        colours = colours.convert("RGB")
    if alpha is not None:
        notes.append("alpha dropped" if background == "dropped" else f"alpha on {background}")
        colours = _blended(colours, alpha, background)
    return colours, notes


def _blended(colours: Image.Image, alpha: Image.Image, background: Background) -> Image.Image:
    """Return the colours of an image in RGB on a background."""
    if background == "dropped":
        return colours
    colours.putalpha(alpha)
    below = Image.new("RGBA", colours.size, background)
    return Image.alpha_composite(below, colours).convert("RGB")


def _depth(mode: str, layout: str) -> list[str]:
    """Return the name of a depth above 8 bits, which for colour only the layout tells."""
    if ";12" in layout:
        return ["12-bit"]
    maximum = _PORTABLE.search(layout)
    is_wide = ";16" in layout or mode.startswith("I") or (maximum and int(maximum[1]) > 255)
    return ["16-bit"] if is_wide else []


def _is_black(image: Image.Image) -> bool:
    """Tell whether no pixel is above 1, as if 8-bit values were saved as 16-bit ones."""
    colours = image.convert("RGB") if image.mode in {"RGBA", "LA"} else image
    return int(np.asarray(colours).max()) <= 1


def _named(mode: str) -> list[str]:
    """Return the name of the conversion from a mode of pixels to RGB; none for RGB itself."""
    if mode in {"RGB", "RGBA", "RGBX", "RGBa"}:
        return []
    known = {"1": "1-bit", "L": "greyscale", "LA": "greyscale", "La": "greyscale"}
    return [known.get(mode, "palette" if mode in {"P", "PA"} else mode)]


def _split(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Return the colours, in a mode to which profiles apply, and the transparency, if any."""
    if image.mode == "La":
        image = image.convert("LA")
    if image.has_transparency_data:
        grey = image.mode in {"1", "L", "LA"}
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
        return (image.getchannel("R") if grey else image.convert("RGB")), alpha
    if image.mode in {"1", "L"}:
        return image.convert("L"), None
    return image if image.mode in {"RGB", "CMYK"} else image.convert("RGB"), None


def _from_wide(image: Image.Image, layout: str, white_is_zero: bool) -> Image.Image:
    """Convert grey pixels of 12 or 16 bits to 8 bits.

    Pillow reads 12 bits as 0 … 4095 and any range of a portable greymap as 0 … 65535. It does not
    invert a 16-bit TIFF in which 0 is white.
    """
    if "16S" in layout or (image.mode == "I" and "I;16" not in layout and "ppm" not in layout):
        raise ValueError(_NO_RANGE)
    top = 4095 if "I;12" in layout else 65535
    table = ((np.arange(top + 1) * 255 + top // 2) // top).astype(np.uint8)
    values = np.asarray(image)
    grey = Image.fromarray((table[::-1] if white_is_zero else table)[values])
    key = image.info.get("transparency")
    if isinstance(key, int):
        grey.putalpha(Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8)))
    return grey
