"""Copies of training images, which a model must not make and retrieval must find."""

from __future__ import annotations

import io
from typing import Literal

import numpy as np
from PIL import Image
from pydantic import Field

from benchmark.data.controls.base import MadeControl, choose
from benchmark.data.prepared import Images


class PlantedCopies(MadeControl):
    """Training images, each taken at most once: exact, mirrored and compressed, by turns."""

    kind: Literal["copies"] = "copies"
    quality: int = Field(default=95, ge=1, le=100, description="Quality of the JPEG")
    parts = ("exact", "mirrored", "jpeg")

    @property
    def text(self) -> str:
        """What the images are, for captions."""
        return (
            "training images, a third each as they are, mirrored, and as JPEG of quality "
            f"{self.quality} without chroma subsampling"
        )

    def make(self, train: Images, count: int, rng: np.random.Generator) -> Images:
        """Return copies of training images, uint8 count×H×W×C; see `MadeControl.make`."""
        chosen = choose(train, count, rng)
        chosen[1::3] = chosen[1::3, :, ::-1]
        chosen[2::3] = [self._jpeg(image) for image in chosen[2::3]]
        return chosen

    def _jpeg(self, image: Images) -> Images:
        buffer = io.BytesIO()
        plain = image if image.shape[2] > 1 else image[..., 0]  # Pillow's grey has no channel
        Image.fromarray(plain).save(buffer, "JPEG", quality=self.quality, subsampling=0)
        return np.asarray(Image.open(buffer)).reshape(image.shape)
