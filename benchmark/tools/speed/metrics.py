"""Times features and metrics against pytorch-fid and prdc."""

from __future__ import annotations

import contextlib
import io
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from benchmark.extractors import EXTRACTORS
from benchmark.metrics.frechet import Frechet, frechet_distance, statistics
from benchmark.tools.score_embedding import Embedding, embed_images
from benchmark.tools.score_inputs import ImageInput, open_input
from benchmark.tools.speed.alone import in_new_process
from benchmark.tools.speed.limits import product_rate
from benchmark.tools.speed.neighbourhoods import ours_of, theirs_of
from benchmark.tools.speed.older_scipy import sqrtm_with_disp
from benchmark.tools.speed.timing import CPU, SpeedRow, interleave, missing, seconds, version


@dataclass(frozen=True)
class MetricSizes:
    """How much is measured.

    Attributes:
        dimension: dimension of the features.
        many: images of each side in the larger Fréchet distance.
        few: images of each side in the smaller Fréchet distance, and in the bootstrap.
        neighbours: images of each side for precision, recall, density and coverage.
        images: images that go through the network.
        side: height and width of these images in pixels.
        product: rows and columns of the matrix product.
        replicates: replicates of the bootstrap.
        rounds: rounds of each comparison, but for those that take a minute.
    """

    dimension: int = 2048
    many: int = 5000
    few: int = 100
    neighbours: int = 10_000
    images: int = 50
    side: int = 64
    product: int = 4096
    replicates: int = 1000
    rounds: int = 3


FULL = MetricSizes()
QUICK = MetricSizes(
    dimension=24, many=60, few=12, neighbours=50, images=2, product=64, replicates=5, rounds=1
)


def rows(sizes: MetricSizes) -> Iterator[SpeedRow]:
    """Measure and yield one comparison after the other."""
    yield inception(sizes)
    for n, target in ((sizes.many, 5), (sizes.few, 100)):
        yield from time_frechet(sizes, n, target)
    yield from neighbourhoods(sizes)
    yield time_bootstrap(sizes)


def inception(sizes: MetricSizes) -> SpeedRow:
    """Compare decoding, resizing and embedding the files of a folder, with random weights."""
    name = f"Inception features of {sizes.images} PNG files of {sizes.side}×{sizes.side} pixels"
    unit = f"s for {sizes.images} images"
    from pytorch_fid import fid_score
    from pytorch_fid import inception as peer

    batch = min(sizes.images, 50)  # 50 is pytorch-fid's default
    with tempfile.TemporaryDirectory() as folder:
        state = random_weights()
        torch.save(state, weights := Path(folder, "weights.pth"))
        with mock.patch.object(peer, "load_state_dict_from_url", return_value=state):
            network = peer.InceptionV3()
        embed = EXTRACTORS.make("inception-v3-fid").build(weights, CPU)
        files = _write_images(Path(folder), sizes)
        images = open_input(Path(folder))
        assert isinstance(images, ImageInput)
        embedding = Embedding(None, Path(), batch=batch, threads=torch.get_num_threads())

        def ours() -> NDArray[np.float32]:
            return embed_images(images, embed, CPU, embedding)

        def theirs() -> NDArray[np.float64]:
            with contextlib.redirect_stderr(io.StringIO()):
                return fid_score.get_activations(files, network, batch)  # type: ignore[no-any-return]

        off = _apart(ours(), theirs())
        own, other = interleave(
            partial(seconds, ours), partial(seconds, theirs), sizes.rounds, sizes.rounds
        )
    with FlopCounterMode(display=False) as counter:
        embed(torch.zeros(1, 3, sizes.side, sizes.side, dtype=torch.uint8))
    rate = product_rate(sizes.product)
    reached = counter.get_total_flops() * sizes.images / float(np.median(own))
    note = (
        f"{sizes.images / np.median(own):.3g} against {sizes.images / np.median(other):.3g} "
        f"images/s; {counter.get_total_flops() / 1e9:.3g} GFLOP an image; matrix product "
        f"{rate / 1e9:.3g} GFLOP/s, of which {reached / rate:.0%} are reached; features differ by "
        f"{off:.0e}"
    )
    return SpeedRow(name, unit, own, other, version("pytorch-fid"), "ratio 1.4", note)


