"""How well DDIM leads back to its noise, how little noise it forgives, and what lies between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.config.config import Config
from benchmark.config.jobs.sample import SampleJob
from benchmark.core.errors import BenchmarkError
from benchmark.core.progress import track
from benchmark.core.values import Value
from benchmark.diffusion.denoiser import Denoiser
from benchmark.diffusion.inversion import between, invert
from benchmark.diffusion.noise import NoiseStream
from benchmark.diffusion.samplers.ddim import DDIM
from benchmark.metrics.uncertainty import mean
from benchmark.runtime.device import arithmetic, placed, resolve_device, use_threads
from benchmark.runtime.model_range import to_uint8
from benchmark.stages.sample_inputs import load_network
from benchmark.storage.atomic import atomic_path
from benchmark.storage.paths import Run
from benchmark.storage.pictures import contact_sheet, save_png
from benchmark.tools.inversion_plot import save_plot

ETAS = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0)
ROWS, COLUMNS = 6, 9  # of the picture of images between two others


class RoundTrip(NamedTuple):
    """What is left of noise after it was made an image and noise again, in so many steps each way.

    Attributes:
        steps: of the sampler.
        noise: the distance of the noise found from the noise begun with, over its size.
        levels: grey levels between the image and what the noise found becomes, the root of the mean
            square over pixels.
    """

    steps: int
    noise: Value
    levels: Value


class Spread(NamedTuple):
    """How far images of the same noise are from those of η = 0.

    Attributes:
        eta: η of the sampler.
        levels: grey levels, the root of the mean square over pixels.
        same: share of the images that are the same to the byte.
    """

    eta: float
    levels: Value
    same: float


@dataclass(frozen=True)
class Inverted:
    """What was found of a cell, and images on the arcs between the noise of some pairs.

    Attributes:
        cell: its id.
        trips: by the number of steps.
        spreads: by η, in the steps of the cell.
        pictures: uint8 N×H×W×C, `COLUMNS` for each pair.
    """

    cell: str
    trips: list[RoundTrip]
    spreads: list[Spread]
    pictures: NDArray[np.uint8]


def inverted(config: Config, run: Run, cell: str, steps: Sequence[int], images: int) -> Inverted:
    """Invert the samples of a cell, which need not have been drawn.

    Args:
        config: config of the run.
        run: the run that has the weights, if they were trained.
        cell: id of the cell.
        steps: numbers of steps.
        images: how many images, the first of the cell.

    Raises:
        BenchmarkError: the cell is not sampled by DDIM without noise, or by a network that is told
            what to draw; a number of steps does not fit; or the weights cannot be loaded.
    """
    job = config.job("sample", config.cell(cell).id)
    assert isinstance(job, SampleJob)
    check_deterministic(job)
    drawing = _Drawing(job, run, images)
    plans = [(count, drawing.sampler.plan(drawing.process, count)) for count in steps]
    trips = [
        drawing.round_trip(count, times)
        for count, times in track(plans, len(plans), f"invert {cell}")
    ]
    return Inverted(cell, trips, drawing.spreads(), drawing.pictures())


def check_deterministic(job: SampleJob) -> None:
    """Refuse a cell whose images do not follow from their noise at the start alone.

    Raises:
        BenchmarkError: they do not.
    """
    remedy = "choose a cell of ddim with eta: 0"
    if not isinstance(job.sampler, DDIM):
        raise BenchmarkError(
            f"{job.name}: the sampler {job.sampler.kind} is not inverted: {remedy}"
        )
    if job.sampler.eta > 0:
        raise BenchmarkError(
            f"{job.name}: its sampler adds noise, eta: {job.sampler.eta:g}, so that no way leads "
            f"back: {remedy}"
        )
    if job.cell.guidance is not None or job.task is not None:
        raise BenchmarkError(
            f"{job.name}: its network is told what to draw: {remedy}, without guidance and task"
        )


def write(found: Inverted, folder: Path) -> list[Path]:
    """Write tables, the figure and the picture into a folder; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    tables = {"inversion.csv": table(found.trips), "spread.csv": table(found.spreads)}
    for name, lines in tables.items():
        with atomic_path(folder / name) as temporary:
            lines.to_csv(temporary, index=False, lineterminator="\n")
    figure = save_plot(found, folder / "inversion.png")
    picture = folder / "interpolation.png"
    save_png(contact_sheet(found.pictures, COLUMNS), picture)
    return [*(folder / name for name in tables), *figure, picture]


def table(lines: Sequence[RoundTrip] | Sequence[Spread]) -> pd.DataFrame:
    """Return a line for each; a value has its interval in columns beside it."""
    return pd.DataFrame([_flat(line) for line in lines])


