"""The 2015 Inception with the preprocessing of torch-fidelity: bilinear as in TensorFlow 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from benchmark.extractors.inception_2015 import Inception2015

if TYPE_CHECKING:
    import torch


class InceptionV3TorchFidelity(Inception2015):
    """The 2015 Inception with the preprocessing of torch-fidelity."""

    kind: Literal["inception-v3-torch-fidelity"] = "inception-v3-torch-fidelity"
    label = "FID (torch-fidelity)"
    preprocessing = "torch-fidelity: bilinear 299x299 of TensorFlow 1, (x-128)/128"

    def preprocess(self, images: torch.Tensor) -> torch.Tensor:
        """Map uint8 B×3×H×W to float32 B×3×299×299 in about [-1, 1]."""
        from benchmark.extractors.networks.inception_2015 import preprocess_tensorflow

        return preprocess_tensorflow(images)
