"""CelebA: from the Hugging Face hub at a fixed revision, or from a local copy."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from benchmark.core.strict_model import Commit
from benchmark.data.sources.hub_faces import HubFaces


class CelebA(HubFaces):
    """CelebA, aligned: 178×218, 162,770 images for training and 19,867 for validation."""

    source: Literal["celeba"] = "celeba"
    revision: Commit = Field(
        default="2d738f56e0e7f925ea36ae7c808ea925264aacec",
        description="Commit on the hub",
    )

    repository = "flwrlabs/celeba"
    files = (
        "img_align+identity+attr/train-*.parquet",
        "img_align+identity+attr/valid-*.parquet",
    )
    licence = "non-commercial research only; do not redistribute the images"
    attribution = "CelebA: Liu et al., Deep Learning Face Attributes in the Wild, ICCV 2015"