def _flat(line: RoundTrip | Spread) -> dict[str, object]:
    entries: dict[str, object] = {}
    for name, entry in line._asdict().items():
        if isinstance(entry, Value):
            entries |= {name: entry.value, f"{name}_low": entry.low, f"{name}_high": entry.high}
        else:
            entries[name] = entry
    return entries


class _Drawing:
    """Draws the first images of a cell, and leads them back."""

    def __init__(self, job: SampleJob, run: Run, images: int) -> None:
        loaded = load_network(job, run)
        if loaded.embeddings is not None:
            raise BenchmarkError(
                f"{job.name}: its network is told classes: choose a cell of one without"
            )
        self.device = resolve_device(job.computing.device)
        use_threads(torch.get_num_threads())
        self.job, self.process = job, loaded.schedule.process()
        # Confined estimates would lead to one image from many states.
        network = placed(loaded.network, self.device)
        self.model = Denoiser(network, self.process, loaded.prediction, clip=False)
        assert isinstance(job.sampler, DDIM)
        self.sampler = job.sampler
        self.batches = [range(i, min(i + job.batch, images)) for i in range(0, images, job.batch)]

    def round_trip(self, steps: int, times: NDArray[np.floating]) -> RoundTrip:
        """Return what a way there and back in so many steps leaves of the noise."""

        def there_and_back(noise: NoiseStream) -> tuple[Tensor, Tensor]:
            x_T = self.process.prior(noise())
            x_0 = self._sample(x_T, times, noise)
            found = invert(self.model, self.process, x_0, times)
            again = self._sample(found, times, noise)
            middle = self.process.prior(torch.zeros_like(x_T))
            off = _size(found - x_T) / _size(x_T - middle)
            return off, self._levels(x_0, again)

        off, levels = self._of_batches(there_and_back)
        return RoundTrip(steps, mean(off), mean(levels))

    def spreads(self) -> list[Spread]:
        """Return how far images are from those of η = 0, by η."""
        times = self.sampler.plan(self.process, self.job.cell.sampling.steps)
        found = []
        for eta in ETAS:
            noisy = self.sampler.model_copy(update={"eta": eta})

            def both(noise: NoiseStream, noisy: DDIM = noisy) -> tuple[Tensor, Tensor]:
                x_T = self.process.prior(noise())
                plain = self._sample(x_T, times, noise)
                other = noisy.sample(self.model, self.process, x_T, times, noise)
                images = (to_uint8(self.process.decode(x)).flatten(1) for x in (plain, other))
                return self._levels(plain, other), torch.eq(*images).all(1)

            levels, same = self._of_batches(both)
            found.append(Spread(eta, mean(levels), float(same.mean())))
        return found

    def pictures(self) -> NDArray[np.uint8]:
        """Return images of noise on the arcs between pairs, uint8 N×H×W×C."""
        pairs = self._noise(range(2 * ROWS))()
        a, b = pairs[:ROWS], pairs[ROWS:]
        noise = torch.stack([between(a, b, i / (COLUMNS - 1)) for i in range(COLUMNS)], 1)
        times = self.sampler.plan(self.process, self.job.cell.sampling.steps)
        with torch.inference_mode(), arithmetic(self.job.computing.precision, self.device):
            parts = [
                self._sample(self.process.prior(part), times, _none)
                for part in torch.split(noise.flatten(0, 1), self.job.batch)
            ]
        return to_uint8(self.process.decode(torch.cat(parts))).cpu().numpy()

    def _sample(
        self, x_T: Tensor, times: NDArray[np.floating], noise: Callable[[], Tensor]
    ) -> Tensor:
        return self.sampler.sample(self.model, self.process, x_T, times, noise)

    def _of_batches(
        self, work: Callable[[NoiseStream], tuple[Tensor, Tensor]]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return two numbers for each image, N each, which are found for each batch."""
        with torch.inference_mode(), arithmetic(self.job.computing.precision, self.device):
            found = [
                [part.double().cpu().numpy() for part in work(self._noise(rows))]
                for rows in self.batches
            ]
        first, second = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return first, second

    def _noise(self, rows: range) -> NoiseStream:
        """Return the noise of some samples of the cell."""
        side = self.job.cell.resolution
        return NoiseStream(self.job.cell.seed, rows, (self.job.channels, side, side), self.device)

    def _levels(self, one: Tensor, other: Tensor) -> Tensor:
        """Return the grey levels between two sets of states, B."""
        images = (to_uint8(self.process.decode(x)).float() for x in (one, other))
        first, second = images
        return (first - second).square().flatten(1).mean(1).sqrt()


def _size(x: Tensor) -> Tensor:
    norms: Tensor = torch.linalg.vector_norm(x.flatten(1), dim=1)
    return norms


def _none() -> Tensor:
    raise AssertionError("DDIM without noise draws none")
