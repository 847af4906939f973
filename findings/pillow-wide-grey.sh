#!/usr/bin/env bash
# Pillow 13.0.0: three ways in which grey pixels of more than 8 bits are not what the file says.
#
# 1. TIFF, 16 bits, PhotometricInterpretation 0 (0 is white): the values are not inverted, though those
#    of an 8-bit TIFF of the same kind are. The picture is a negative, and no mode or info tells.
# 2. TIFF, 12 bits: the mode is I;16, as of 16-bit files, but the values are 0 … 4095. Only the raw mode
#    in `tile`, before loading, tells. (Of a 10-bit PGM the values are brought to 0 … 65535.)
# 3. convert("RGB") of I;16 does not scale: every value above 255 becomes white. This is how pytorch-fid,
#    torch-fidelity and clean-fid open their images.
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
from PIL import Image


def tiff(pixels: bytes, bits: int, photometric: int) -> Image.Image:
    """A baseline TIFF of two grey pixels."""
    tags = {256: 2, 257: 1, 258: bits, 259: 1, 262: photometric, 277: 1, 278: 1}
    tags |= {273: 8 + 2 + 12 * 9 + 4, 279: len(pixels)}
    entries = b"".join(struct.pack("<HHIHH", tag, 3, 1, v, 0) for tag, v in sorted(tags.items()))
    file = b"II" + struct.pack("<HIH", 42, 8, len(tags)) + entries + bytes(4) + pixels
    return Image.open(io.BytesIO(file))


def values(image: Image.Image) -> list[int]:
    return np.asarray(image)[0].tolist()


pgm = Image.open(io.BytesIO(b"P5 2 1 1023\n" + struct.pack(">HH", 0, 1023)))
png = io.BytesIO()
Image.fromarray(np.array([[255, 256, 40000]], np.uint16)).save(png, "PNG")
seen = {
    "8-bit TIFF, 0 is white, bytes 0 255": values(tiff(bytes([0, 255]), 8, 0)),
    "16-bit TIFF, 0 is white, 0 65535": values(tiff(struct.pack("<HH", 0, 65535), 16, 0)),
    "12-bit TIFF, 0 4095": values(tiff(bytes([0, 0x0F, 0xFF]), 12, 1)),
    "10-bit PGM, 0 1023": values(pgm),
    "16-bit PNG, 255 256 40000, convert(RGB)": values(Image.open(png).convert("RGB").getchannel(0)),
}
expected = [[255, 0], [0, 65535], [0, 4095], [0, 65535], [255, 255, 255]]
for what, found in seen.items():
    print(f"{what}: {found}")
sys.exit(list(seen.values()) != expected)
PYTHON
