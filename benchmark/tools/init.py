"""Writes a config for images of the user, sized to the images and to this machine."""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from PIL import UnidentifiedImageError

from benchmark.config.loading import load_config
from benchmark.core.cores import available_cores
from benchmark.core.errors import BenchmarkError
from benchmark.data.image_files import file_candidates
from benchmark.data.listing import image_files
from benchmark.data.recognising import recognised
from benchmark.data.sources.base import Item
from benchmark.storage.atomic import write_text

FILE = "config.yaml"
LEAST = 30  # images that are enough to see that everything works
SPARE = 0.1  # share of the images that may be damaged or doubled
LOOKED_AT = 50  # images whose size is read
SIDES = (16, 32, 64, 128)  # pixels
LARGE_GPU = 16 * 2**30  # bytes of memory


@dataclass(frozen=True)
class Machine:
    """What of a machine decides how large a run can be."""

    cores: int
    gpu: str
    gpu_memory: int

    @property
    def words(self) -> str:
        """The machine for readers."""
        return f"{self.gpu}, {self.gpu_memory >> 30} GiB" if self.gpu else f"{self.cores} cores"

    @property
    def largest(self) -> int:
        """The largest side of an image, in pixels, that it trains on in a reasonable time."""
        if not self.gpu:
            return 32
        return 128 if self.gpu_memory >= LARGE_GPU else 64


class _Found(NamedTuple):
    """The images of which a config is written: their source, how many there are, and reading."""

    source: str
    size: int
    read: Callable[[Sequence[int]], Iterator[Item]]


def this_machine() -> Machine:
    """Return what this machine has."""
    import torch

    if not torch.cuda.is_available():
        return Machine(available_cores(), "", 0)
    found = torch.cuda.get_device_properties(0)
    return Machine(available_cores(), found.name, found.total_memory)


def write_config(folder: Path, data: Path, machine: Machine) -> Path:
    """Write a config that trains a network on images, and samples it.

    Args:
        folder: gets the config, and gives the run its name.
        data: folder of images, or a file of many, as a zip.
        machine: on which it will run.

    Raises:
        BenchmarkError: there is a config already, or there are too few images.
    """
    path = folder / FILE
    if path.exists():
        raise BenchmarkError(f"{path}: is there already: remove it, or give another folder")
    found = _found(data)
    if found.size < LEAST:
        raise BenchmarkError(f"--data: {data}: {found.size} images are too few: give {LEAST}")
    side = _side(data, found)
    write_text(path, _text(_name(folder), data.resolve(), found, side, machine))
    load_config(path)
    return path


def _found(data: Path) -> _Found:
    """Find the images in a folder, or in a file of many."""
    if source := recognised(data):
        try:
            album = source.album()
        except BenchmarkError as error:  # begins with the key of a config
            raise BenchmarkError(f"--data: {str(error).removeprefix('path: ')}") from None
        kind = type(source).model_fields["source"].default
        return _Found(kind, album.size, album.read)
    files = image_files(data, "--data").files
    return _Found("folder", len(files), file_candidates(data, files, seed=0).read)


def _side(data: Path, images: _Found) -> int:
    """Return the usual length of the shorter side of some images, in pixels."""
    every = -(-images.size // LOOKED_AT)
    found = []
    for item in images.read(range(0, images.size, every)):
        try:
            with item.load() as image:
                found.append(min(image.size))
        except (OSError, ValueError, UnidentifiedImageError):
            continue
    if not found:
        raise BenchmarkError(f"--data: {data}: no image of it can be read")
    return int(statistics.median_low(found))


def _name(folder: Path) -> str:
    """Return a name for the run that a config may give."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", folder.resolve().name).lstrip("._+-")[:80] or "mine"


def _text(run: str, data: Path, images: _Found, side: int, machine: Machine) -> str:
    usable = int(images.size * (1 - SPARE))
    held_out = min(1000, usable // 5)
    resolution = max(size for size in SIDES if size <= max(SIDES[0], min(side, machine.largest)))
    samples = min(1000 if machine.gpu else 64, held_out)
    return _TEMPLATE.format(
        run=run,
        data=str(data).replace("'", "''"),
        source=images.source,
        count=f"{images.size:,}",
        side=side,
        machine=machine.words,
        resolution=resolution,
        train=min(usable - held_out, 50_000 if machine.gpu else 2000),
        held_out=held_out,
        samples=samples,
        network=_LARGE if machine.gpu else _SMALL.format(patch=max(1, resolution // 8)),
        training=_LONG if machine.gpu else _SHORT,
    )


_SMALL = """    patch: {patch}            # works on squares of pixels: quick on a CPU
    channels: [48, 96]
    attention: [false, false]
    layers: 1
    groups: 8
    output_gates: true  # begins near an answer"""
_LARGE = """    channels: [64, 128, 256]
    attention: [false, false, true]
    layers: 2"""
_SHORT = """    steps: 1500         # minutes on two cores; ten times as many look better
    batch: 16
    lr: 3.0e-3
    warmup: 50
    betas: [0.9, 0.99]
    ema: 0.995"""
_LONG = """    steps: 20000
    batch: 64
    lr: 2.0e-4
    warmup: 500
    ema: 0.999
    flip: true          # images are also learnt mirrored"""
_TEMPLATE = """\
# Made for {count} images of about {side} pixels, and for a machine with {machine}.
# Every key is explained in docs/config.md; `python -m benchmark config FILE` shows all defaults.
run: {run}              # results are written into results/{run}/
device: auto            # a GPU if there is one

data:
  mine:
    source: {source}
    path: '{data}'
    resolution: {resolution}      # images are cropped to squares and resized
    train: {train}          # a tenth of the images is left over, for damaged and doubled ones
    held_out: {held_out}        # never trained on: how far real images are from each other
    on_bad_image: skip

networks:
  net:
    kind: unet
{network}

training:
  first:
{training}

models:
  DDPM: {{family: DDPM, data: mine, network: net, training: first}}

grid:                   # every combination of the lists is a row of the table
  - table: mine
    model: DDPM
    schedule: linear
    sampler: [ddim, dpm-solver++]
    steps: [10, 20]
    samples: {samples}         # more of them make the intervals narrower

evaluation:
  extractor: efficientnet-lite0   # comes with this program; inception-v3-fid is downloaded once
  metrics:
    fd: {{kind: frechet}}
    kid: {{kind: kernel}}
"""
