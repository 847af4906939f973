"""Embed images of a cell, of controls or of a data set, whose features are kept across runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from benchmark.atomic import atomic_path
from benchmark.config import Config
from benchmark.data import load as load_data
from benchmark.device import resolve_device, use_threads
from benchmark.extractors import EXTRACTORS, fingerprint
from benchmark.extractors import features as embed
from benchmark.paths import CACHE, Run
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

    def compute(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        network = extractor.load(device, cache / "weights")
        return embed(images, network, device, config.feature_batch)

    if name in config.data:
        dataset = load_data(run.data(name))
        sets = dataset.manifest.splits
        identity = fingerprint(f"{sets.train.sha256}+{sets.held_out.sha256}", extractor)
        kept = cache / "features" / f"{identity}.npy"
        with FileLock(_lock(kept)):
            cached = kept.exists()
            if not cached:
                _save(kept, np.concatenate([compute(dataset.train), compute(dataset.held_out)]))
        found = np.load(kept)
    else:
        cached = False
        found = compute(np.load(run.samples(name), mmap_mode="r"))
    _save(run.features(extractor.name, name), found)
    spec = {"name": name, "extractor": extractor.name, "batch": config.feature_batch}
    record = Record(
        kind="features",
        id=name,
        spec=spec,
        spec_hash=spec_hash(spec),
        provenance=provenance(watch, threads=threads, device=device.type),
        values={"images": Value(value=len(found))},
        facts={"extractor": extractor.name, "from_cache": cached},
    )
    record.write(run.record("features", name))
    return record


def _lock(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_suffix(".lock")


def _save(path: Path, features: NDArray[np.float32]) -> None:
    with atomic_path(path) as temporary:
        np.save(temporary, features)
