"""CelebA-HQ: from the Hugging Face hub at a fixed revision, or from a local copy."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from benchmark.core.strict_model import Commit
from benchmark.data.sources.hub_faces import HubFaces


class CelebAHQ(HubFaces):
    """CelebA-HQ at 256×256: 28,000 images for training and 2,000 for validation."""

    source: Literal["celeba_hq"] = "celeba_hq"
    revision: Commit = Field(
        default="42078a1fb27b6079eaab8cf453efd3d79a8b7bda",
        description="Commit on the hub",
    )

    repository = "korexyz/celeba-hq-256x256"
    files = ("data/train-*.parquet", "data/validation-*.parquet")
    licence = "non-commercial research and education only; do not redistribute the images"
    attribution = (
        "CelebA-HQ: Karras et al., Progressive Growing of GANs, ICLR 2018; "
        "CelebA: Liu et al., Deep Learning Face Attributes in the Wild, ICCV 2015"
    )
