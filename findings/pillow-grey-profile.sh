#!/usr/bin/env bash
# Pillow 13.0.0 with its own Little CMS: by default, ImageCms converts a grey image with a profile of
# linear light (gamma 1) to sRGB by up to 10 of 255 levels beside the formula. Little CMS tabulates a
# one-channel transform at a few points and interpolates, also where both sides have 8 bits and 256 exact
# results would do. With ImageCms.Flags.NOOPTIMIZE the result is within one level.
#
# Prints what was seen; the status is not 0 if the behaviour changes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv -q "$folder/venv"
uv pip install -q --python "$folder/venv/bin/python" pillow==13.0.0 numpy==2.3.5

"$folder/venv/bin/python" - <<'PYTHON'
import io
import struct
import sys

import numpy as np
from PIL import Image, ImageCms

WHITE = struct.pack(">3i", *(round(v * 65536) for v in (0.9642, 1.0, 0.82491)))
TAGS = {
    b"desc": b"desc\0\0\0\0" + struct.pack(">I", 7) + b"linear\0" + bytes(78),
    b"cprt": b"text\0\0\0\0none\0",
    b"wtpt": b"XYZ \0\0\0\0" + WHITE,
    b"kTRC": b"curv\0\0\0\0" + struct.pack(">I", 0),  # no points: the identity
}


def profile() -> io.BytesIO:
    """A grey display profile, ICC.1:2001-04, of linear light."""
    start, table, data = 128 + 4 + 12 * len(TAGS), b"", b""
    for tag, content in TAGS.items():
        table += tag + struct.pack(">II", start + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    header = struct.pack(">I4xI", start + len(data), 0x02100000) + b"mntrGRAYXYZ "
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + WHITE
    return io.BytesIO(header.ljust(128, b"\0") + struct.pack(">I", len(TAGS)) + table + data)


ramp = np.arange(256, dtype=np.uint8)
light = ramp / 255
srgb = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055) * 255
off = {}
for name, flags in (("default", ImageCms.Flags.NONE), ("NOOPTIMIZE", ImageCms.Flags.NOOPTIMIZE)):
    source = ImageCms.ImageCmsProfile(profile())
    target = ImageCms.createProfile("sRGB")
    transform = ImageCms.buildTransform(source, target, "L", "RGB", flags=flags)
    found = np.asarray(transform.apply(Image.fromarray(ramp[None])))[0, :, 1]
    off[name] = np.abs(found - srgb).max()
    print(f"{name}: at most {off[name]:.1f} levels beside the formula of sRGB")
sys.exit(not (off["default"] > 5 and off["NOOPTIMIZE"] <= 1))
PYTHON
