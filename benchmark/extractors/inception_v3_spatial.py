"""The features of sFID (Nash et al. 2021): where in an image there is what."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from benchmark.extractors.inception_2015 import Inception2015

if TYPE_CHECKING:
    import torch


class InceptionV3Spatial(Inception2015):
    """The first 7 channels of a 17×17 layer of the 2015 Inception, resized as torch-fidelity does.

    They are those of guided-diffusion, `mixed_6/conv` in TensorFlow's graph, whose distance is
    called sFID (Nash et al. 2021).
    """

    kind: Literal["inception-v3-spatial"] = "inception-v3-spatial"
    label = "sFID"
    dimension = 7 * 17 * 17
    preprocessing = "guided-diffusion: bilinear 299x299 of TensorFlow 1, (x-128)/128"
    has_classes = False

    def preprocess(self, images: torch.Tensor) -> torch.Tensor:
        """Map uint8 B×3×H×W to float32 B×3×299×299 in about [-1, 1]."""
        from benchmark.extractors.networks.inception_2015 import preprocess_tensorflow

        return preprocess_tensorflow(images)

    def network(self, file: Path, device: torch.device) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return what maps that to the features, float32 B×2023."""
        from benchmark.extractors.networks.inception_2015 import load_inception_2015

        return load_inception_2015(file, device).spatial
