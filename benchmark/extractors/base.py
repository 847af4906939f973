"""The base class of feature extractors, and how images become features."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmark.core.canonical import canonical_json
from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import StrictModel
from benchmark.extractors.weights import Weights, locate

if TYPE_CHECKING:
    import torch

    # uint8 B×3×H×W in [0, 255] -> float32 B×d
    Embed: TypeAlias = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Embedder:
    """A loaded feature network in two parts, so that large images can be resized one by one.

    Attributes:
        preprocess: maps uint8 B×3×H×W in [0, 255] to the network's input, float32 B×3×side×side.
            The result for an image does not depend on the rest of the batch.
        forward: maps that input to features, float32 B×d.
    """

    preprocess: Callable[[torch.Tensor], torch.Tensor]
    forward: Callable[[torch.Tensor], torch.Tensor]

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return the features, float32 B×d, of images, uint8 B×3×H×W."""
        return self.forward(self.preprocess(images))


class Extractor(StrictModel):
    """A network whose activations, the features, are compared instead of pixels.

    Attributes:
        kind: name of the extractor in a config.
        label: name of the Fréchet distance of its features, which is FID only for one network.
        dimension: dimension of the features.
        preprocessing: words for resizing and scaling, on which the features depend.
        weights: file with the network's parameters.
        has_classes: whether `logits` is defined, which the Inception score needs.
    """

    kind: str
    label: ClassVar[str]
    dimension: ClassVar[int]
    preprocessing: ClassVar[str]
    weights: ClassVar[Weights]
    has_classes: ClassVar[bool] = False

    def preprocess(self, images: torch.Tensor) -> torch.Tensor:
        """Return the network's input, float32 B×3×side×side, for uint8 B×3×H×W in [0, 255].

        The result for an image does not depend on the rest of the batch.
        """
        raise NotImplementedError

    def network(self, file: Path, device: torch.device) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return the function from that input to features, float32 B×d; `file` has the weights."""
        raise NotImplementedError

    def classifier(self, file: Path) -> NDArray[np.float32]:
        """Return the matrix, d×classes, that maps features to class logits, from a weights file."""
        raise NotImplementedError

    def build(self, file: Path, device: torch.device) -> Embedder:
        """Return preprocessing and network on a device, with the weights of a file."""
        return Embedder(self.preprocess, self.network(file, device))

    def load(self, device: torch.device, cache: Path, weights_path: Path | None = None) -> Embedder:
        """Return the network, a function from uint8 B×3×H×W to float32 B×d on `device`.

        Args:
            device: device on which it runs.
            cache: folder of downloaded weights.
            weights_path: weights file, if the user named one.

        Raises:
            BenchmarkError: the weights are missing and cannot be downloaded, or are not the
                published ones.
        """
        return self.build(locate(self.weights, cache, weights_path), device)

    def logits(
        self, features: NDArray[np.float32], cache: Path, weights_path: Path | None = None
    ) -> NDArray[np.float32]:
        """Return the class logits, N×classes, of features, N×d, for the Inception score.

        Args:
            features: features of this extractor.
            cache: folder of downloaded weights.
            weights_path: weights file, if the user named one.

        Raises:
            BenchmarkError: the network has no such classes, or the weights are missing or not the
                published ones.
        """
        if not self.has_classes:
            raise BenchmarkError(
                f"extractor {self.kind} has no classes for the Inception score: use one of the "
                "2015 Inception, such as inception-v3-fid"
            )
        return features @ self.classifier(locate(self.weights, cache, weights_path))


def features_of(
    images: NDArray[np.uint8], embed: Embed, device: torch.device, batch: int = 64
) -> NDArray[np.float32]:
    """Return the features (N×d) of uint8 images (N×H×W×C) in memory, in their order."""
    blocks = (images[start : start + batch] for start in range(0, len(images), batch))
    return np.concatenate(list(feature_blocks(blocks, embed, device)))


def feature_blocks(
    blocks: Iterable[NDArray[np.uint8]], embed: Embed, device: torch.device
) -> Iterator[NDArray[np.float32]]:
    """Yield the features (B×d) of each block of uint8 images (B×H×W×C); grey is repeated."""
    import torch

    for block in blocks:
        with torch.inference_mode():
            colour = np.repeat(block, 3, axis=3) if block.shape[3] == 1 else np.array(block)
            pixels = torch.from_numpy(colour).to(device).permute(0, 3, 1, 2)
            yield embed(pixels).cpu().numpy()


def fingerprint(data_sha256: str, extractor: Extractor, code: str) -> str:
    """Return the SHA-256 of all that the features of a data set depend on.

    Args:
        data_sha256: hash of the images.
        extractor: extractor of the features.
        code: hash of the code that computes the features.
    """
    identity = {
        "code": code,
        "data": data_sha256,
        "extractor": extractor.kind,
        "weights": extractor.weights.sha256,
        "preprocessing": extractor.preprocessing,
    }
    return hashlib.sha256(canonical_json(identity).encode()).hexdigest()
