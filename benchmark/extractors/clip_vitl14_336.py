"""CLIP, ViT-L/14 at 336 pixels (Radford et al. 2021), the network of CMMD."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from benchmark.extractors.base import Extractor
from benchmark.extractors.weights import Weights

if TYPE_CHECKING:
    import torch


class ClipViTL14(Extractor):
    """CLIP, ViT-L/14 at 336 pixels, whose embeddings have length 1 (Jayasumana et al. 2024).

    With the metric `gaussian-kernel` they give CMMD.
    """

    kind: Literal["clip-vit-l14-336"] = "clip-vit-l14-336"
    label = "FD-CLIP"
    dimension = 768
    preprocessing = "cmmd-pytorch: bicubic 336x336 in float, normalised as for CLIP"
    weights = Weights(
        file="clip-vit-large-patch14-336-c6032c2e.bin",
        sha256="c6032c2e0caae3dc2d4fba35535fa6307dbb49df59c7e182b1bc4b3329b81801",
        size=1_711_974_081,
        licence="MIT",
        mirrors=(
            "https://huggingface.co/openai/clip-vit-large-patch14-336/resolve/"
            "ce19dc912ca5cd21c8a653c79e251e808ccabcd1/pytorch_model.bin",
        ),
    )

    def preprocess(self, images: torch.Tensor) -> torch.Tensor:
        """Resize uint8 B×3×H×W to 336×336 as cmmd-pytorch does, normalise as for CLIP."""
        from benchmark.extractors.networks.clip import preprocess_cmmd

        return preprocess_cmmd(images)

    def network(self, file: Path, device: torch.device) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return what maps B×3×336×336 to the embedding of length 1, float32 B×768."""
        from benchmark.extractors.networks.clip import load_clip

        return load_clip(file, device)
