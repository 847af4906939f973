#!/usr/bin/env bash
# Faiss 1.15.1 (faiss-cpu), IndexFlatL2, "exhaustive and exact": which rows it finds depends on how many queries one call
# has. The bank is 2,000 rows of 64 numbers near 1000, apart by about 0.01; its own rows are the queries, so each has an
# exact copy in the bank. With 1,999 queries (queries × dimension = 127,936) every row finds itself. With 2,000 (128,000)
# none of them does, and the distance that is returned for the wrong row is 0 too: above that size distances are
# |x|² + |y|² − 2x·y in float32, which loses all digits of a distance that is small beside the rows' lengths. Nothing in
# the call tells the two ways apart. Who splits queries into batches gets other neighbours than who does not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv -q --python 3.11 "$folder/venv"
uv pip install -q --python "$folder/venv/bin/python" faiss-cpu==1.15.1 numpy==2.4.1
"$folder/venv/bin/python" - <<'PYTHON'
import faiss
import numpy as np

bank = (1000 + 0.01 * np.random.default_rng(0).normal(size=(2000, 64))).astype(np.float32)
index = faiss.IndexFlatL2(64)
index.add(bank)
found = {}
for queries in (1, 100, 1999, 2000):
    distances, rows = index.search(bank[:queries], 1)
    found[queries] = float((rows[:, 0] == np.arange(queries)).mean())
    print(f"{queries} queries: {found[queries]:.0%} find their own row, largest distance {distances.max()}")
if not (found[1] == found[100] == found[1999] == 1 and found[2000] < 0.5):
    raise SystemExit("the behaviour has changed")
PYTHON
