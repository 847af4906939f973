"""Embed images of a cell, of controls or of a data set, whose features are kept across runs."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.config.config import Config
from benchmark.config.dependencies import code
from benchmark.config.shards import parse
from benchmark.core.progress import track
from benchmark.core.values import Value
from benchmark.data import load as load_data
from benchmark.extractors import EXTRACTORS, feature_blocks, fingerprint
from benchmark.records.draft import Draft
from benchmark.records.provenance import Work
from benchmark.records.record import Record
from benchmark.records.sections import Embedding, ShardIdentity
from benchmark.runtime.device import resolve_device, use_threads
from benchmark.runtime.memory_retry import in_batches
from benchmark.storage.arrays import is_intact, open_array, read_blocks, write_blocks
from benchmark.storage.atomic import atomic_path
from benchmark.storage.cache import entry_locked, say_not_kept
from benchmark.storage.paths import CACHE, Run


def stage(
    config: Config, name: str, run: Run, threads: int = 1, shard: str | None = None
) -> Record:
    """Embed the cell, controls or data set `name`; write its features, float32 N×d, and the record.

    Args:
        config: of the run.
        name: what is embedded.
        run: where the images are, and what is written goes.
        threads: inside an operation.
        shard: the images of a cell to embed, as 0-1000; their features and record wait for `merge`
            in a folder of their own. None: all.

    Raises:
        BenchmarkError: the extractor's weights are missing or damaged, one image alone needs more
            memory than there is, or the shard is not of whole batches.
    """
    draft = Draft("features", name, config.features_spec(name))
    device = resolve_device(config.device)
    use_threads(threads)
    embedding = _Embedding(config, name, run, device)
    place = run.shard("features", name, shard) if shard else run
    target = place.features(config.evaluation.extractor, name)
    cached = False
    if shard:
        part = parse(shard, config.cell(name).samples, config.feature_batch)
        # Their hash is checked once, by `merge`.
        open_array(run.samples(name), is_hashed=False)
        embedding.write(run.samples(name), target, part)
    elif name in config.data:
        cached = embedding.write_data(target)
    else:
        embedding.write(run.samples(name), target, range(len(open_array(run.samples(name)))))
    return draft.write(
        place,
        Work(threads=threads, device=device.type),
        values={"images": Value(value=len(np.load(target, mmap_mode="r")))},
        embedding=Embedding(extractor=config.evaluation.extractor, from_cache=cached),
        shard_identity=embedding.identity() if shard else None,
    )


class _Embedding:
    """Embeds images in batches.

    Args:
        config: of the run.
        name: of a cell, of controls or of a data set.
        run: where its images are.
        device: where the network runs.
    """

    def __init__(self, config: Config, name: str, run: Run, device: torch.device) -> None:
        self.extractor = EXTRACTORS.make(config.evaluation.extractor)
        self.cache = run.root.parent / CACHE
        self.batch = config.feature_batch
        self.config, self.name, self.run, self.device = config, name, run, device

    def write(self, images: Path, target: Path, *parts: range) -> None:
        """Write the features of these parts of an array of images."""
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
        """Write the features of a data set and tell whether they were known from another run."""
        sets = load_data(self.run.data(self.name), verify=True).manifest.splits
        images = f"{sets.train.sha256}+{sets.held_out.sha256}"
        known_as = fingerprint(images, self.extractor, self._code())
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
            say_not_kept(kept)
        return cached

    def identity(self) -> ShardIdentity:
        """Return what the shards of a cell must have in common."""
        samples = self.run.record("sample", self.name).read_bytes()
        made_as = hashlib.sha256(samples).hexdigest()
        sources = f"{made_as} {self.extractor.weights.sha256}"
        return ShardIdentity(code=self._code(), sources=sources)

    def _code(self) -> str:
        return code(self.config, "features", self.name)
