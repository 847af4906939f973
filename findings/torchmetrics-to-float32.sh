#!/usr/bin/env bash
# torchmetrics 1.9.0: a metric keeps the type of its sums when .float() or .half() is called, of it
# or of a module that holds it, and says that only set_dtype changes it. But .to(torch.float32),
# of either, changes it too, without a word. FrechetInceptionDistance then sums in float32, in place
# of float64, and takes eigenvalues of a product of covariances in it. Of fewer images than features
# most of these are zero but for rounding, whose square root is added up: the distance is too small.
# docs/fid-dialects.md has what this comes to.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet --python 3.11 "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" torchmetrics==1.9.0 torch-fidelity==0.4.0 torch==2.15.0 numpy==2.4.6
OMP_NUM_THREADS=1 "$folder/venv/bin/python" -W ignore - <<'PYTHON'
import torch
from torchmetrics.image.fid import FrechetInceptionDistance

IMAGES, FEATURES = 500, 2048


class Given(torch.nn.Module):
    """Hands back the features that it is given, in place of the Inception."""

    num_features = FEATURES

    def forward(self, x):
        return x


generator = torch.Generator().manual_seed(0)


def normal(*shape):
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


directions = normal(64, FEATURES) * torch.exp(-torch.arange(64) / 12.0)[:, None]


def features(shift):
    signal = normal(IMAGES, 64) @ directions * (1 + shift)
    return (0.1 * signal + 0.1 * normal(IMAGES, FEATURES) + 0.4 + 0.1 * shift).abs().float()


def exact(a, b):
    """The distance by singular values of the centred features, which sums no rounding up."""
    a, b = a.double(), b.double()
    left, right = ((x - x.mean(0)) / (len(x) - 1) ** 0.5 for x in (a, b))
    root = torch.linalg.svdvals(left @ right.T).sum()
    return ((a.mean(0) - b.mean(0)).square().sum() + left.square().sum() + right.square().sum() - 2 * root).item()


a, b = features(0), features(0.05)
truth = exact(a, b)
for name, change in (
    ("as it is made", lambda metric: metric),
    (".float() of a module around it", lambda metric: torch.nn.ModuleList([metric]).float()[0]),
    (".to(torch.float32)", lambda metric: metric.to(torch.float32)),
    (".to(torch.float32) of a module around it", lambda metric: torch.nn.ModuleList([metric]).to(torch.float32)[0]),
):
    metric = change(FrechetInceptionDistance(feature=Given()))
    metric.update(a, real=True)
    metric.update(b, real=False)
    off = metric.compute().item() / truth - 1
    print(f"{name}: sums in {metric.real_features_cov_sum.dtype}, off by {100 * off:.4f} %")
    assert (abs(off) > 0.02) == (".to(" in name)
PYTHON
