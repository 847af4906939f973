"""Colour profiles made of their numbers, and what they mean, without a colour library."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

# Red, green and blue of each space as X, Y, Z of the profile connection space (D50).
P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
D50 = (0.96420, 1.0, 0.82491)


def linear(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return light of sRGB's encoding, both in [0, 1]."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def encoded(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return sRGB's encoding of light, both in [0, 1]."""
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def srgb_of(pixels: NDArray[np.uint8], primaries: object, gamma: float) -> NDArray[np.uint8]:
    """Return sRGB pixels of those of another space; gamma 0 is sRGB's curve."""
    values = pixels / 255
    light = values**gamma if gamma else linear(values)
    moved = light @ np.array(primaries) @ np.linalg.inv(np.array(SRGB))
    return (encoded(moved.clip(0, 1)) * 255).round().astype(np.uint8)


def srgb_of_p3(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return sRGB pixels, H×W×3, of Display-P3 ones."""
    return srgb_of(pixels, P3, 0)


def matrix_profile(name: str, primaries: object, gamma: float) -> bytes:
    """Return a profile of three primaries, ICC.1:2001-04; gamma 0 is sRGB's curve."""
    r, g, b = (_xyz(primary) for primary in np.array(primaries))
    curve = _curve(gamma)
    tags = {b"desc": _text(name), b"cprt": b"text\0\0\0\0none\0", b"wtpt": _xyz(D50)}
    tags |= {b"rXYZ": r, b"gXYZ": g, b"bXYZ": b, b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
    return _profile(b"RGB ", tags)


def grey_profile(name: str, gamma: float) -> bytes:
    """Return a profile of greys."""
    tags = {b"desc": _text(name), b"cprt": b"text\0\0\0\0none\0", b"wtpt": _xyz(D50)}
    return _profile(b"GRAY", tags | {b"kTRC": _curve(gamma)})


def _xyz(values: object) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in np.array(values)))


def _curve(gamma: float) -> bytes:
    if gamma:
        return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))
    table = (linear(np.linspace(0, 1, 4096)) * 65535).round().astype(">u2")
    return b"curv\0\0\0\0" + struct.pack(">I", len(table)) + table.tobytes()


def _text(name: str) -> bytes:
    text = name.encode() + b"\0"
    return b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78)


def _profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    start = 128 + 4 + 12 * len(tags)
    table, data = b"", b""
    for tag, content in tags.items():
        table += tag + struct.pack(">II", start + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    header = struct.pack(
        ">I4sI4s4s4s", start + len(data), b"\0" * 4, 0x02100000, b"mntr", space, b"XYZ "
    )
    header += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp") + bytes(28)
    header += _xyz(D50)[8:]
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + data


DISPLAY_P3 = matrix_profile("Display P3", P3, 0)
ADOBE_RGB = matrix_profile("Adobe RGB", ADOBE, 2.19921875)
