"""The 2015 Inception of the Fréchet Inception Distance, with several kinds of preprocessing.

TensorFlow published the network in 2015, and Heusel et al. (2017) used it. Libraries resize and
scale images for it differently, and each way is a subclass of `Inception2015`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.extractors.base import Extractor
from benchmark.extractors.weights import Weights

if TYPE_CHECKING:
    import torch


class Inception2015(Extractor):
    """The 2015 Inception (Szegedy et al. 2016), its weights and its classes."""

    dimension = 2048
    weights = Weights(
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
    has_classes = True

    def network(self, file: Path, device: torch.device) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return what maps B×3×299×299 in about [-1, 1] to pool3 features, float32 B×2048."""
        from benchmark.extractors.networks.inception_2015 import load_inception_2015

        return load_inception_2015(file, device)

    def classifier(self, file: Path) -> NDArray[np.float32]:
        """Return the matrix, 2048×1008, that maps features to logits."""
        from benchmark.extractors.networks.inception_2015 import classifier

        return classifier(file)
