"""Samples of ready weights without a config and a run: `benchmark.sample`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from benchmark.core.cores import available_cores
from benchmark.core.errors import BenchmarkError
from benchmark.core.progress import track
from benchmark.core.strict_model import explain
from benchmark.diffusion.samplers import SAMPLERS, Sampler
from benchmark.models.checkpoints.base import CheckpointFormat
from benchmark.models.checkpoints.diffusers import DiffusersCheckpoint
from benchmark.models.checkpoints.own import OwnCheckpoint
from benchmark.models.checkpoints.zoo import ZOO, ZooCheckpoint
from benchmark.storage.paths import CACHE, RESULTS


def sample(
    weights: str | Path | CheckpointFormat,
    *,
    sampler: str,
    steps: int,
    n: int,
    seed: int = 0,
    labels: Sequence[int] | None = None,
    batch: int = 64,
    device: str = "auto",
    options: dict[str, Any] | None = None,
) -> NDArray[np.uint8]:
    """Sample ready weights; a cell of a run with the same seed and options has the same images.

    Args:
        weights: name of a network of the zoo, as avatars-flow; a .safetensors file of `train` or
            `export`; a folder of a pipeline of diffusers, or its id on the hub; or a format of
            checkpoints, for all its options.
        sampler: name of a sampler.
        steps: number of its steps.
        n: number of images.
        seed: of the noise.
        labels: number of the class of each image (n), for a network that knows classes.
        batch: images that are sampled at a time.
        device: auto, cpu, cuda or cuda:NUMBER.
        options: options of the sampler, as eta.

    Returns:
        The images, uint8 n×H×W×C.

    Raises:
        BenchmarkError: the weights cannot be loaded, or the sampler is not for them.
    """
    import torch

    from benchmark.diffusion.denoiser import Denoiser
    from benchmark.diffusion.guidance import Told
    from benchmark.diffusion.noise import NoiseStream
    from benchmark.runtime.device import arithmetic, placed, resolve_device, use_threads
    from benchmark.runtime.model_range import to_uint8

    for name, number in (("steps", steps), ("n", n), ("batch", batch)):
        if number < 1:
            raise BenchmarkError(f"{name}: a number above 0 is needed, not {number}")
    chosen = _sampler(sampler, options or {})
    loaded = checkpoint(weights).load(RESULTS / CACHE)
    _check_labels(labels, n, loaded.embeddings, loaded.name)
    process = loaded.schedule.process()
    if not chosen.is_defined_for(process):
        raise BenchmarkError(
            f"sampler: {sampler} is not defined for {process.family}, of which {loaded.name} is: "
            "see docs/samplers.md"
        )
    timesteps = chosen.plan(process, steps)
    loaded.check_sampler(chosen, timesteps)
    place = resolve_device(device)
    use_threads(available_cores())
    network = placed(loaded.network, place)
    network.requires_grad_(False)
    model = Denoiser(network, process, loaded.prediction, loaded.clip)
    shape = (loaded.channels, loaded.resolution, loaded.resolution)
    images = np.empty((n, loaded.resolution, loaded.resolution, loaded.channels), np.uint8)
    starts = range(0, n, batch)
    for start in track(starts, len(starts), f"sample {loaded.name}, batch"):
        indices = range(start, min(start + batch, n))
        if labels is not None:
            told = torch.tensor([labels[i] for i in indices], device=place)
            model.network = Told(network, told)
        with torch.inference_mode(), arithmetic("float32", place):
            noise = NoiseStream(seed, indices, shape, place)
            x_T = process.prior(noise()).contiguous(memory_format=torch.channels_last)
            x_0 = process.decode(chosen.sample(model, process, x_T, timesteps, noise))
            if not x_0.isfinite().all():
                raise BenchmarkError(
                    f"{loaded.name}: samples are not finite: try another sampler or more steps"
                )
            images[indices.start : indices.stop] = to_uint8(x_0).cpu().numpy()
    return images


def checkpoint(weights: str | Path | CheckpointFormat) -> CheckpointFormat:
    """Return the format of weights that are given as a name or a path; see `sample`."""
    if isinstance(weights, CheckpointFormat):
        return weights
    if str(weights) in {path.stem for path in ZOO.glob("*.safetensors")}:
        return ZooCheckpoint(name=str(weights))
    path = Path(weights).expanduser()
    if path.suffix == ".safetensors":
        return OwnCheckpoint(path=path)
    return DiffusersCheckpoint(source=str(weights))


def _sampler(name: str, options: dict[str, Any]) -> Sampler:
    try:
        return SAMPLERS.make(name, **options)
    except ValidationError as error:
        raise BenchmarkError(f"options: {explain(error, options)}") from None


def _check_labels(labels: Sequence[int] | None, n: int, known: int | None, name: str) -> None:
    """Refuse labels that a network does not know, and a network without the labels it needs."""
    if (labels is None) != (known is None):
        has = "knows no classes: leave it out" if known is None else f"knows {known}: give {n}"
        raise BenchmarkError(f"labels: {name} {has}")
    if labels is None or known is None:
        return
    if len(labels) != n or not all(0 <= label < known for label in labels):
        raise BenchmarkError(f"labels: {n} numbers from 0 to {known - 1} would be right")