def time_frechet(sizes: MetricSizes, n: int, target: int) -> Iterator[SpeedRow]:
    """Compare the Fréchet distance, with and without the time for the reference's statistics.

    Args:
        sizes: has the dimension and the number of rounds.
        n: images of each side.
        target: the ratio that should be reached.

    Yields:
        A row for the time with the reference's statistics, and one for that without.
    """
    from pytorch_fid.fid_score import calculate_frechet_distance

    fake, real = _made_features(n, sizes.dimension, (0, 1))
    fake64, real64 = fake.astype(np.float64), real.astype(np.float64)  # as pytorch-fid has them
    distances: dict[str, float] = {}

    def ours() -> DistanceSeconds:
        start = time.perf_counter()
        own = statistics(fake)
        middle = time.perf_counter()
        reference = statistics(real)
        later = time.perf_counter()
        distances["ours"] = frechet_distance(own, reference)
        return DistanceSeconds(middle - start, later - middle, time.perf_counter() - later)

    def theirs() -> DistanceSeconds:
        start = time.perf_counter()
        own = fake64.mean(axis=0), np.cov(fake64, rowvar=False)
        middle = time.perf_counter()
        reference = real64.mean(axis=0), np.cov(real64, rowvar=False)
        later = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()), sqrtm_with_disp():
            distances["theirs"] = float(calculate_frechet_distance(*own, *reference))
        return DistanceSeconds(middle - start, later - middle, time.perf_counter() - later)

    own, other = interleave(ours, theirs, sizes.rounds, 1)
    differ = abs(distances["ours"] / distances["theirs"] - 1)
    note = f"theirs once, as it takes long; distances differ by {differ:.0e}"
    name = f"Fréchet distance, {n} and {n} images, d = {sizes.dimension}"
    peer = version("pytorch-fid")
    for what, total in (
        ("both statistics", DistanceSeconds.total),
        ("reference at hand", DistanceSeconds.without_reference),
    ):
        ours_s, theirs_s = ([total(parts) for parts in side] for side in (own, other))
        yield SpeedRow(f"{name}, {what}", "s", ours_s, theirs_s, peer, f"ratio {target}", note)


class DistanceSeconds(NamedTuple):
    """The seconds of a Fréchet distance: of the statistics of each side, and of the distance."""

    fake: float
    real: float
    distance: float

    def total(self) -> float:
        """Return the seconds of all."""
        return self.fake + self.real + self.distance

    def without_reference(self) -> float:
        """Return the seconds without those of the reference's statistics."""
        return self.fake + self.distance


def neighbourhoods(sizes: MetricSizes) -> Iterator[SpeedRow]:
    """Compare time and memory of precision, recall, density and coverage."""
    n, d = sizes.neighbours, sizes.dimension
    name = f"precision, recall, density and coverage, {n} and {n} images, d = {d}"
    absent = missing("prdc", "prdc") or _too_large(n)
    ours = partial(in_new_process, ours_of, n, d)
    theirs = None if absent else partial(in_new_process, theirs_of, n, d)
    own, other = interleave(ours, theirs, 1, 1)
    peer, note = ("", absent) if absent else (version("prdc"), "")
    if other:
        off = max(abs(own[0].found[key] - value) for key, value in other[0].found.items())
        note = f"figures differ by at most {off:.0e}"
    for unit, target in (("s", "ratio 1"), ("MB beyond the features", "2000 MB")):
        seconds_used = unit == "s"
        ours_used, theirs_used = (
            [use.seconds if seconds_used else use.megabytes for use in side]
            for side in (own, other)
        )
        yield SpeedRow(name, unit, ours_used, theirs_used, peer, target, note or "")


def time_bootstrap(sizes: MetricSizes) -> SpeedRow:
    """Time the bootstrap of the Fréchet distance, which no other program has."""
    fake, real = _made_features(sizes.few, sizes.dimension, (2, 3))
    reference = statistics(real)

    def replicate() -> None:
        Frechet(interval="bootstrap", replicates=sizes.replicates).compute(fake, reference)

    own, _ = interleave(partial(seconds, replicate), None, sizes.rounds, 0)
    name = f"{sizes.replicates} bootstrap replicates of the Fréchet distance, {sizes.few} images"
    return SpeedRow(f"{name}, d = {sizes.dimension}", "s", own, [], target="30 s")


def random_weights() -> dict[str, torch.Tensor]:
    """Return random weights of the FID Inception, by name, as out×in×h×w of a convolution.

    They keep activations of order one, since subnormal numbers are slow.
    """
    from pytorch_fid import inception as peer

    generator = torch.Generator().manual_seed(0)
    network = peer._inception_v3(num_classes=1008, aux_logits=False, weights=None)
    state: dict[str, torch.Tensor] = network.state_dict()
    for name, value in state.items():
        if name.endswith("conv.weight"):
            value.normal_(0, (2 / value[0].numel()) ** 0.5, generator=generator)
    return state


def _write_images(folder: Path, sizes: MetricSizes) -> list[str]:
    rng = np.random.default_rng(0)
    files = [folder / f"{i:03}.png" for i in range(sizes.images)]
    for file in files:
        pixels = rng.integers(0, 256, (sizes.side, sizes.side, 3), np.uint8)
        Image.fromarray(pixels).save(file)
    return [str(file) for file in files]


def _made_features(n: int, d: int, seeds: tuple[int, int]) -> list[NDArray[np.float32]]:
    """Return a set of Gaussian features, n×d, for each seed; the first set is shifted.

    The i-th principal variance is 1/i.
    """
    rotation = np.linalg.qr(np.random.default_rng(99).normal(size=(d, d)))[0]
    mixing = (rotation / np.sqrt(np.arange(1, d + 1))).T.astype(np.float32)
    shifts = (0.02, 0)
    return [
        np.random.default_rng(seed).standard_normal((n, d), np.float32) @ mixing + np.float32(shift)
        for seed, shift in zip(seeds, shifts, strict=True)
    ]


def _too_large(n: int) -> str | None:
    """Return a note if the n×n matrices that prdc holds do not fit into memory; None if they do."""
    needed = 40 * n**2
    if needed < psutil.virtual_memory().available:
        return None
    return f"prdc would need about {needed / 1e9:.0f} GB: not run"


def _apart(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Return the relative difference |a − b| / |b| of two arrays of one shape."""
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))
