"""Embed the images of a cell, of controls or of a data set; runs share the features of the last."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.config.dependencies import code
from benchmark.config.shards import parse_shard
from benchmark.core.errors import BenchmarkError
from benchmark.core.progress import track
from benchmark.core.values import Value
from benchmark.data import load_dataset
from benchmark.extractors import feature_blocks, fingerprint
from benchmark.records.draft import Draft
from benchmark.records.provenance import Work
from benchmark.records.record import Record
from benchmark.records.sections import Embedded, ShardIdentity
from benchmark.runtime.device import resolve_device, use_threads
from benchmark.runtime.memory_retry import in_batches
from benchmark.storage.arrays import is_intact, open_array, read_blocks, write_blocks
from benchmark.storage.atomic import atomic_path
from benchmark.storage.cache import entry_locked, say_not_cached
from benchmark.storage.paths import CACHE, Run

if TYPE_CHECKING:
    from benchmark.config.jobs.features import FeaturesJob


def stage(job: FeaturesJob, run: Run, threads: int = 1, shard: str | None = None) -> Record:
    """Embed images, write their features, float32 N×d, and the record.

    Args:
        job: which images are embedded, and by which extractor.
        run: the run that has the images.
        threads: threads of one operation.
        shard: the images of a cell to embed, as 0-1000; their features and their record are written
            into a folder of their own, for `merge`. None: all images.

    Raises:
        BenchmarkError: the extractor's weights are missing or damaged, one image does not fit into
            memory, or the shard does not consist of whole batches.
    """
    draft = Draft(job.kind, job.name, job.spec())
    device = resolve_device(job.device)
    use_threads(threads)
    embedding = _Embedding(job, run, device)
    place = run.shard(job.kind, job.name, shard) if shard else run
    target = job.array(place)
    cached = False
    samples = run.samples(job.name)
    if shard:
        if job.cell is None:
            raise BenchmarkError(f"--shard {shard}: {job.name} is no cell: it has no shards")
        part = parse_shard(shard, job.cell.samples, job.batch)
        open_array(samples, is_hashed=False)  # `merge` checks their hash, once
        embedding.write(samples, target, part)
    elif job.is_data:
        cached = embedding.write_data(target)
    else:
        embedding.write(samples, target, range(len(open_array(samples))))
    return draft.write(
        place,
        Work(threads=threads, device=device.type),
        values={"images": Value(value=len(np.load(target, mmap_mode="r")))},
        embedding=Embedded(extractor=job.extractor.kind, from_cache=cached),
        shard_identity=embedding.identity() if shard else None,
    )


class _Embedding:
    """Embeds images in batches.

    Args:
        job: which images are embedded, and by which extractor.
        run: the run that has the images.
        device: the device of the network.
    """

    def __init__(self, job: FeaturesJob, run: Run, device: torch.device) -> None:
        self.extractor = job.extractor
        self.cache = run.root.parent / CACHE
        self.batch = job.batch
        self.job, self.name, self.run, self.device = job, job.name, run, device

    def write(self, images: Path, target: Path, *parts: range) -> None:
        """Write the features of parts of an array of images: float32, N×d for N images in all."""
        network = self.extractor.load(self.device, self.cache / "weights")
        size = self.batch
        batches = [part[i : i + size] for part in parts for i in range(0, len(part), size)]

        def embed(rows: range) -> NDArray[np.float32]:
            block = read_blocks(images, rows, len(rows))
            return next(feature_blocks(block, network, self.device))

        found = in_batches(batches, embed, f"features {self.name}")
        shape = (sum(map(len, parts)), self.extractor.dimension)
        write_blocks(target, track(found, len(batches), "features"), shape, np.float32)

    def write_data(self, target: Path) -> bool:
        """Write the features of a data set, and return whether they were in the cache."""
        sets = load_dataset(self.run.data(self.name), verify=True).manifest.splits
        images = f"{sets.train.sha256}+{sets.held_out.sha256}"
        known_as = fingerprint(images, self.extractor, code(self.job))
        kept = self.cache / "features" / f"{known_as}.npy"
        with entry_locked(kept) as writable:
            cached = is_intact(kept)
            if not cached:
                parts = [range(split.start, split.stop) for split in (sets.train, sets.held_out)]
                self.write(self.run.images(self.name), kept if writable else target, *parts)
        if cached or writable:
            with atomic_path(target) as temporary:
                shutil.copyfile(kept, temporary)
        else:
            say_not_cached(kept)
        return cached

    def identity(self) -> ShardIdentity:
        """Return the hashes that all shards of a cell must have in common."""
        samples = self.run.record("sample", self.name).read_bytes()
        made_as = hashlib.sha256(samples).hexdigest()
        sources = f"{made_as} {self.extractor.weights.sha256}"
        return ShardIdentity(code=code(self.job), sources=sources)
