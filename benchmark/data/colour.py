"""Conversion of image files to sRGB: profiles are applied, and what cannot be applied is named."""

from __future__ import annotations

import functools
import io
import re
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageCms

# The largest difference from sRGB, in grey levels, of a profile that counts as sRGB. Files contain
# many versions of it, whose tables are rounded differently; their pixels stay as they are.
_SAME = 2
INTEROPERABILITY, ADOBE_RGB = 0xA005, "R03"  # EXIF tag, and its value in photographs in Adobe RGB
PNG_GAMMA = 1 / 2.2  # the gamma of a PNG file in sRGB
PNG_PRIMARIES = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)  # white, red, green, blue
# Where a PNG file (cICP) and an AVIF file (nclx) have the numbers of ITU-T H.273 for primaries and
# transfer function, and where a JPEG 2000 file has a colour profile. Pillow reads none of the
# three.
_CODES = {
    "PNG": re.compile(rb"\x00\x00\x00\x04cICP(.)(.)", re.DOTALL),
    "AVIF": re.compile(rb"colrnclx\x00(.)\x00(.)", re.DOTALL),
}
_JPEG_2000_PROFILE = re.compile(rb"(.{4})colr\x02..", re.DOTALL)
_SRGB_PRIMARIES = {1, 2}  # those of BT.709, which are sRGB's, and unspecified
_SRGB_TRANSFERS = {
    1,
    2,
    6,
    13,
    14,
    15,
}  # those of sRGB and of video, which is shown as sRGB, and unspecified
_PIXELS = {
    "PNG": b"IDAT",
    "AVIF": b"mdat",
    "JPEG2000": b"jp2c",
}  # what precedes the pixels in a file
SPACES = {
    "RGB": "RGB ",
    "L": "GRAY",
    "CMYK": "CMYK",
}  # colour space of a profile, by the mode of the pixels


class Declared(NamedTuple):
    """What a file declares of its colours that Pillow does not read.

    Attributes:
        codes: numbers of the primaries and the transfer function in ITU-T H.273; None: not
            declared.
        profile: content of an ICC profile; empty: there is none.
    """

    codes: tuple[int, int] | None = None
    profile: bytes = b""


def declared(image: Image.Image) -> Declared:
    """Return what the file of an image, opened but not loaded, declares of its colours."""
    file = getattr(image, "fp", None)
    if file is None or image.format not in _PIXELS:
        return Declared()
    place = file.tell()
    file.seek(0)
    content = file.read()
    end = content.find(_PIXELS[image.format])
    head = content if end < 0 else content[:end]
    file.seek(place)
    if image.format == "JPEG2000":
        found = _JPEG_2000_PROFILE.search(head)
        length = int.from_bytes(found[1]) if found else 0
        return Declared(profile=head[found.end() : found.start() + length] if found else b"")
    found = _CODES[image.format].search(head)
    return Declared(codes=(found[1][0], found[2][0]) if found else None)


def to_srgb(image: Image.Image, profile: bytes) -> tuple[Image.Image, list[str]]:
    """Convert an image to sRGB with its ICC profile, by Little CMS with the perceptual intent.

    Args:
        image: image in RGB, L or CMYK with 8 bits.
        profile: content of the ICC profile.

    Returns:
        The image, in RGB if it was converted and else unchanged, and the name of what was done,
        which is nothing if the profile is that of sRGB.
    """
    if image.mode == "L" and _space(profile) == SPACES["RGB"]:
        image = image.convert("RGB")
    try:
        name, transform = _transform(profile, image.mode)
    except (ImageCms.PyCMSError, OSError, ValueError):
        what = "damaged" if not _space(profile) else f"of {_space(profile).strip()} colours"
        return image, [f"colour profile not applied, as it is {what}"]
    if transform is None:
        return image, []
    converted = transform.apply(image)
    return converted, [f"colour profile {name} to sRGB"]


def unapplied(image: Image.Image, stated: Declared) -> list[str]:
    """Return the names of declared properties of colours that are not applied to the pixels.

    Args:
        image: image from a file without a profile.
        stated: what the file declares besides.
    """
    names = []
    info = image.info
    if stated.codes is not None:  # they take precedence over the rest
        primaries, transfer = stated.codes
        if primaries not in _SRGB_PRIMARIES or transfer not in _SRGB_TRANSFERS:
            names.append(f"colour codes {primaries}/{transfer} not applied")
    elif "srgb" not in info:
        stated_primaries = info.get("chromaticity")
        if abs(info.get("gamma", PNG_GAMMA) - PNG_GAMMA) > 0.01:
            names.append(f"gamma {info['gamma']:.3g} not applied")
        if stated_primaries and not np.allclose(stated_primaries, PNG_PRIMARIES, atol=0.01):
            names.append("primaries not applied")
    exif = image.getexif()
    # Pillow 11.0 raises KeyError if the tag is missing
    is_there = INTEROPERABILITY in exif.get_ifd(ExifTags.IFD.Exif)
    if is_there and exif.get_ifd(INTEROPERABILITY).get(1) == ADOBE_RGB:
        names.append("Adobe RGB of EXIF not applied")
    return names


@functools.lru_cache(maxsize=64)
def _transform(profile: bytes, mode: str) -> tuple[str, ImageCms.ImageCmsTransform | None]:
    """Return a profile's name and the conversion from it to sRGB, which is None for sRGB itself.

    Raises:
        ImageCms.PyCMSError, OSError, ValueError: the profile is damaged, or not one for this mode.
    """
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    if _space(profile) != SPACES[mode]:
        raise ValueError("a profile of other colours")
    # Otherwise Little CMS interpolates greys between a few of them, with errors of up to 10 levels.
    flags = ImageCms.Flags.NOOPTIMIZE if mode == "L" else ImageCms.Flags.NONE
    srgb = ImageCms.createProfile("sRGB")
    transform = ImageCms.buildTransform(source, srgb, mode, "RGB", flags=flags)
    name = " ".join(ImageCms.getProfileDescription(source).split())[:60] or "without a name"
    if mode != "CMYK":
        probe = _probe(mode)
        moved = np.asarray(transform.apply(probe)).astype(int) - np.asarray(probe.convert("RGB"))
        if np.abs(moved).max() <= _SAME:
            return name, None
    return name, transform


@functools.lru_cache(maxsize=64)
def _space(profile: bytes) -> str:
    """Return the colour space of a profile, as `RGB `; empty if it is damaged."""
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.xcolor_space
    except OSError:
        return ""


def _probe(mode: str) -> Image.Image:
    """Return an image of colours from the whole range: all greys, or 17 levels in each channel."""
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    levels = np.linspace(0, 255, 17).round().astype(np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1)
    return Image.fromarray(cube.reshape(17, -1, 3))
