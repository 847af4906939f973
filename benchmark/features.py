"""Embed images of a cell, of controls or of a data set, whose features are kept across runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from benchmark.arrays import is_intact, open_array, read_blocks, write_blocks
from benchmark.atomic import atomic_path
from benchmark.config import Config
from benchmark.data import load as load_data
from benchmark.device import resolve_device, use_threads
from benchmark.extractors import EXTRACTORS, feature_blocks, fingerprint
from benchmark.kept import locked, say_not_kept
from benchmark.paths import CACHE, Run
from benchmark.progress import track
from benchmark.records import Record, Stopwatch, Value, provenance, spec_hash


def stage(config: Config, name: str, run: Run, threads: int = 1) -> Record:
    """Embed the cell, controls or data set `name`; write its features, float32 N×d, and the record.

    Raises:
        BenchmarkError: the extractor's weights are missing or damaged.
    """
    watch = Stopwatch()
    device = resolve_device(config.device)
    use_threads(threads)
    extractor = EXTRACTORS[config.evaluation.extractor]
    cache = run.root.parent / CACHE

    def compute(images: Path, target: Path, *parts: range) -> None:
        network = extractor.load(device, cache / "weights")
        batch, total = config.feature_batch, sum(map(len, parts))
        blocks = (block for part in parts for block in read_blocks(images, part, batch))
        steps = sum(len(part[::batch]) for part in parts)
        found = track(feature_blocks(blocks, network, device), steps, "features")
        write_blocks(target, found, (total, extractor.dimension), np.float32)

    target = run.features(extractor.name, name)
    if name in config.data:
        sets = load_data(run.data(name), verify=True).manifest.splits
        identity = fingerprint(f"{sets.train.sha256}+{sets.held_out.sha256}", extractor)
        kept = cache / "features" / f"{identity}.npy"
        with locked(kept) as writable:
            cached = is_intact(kept)
            if not cached:
                parts = [range(split.start, split.stop) for split in (sets.train, sets.held_out)]
                compute(run.images(name), kept if writable else target, *parts)
        if cached or writable:
            with atomic_path(target) as temporary:
                shutil.copyfile(kept, temporary)
        else:
            say_not_kept(kept)
    else:
        cached = False
        samples = run.samples(name)
        compute(samples, target, range(len(open_array(samples))))
    spec = {"name": name, "extractor": extractor.name, "batch": config.feature_batch}
    record = Record(
        kind="features",
        id=name,
        spec=spec,
        spec_hash=spec_hash(spec),
        provenance=provenance(watch, threads=threads, device=device.type),
        values={"images": Value(value=len(np.load(target, mmap_mode="r")))},
        facts={"extractor": extractor.name, "from_cache": cached},
    )
    record.write(run.record("features", name))
    return record
