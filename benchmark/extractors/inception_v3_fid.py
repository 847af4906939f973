"""The 2015 Inception of the Fréchet Inception Distance, in the three dialects of its libraries.

TensorFlow published it in 2015 and Heusel et al. (2017) used it. It differs from later Inceptions
in that average pooling leaves out the padding and that the last block pools by the maximum. The
libraries share the network and differ in what they feed it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d

from benchmark.extractors.base import Embedder
from benchmark.extractors.folding import read_state_dict
from benchmark.extractors.inception_v3 import SIDE, InceptionV3
from benchmark.extractors.resizing import bicubic, bilinear, bilinear_tf1


class Dialect(NamedTuple):
    """What a library does to uint8 images before the network: (resize(x) − grey) / grey."""

    resize: Callable[[Tensor, int], Tensor]
    grey: float

    def preprocess(self, images: Tensor) -> Tensor:
        """Map uint8 B×3×H×W to float32 B×3×299×299 in about [-1, 1]."""
        return (self.resize(images, SIDE) - self.grey) / self.grey


DIALECTS = {
    "pytorch-fid": Dialect(bilinear, 127.5),
    "torch-fidelity": Dialect(bilinear_tf1, 128),
    "clean-fid": Dialect(bicubic, 128),
}


def build(file: Path, device: torch.device, dialect: str) -> Embedder:
    """Return the network from uint8 B×3×H×W to the pool3 features, float32 B×2048."""
    network = InceptionV3(read_state_dict(file, device), pool=_average, last_pool=_maximum)
    return Embedder(DIALECTS[dialect].preprocess, network)


def classifier(file: Path) -> NDArray[np.float32]:
    """Return the matrix, 2048×1008, that maps features to logits.

    The bias is left out, as in the code of Salimans et al. (2016) and in torch-fidelity.
    """
    weight: NDArray[np.float32] = read_state_dict(file, torch.device("cpu"))["fc.weight"].numpy()
    return weight.T


def _average(x: Tensor) -> Tensor:
    return avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def _maximum(x: Tensor) -> Tensor:
    return max_pool2d(x, 3, 1, 1)
