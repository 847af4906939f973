#!/usr/bin/env bash
# torchmetrics 1.9.0: FrechetInceptionDistance(normalize=True) makes bytes of floats in [0, 1] by
# (x * 255).byte(), which cuts off what is behind the point and does not round. Of floats that are a
# hundredth of a grey level below whole levels, as networks and decoders make them, every pixel gets
# one level too dark. docs/fid-dialects.md has what this does to a distance.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet --python 3.11 "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" torchmetrics==1.9.0 torch-fidelity==0.4.0 torch==2.15.0 numpy==2.4.6
OMP_NUM_THREADS=1 "$folder/venv/bin/python" -W ignore - <<'PYTHON'
import torch
from torchmetrics.image.fid import FrechetInceptionDistance


class Network(torch.nn.Module):
    """Keeps what it is given, in place of the Inception."""

    num_features = 2

    def forward(self, x):
        if x.dtype == torch.uint8 and len(x) > 1:
            self.given = x
        return x.float().mean((2, 3))[:, :2]


metric = FrechetInceptionDistance(feature=Network(), normalize=True)
metric.used_custom_model = False  # its own network gets bytes, others get floats
for level in (200.0, 199.99, 199.6):
    metric.update(torch.full((2, 3, 8, 8), level / 255), real=True)
    given = metric.inception.given.unique().tolist()
    print(f"a pixel of {level} becomes {given}, rounded it would be {round(level)}")
    assert given == [200 if level == 200 else 199]
PYTHON
