#!/usr/bin/env bash
# datasets 5.2.0: two ways in which images in parquet are not the images that went in.
#
# 1. `to_parquet` of a data set of image files writes their paths, and null in the place of their bytes.
#    The file is a few kB, and on another machine, or after the images were moved, it holds nothing.
#    `save_to_disk` and `push_to_hub` do put the bytes in, and so does `embed_table_storage`.
# 2. A `map` that returns an image as it is, of rows that hold bytes, writes it again: a JPEG of quality
#    95 becomes one of Pillow's usual quality, 75, without a word, and its pixels differ.
#
# Prints what was seen; the status is not 0 if the behaviour changes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv -q "$folder/venv"
uv pip install -q --python "$folder/venv/bin/python" datasets==5.2.0 pillow==13.0.0

HF_HUB_OFFLINE=1 HF_DATASETS_CACHE="$folder/cache" "$folder/venv/bin/python" - "$folder" 2>/dev/null <<'PYTHON'
import io
import sys
from pathlib import Path

import datasets
import numpy as np
import pyarrow.parquet as pq
from datasets.table import embed_table_storage
from PIL import Image

folder = Path(sys.argv[1])
noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)
Image.fromarray(noise).save(folder / "a.jpg", quality=95)
of_files = datasets.Dataset.from_dict({"image": [str(folder / "a.jpg")]})
of_files = of_files.cast_column("image", datasets.Image())
embedded = of_files.with_format("arrow").map(embed_table_storage, batched=True).with_format(None)


def written(data):
    data.to_parquet(folder / "x.parquet")
    return pq.read_table(folder / "x.parquet").column("image")[0].as_py()["bytes"]


def first_table(content):
    return Image.open(io.BytesIO(content)).quantization[0][0]  # 2 at quality 95, 8 at 75


before = (folder / "a.jpg").read_bytes()
mapped = written(embedded.map(lambda row: {"image": row["image"]}))
pixels = [np.asarray(Image.open(io.BytesIO(c))).astype(int) for c in (before, mapped)]
seen = {
    "bytes that to_parquet writes of an image file": written(of_files),
    "embedded: the same bytes": written(embedded) == before,
    "first quantiser of the JPEG before and after map": (first_table(before), first_table(mapped)),
    "pixels differ": bool((pixels[0] != pixels[1]).any()),
}
for what, found in seen.items():
    print(f"{what}: {found}")
sys.exit(list(seen.values()) != [None, True, (2, 8), True])
PYTHON
