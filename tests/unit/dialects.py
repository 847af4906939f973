"""Measure what people's programs do to images before the network, and to a distance.

Usage: `uv run --group peers python tests/unit/dialects.py`. It prints
the tables of docs/fid-dialects.md. The Inception has seeded weights, as its own cannot be
downloaded everywhere; what it is given does not depend on them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from networks import inception_file, with_weights
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate

from benchmark.data.sources.avatars import Avatars
from benchmark.extractors import EXTRACTORS, features_of
from benchmark.extractors.networks.resizing import antialiased, bilinear_tf1, pillow
from benchmark.metrics.frechet import frechet_distance, statistics

COUNT = 100  # images of each set
SIDE = 299
CPU = torch.device("cpu")

Images = NDArray[np.uint8]  # N×H×W×3


def drawn(resolution: int, seed: int) -> Images:
    """Return faces that the source `avatars` draws."""
    source = Avatars(style="toon-head", resolution=resolution, train=COUNT, held_out=3, seed=seed)
    return np.stack([np.asarray(source.render(i)) for i in range(COUNT)])


def blurred(images: Images) -> Images:
    """Return images that were made half as large, and larger again."""
    side = images.shape[1]
    small = [Image.fromarray(image).resize((side // 2, side // 2)) for image in images]
    return np.stack([np.asarray(image.resize((side, side))) for image in small])


def ours(kind: str, file: Path, a: Images, b: Images) -> float:
    """Return the distance of two sets by one of our extractors."""
    embed = with_weights(EXTRACTORS.make(kind), file).load(CPU, file.parent, file)
    return frechet_distance(*(statistics(features_of(x, embed, CPU, 20)) for x in (a, b)))


def torchmetrics(file: Path, a: Tensor, b: Tensor, **options: bool) -> float:
    """Return the FID of torchmetrics, of uint8 B×3×H×W or floats in [0, 1]."""
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(feature_extractor_weights_path=str(file), **options)
    for images, real in ((a, True), (b, False)):
        for part in images.split(20):
            metric.update(part, real=real)
    return float(metric.compute())


def stylegan_resize(images: Tensor) -> Tensor:
    """Resize uint8 B×3×H×W as the Inception of StyleGAN3, edm and edm2 does inside, to 299×299."""
    height, width = images.shape[2:]
    theta = torch.eye(2, 3)
    theta[0, 2] += 1 / width - 1 / SIDE
    theta[1, 2] += 1 / height - 1 / SIDE
    grid = affine_grid(theta.expand(len(images), 2, 3), [len(images), 3, SIDE, SIDE], False)
    return grid_sample(images.float(), grid, "bilinear", "border", False)


def levels(name: str, a: Tensor, b: Tensor) -> None:
    """Print by how many grey levels two ways to resize differ."""
    off = (a.float() - b.float()).abs()
    print(f"| {name} | {float(off.mean()):.2g} | {float(off.max()):.2g} |", flush=True)


def tensor(images: Images) -> Tensor:
    return torch.from_numpy(images.copy()).permute(0, 3, 1, 2)


@torch.inference_mode()
def main() -> None:
    """Print the tables."""
    torch.set_num_threads(1)
    faces = {side: drawn(side, 0) for side in (64, 512)}
    others = {side: blurred(drawn(side, 1)) for side in (64, 512)}
    print("| resized | mean | most |\n|---|---|---|")
    noise = torch.randint(0, 256, (4, 3, 512, 512), generator=torch.Generator().manual_seed(0))
    sets = {f"faces of {side}": tensor(faces[side][:20]) for side in faces}
    sets["noise of 512"] = noise.to(torch.uint8)
    for name, x in sets.items():
        tf1 = bilinear_tf1(x, SIDE)
        levels(f"{name}: edm against TensorFlow 1", stylegan_resize(x), tf1)
        levels(f"{name}: torchmetrics against TensorFlow 1", antialiased(x, SIDE, "bilinear"), tf1)
        exact = antialiased(x, 224, "bicubic")
        plain = interpolate(x.float(), (224, 224), mode="bicubic", antialias=True)
        levels(f"{name}: edm2's DINOv2 against ours", plain, exact)
        eight = pillow(x, 224, 224, Image.Resampling.BICUBIC)
        levels(f"{name}: Pillow in 8 bits against float", eight, exact)
        levels(f"{name}: the same, float cut to 0…255", eight, exact.clamp(0, 255))
    with tempfile.TemporaryDirectory() as folder:
        file = inception_file(Path(folder))
        print("\n| program | 64×64 | 512×512 |\n|---|---|---|")
        for kind in ("fid", "torch-fidelity", "clean-fid", "torchmetrics", "spatial"):
            found = [ours(f"inception-v3-{kind}", file, faces[s], others[s]) for s in faces]
            print(f"| `inception-v3-{kind}` | {found[0]:.4g} | {found[1]:.4g} |", flush=True)
        x = {side: (tensor(faces[side]), tensor(others[side])) for side in faces}
        found = [torchmetrics(file, *x[side]) for side in x]
        print(f"| torchmetrics, bytes | {found[0]:.4g} | {found[1]:.4g} |", flush=True)
        a, b = x[64]
        for name, distance in (
            ("antialias=False, bytes", lambda: torchmetrics(file, a, b, antialias=False)),
            (
                "normalize=True, floats of whole levels",
                lambda: torchmetrics(file, a / 255, b / 255, normalize=True),
            ),
            (
                "the same, samples a hundredth of a level darker",
                lambda: torchmetrics(file, a / 255, (b - 0.01).clamp(min=0) / 255, normalize=True),
            ),
        ):
            print(f"| torchmetrics, {name} | {distance():.4g} | – |", flush=True)


if __name__ == "__main__":
    main()
