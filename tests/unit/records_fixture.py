"""A made-up but plausible run of all four families, for tests of what reads records."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from pathlib import Path

from benchmark.core.canonical import spec_hash
from benchmark.core.values import Value
from benchmark.records.provenance import Provenance
from benchmark.records.record import Cell, Control, Curve, Protocol, Record
from benchmark.records.sections import JudgedAgainst, Retrieved
from benchmark.records.timing import Timing
from benchmark.storage.paths import Run

LABELS = {"efficientnet-lite0": "FD-EffNetLite0", "inception-v3-fid": "FID"}
METRICS = {"fd": {"kind": "frechet"}, "kid": {"kind": "kernel"}}

# family, schedule, sampler, steps, weights, n, Fréchet distance, seconds per image
CELLS = [
    ("DDIM", "linear", "ddim", 50, "from-scratch", 64, 103.3, 0.16),
    ("DDIM", "cosine", "ddim", 50, "from-scratch", 64, 113.4, 0.165),
    ("DDPM", "linear", "ddpm", 1000, "from-scratch", 64, 99.8, 3.2),
    ("DDPM", "cosine", "ddpm", 1000, "from-scratch", 64, 115.7, 3.1),
    ("DDPM", "linear", "ddpm", 50, "pretrained", 64, 459.2, 0.161),
    ("DDPM", "linear", "ddpm", 1000, "pretrained", 32, 77.7, 3.21),
    ("DDIM", "linear", "ddim", 50, "pretrained", 64, 81.0, 0.163),
    ("DDIM", "linear", "ddim", 1000, "pretrained", 32, 94.8, 3.22),
    ("NCSN", "geometric", "annealed-langevin", 1000, "pretrained", 32, 110.2, 4.1),
    ("SBGM-SDE", "ve", "predictor-corrector", 2000, "pretrained", 16, 63.5, 14.2),
]
# kind, Fréchet distance of 64 images, what they are
CONTROLS = [
    ("held-out", 41.27, "real images that were never trained on"),
    ("blur", 96.2, "training images with a blur"),
    ("copies", 47.9, "training images as they are and mirrored"),
]
FEW = 1281
SIZES = (16, 32)
MODELS = {"DDPM": "ddpm", "DDIM": "ddim", "NCSN": "ncsn", "SBGM-SDE": "sde"}


def write_run(
    root: Path,
    cells: int = len(CELLS),
    extractor: str = "efficientnet-lite0",
    share_training: bool = False,
) -> Run:
    """Write the records of a run with the first `cells` cells; return the run."""
    run = Run(root)
    for record in records(cells, extractor, share_training):
        path = run.record(record.kind, record.id)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(record.model_dump_json(indent=1) + "\n")
    return run


def records(cells: int, extractor: str, share_training: bool) -> Iterator[Record]:
    """Yield the records of a run."""
    protocol = Protocol(
        extractor=extractor,
        label=LABELS[extractor],
        weights_sha256="0" * 64,
        preprocessing="bicubic 224",
        dimension=1280,
        n_real=800,
        n_fake=64,
        real_sha256="1" * 64,
    )
    yield record("data", "faces", 8.0)
    trainings: set[str] = set()
    for number, point in enumerate(CELLS[:cells]):
        cell = make_cell(point, share_training)
        if cell.weights == "from-scratch" and cell.trained_as not in trainings:
            trainings.add(cell.trained_as)
            yield training(cell.trained_as, number)
        yield record("sample", cell.id, 30.0, cell=cell, timing=timing(cell, point[7]))
        yield record("features", cell.id, 6.0, cell=cell)
        judged = protocol.model_copy(update={"n_fake": cell.samples})
        yield metrics(cell.id, point[6], judged, cell=cell)
        yield retrieval(cell.id, 0.9 + number / 100, cell=cell)
    for kind, distance, text in CONTROLS:
        control = Control(kind=kind, dataset="faces", text=text)
        yield metrics(f"{kind}-faces", distance, protocol, control=control)
        yield retrieval(f"{kind}-faces", distance / 50, control=control)


def make_cell(
    point: tuple[str, str, str, int, str, int, float, float], share_training: bool = False
) -> Cell:
    """Return the cell of one line of CELLS."""
    family, schedule, sampler, steps, weights, samples, _, _ = point
    model = MODELS[family] + ("" if weights == "from-scratch" else "-zoo")
    network = "ddim+ddpm" if share_training and model in ("ddpm", "ddim") else model
    return Cell.model_validate(
        {
            "id": f"{model}-{schedule}-{sampler}-{steps}-s0",
            "table": "trained" if weights == "from-scratch" else "pretrained",
            "family": family,
            "model": model,
            "trained_as": f"{network}-{schedule}" if weights == "from-scratch" else None,
            "weights": weights,
            "dataset": "faces",
            "resolution": 32,
            "schedule": schedule,
            "sampler": sampler,
            "steps": steps,
            "seed": 0,
            "samples": samples,
        }
    )


def record(kind: str, name: str, seconds: float, **parts: object) -> Record:
    """Return a record with a fixed, made-up provenance."""
    spec = {"id": name, "evaluation": {"metrics": METRICS}}
    provenance = Provenance(
        cpu="Example CPU",
        cores=2,
        threads=2,
        memory_bytes=8 * 2**30,
        device="cpu",
        gpu=None,
        driver=None,
        precision="float32",
        compiled=False,
        python="3.11.0",
        system="Linux x86_64",
        libraries={"numpy": "2.2.0"},
        git_commit=None,
        git_dirty=None,
        lock_sha256=None,
        started="2024-01-01T00:00:00+00:00",
        wall_seconds=seconds,
    )
    return Record.model_validate(
        {
            "kind": kind,
            "id": name,
            "spec": spec,
            "spec_hash": spec_hash(spec),
            "provenance": provenance,
            **parts,
        }
    )


def training(name: str, seed: int) -> Record:
    """Return a training whose loss falls with noise."""
    noise = random.Random(seed)
    steps = list(range(10, 1501, 10))
    loss = [0.03 + 0.9 * math.exp(-s / 120) + abs(noise.gauss(0, 0.006)) for s in steps]
    values = {
        "train_seconds": Value(value=65.4 + seed),
        "final_loss": Value(value=loss[-1]),
    }
    curve = Curve(steps=steps, loss=[round(x, 5) for x in loss], lr=[1e-3] * len(steps))
    return record("train", name, 70.0 + seed, values=values, curve=curve)


def timing(cell: Cell, seconds: float) -> Timing:
    """Return the timing of batches of 16."""
    batches = cell.samples // 16
    return Timing(
        warmup_batches=1,
        batch=16,
        batch_seconds=[16 * seconds * (1 + 0.02 * (i % 3)) for i in range(batches)],
        batch_images=[16] * batches,
        network_evaluations=cell.steps * (2 if cell.sampler == "predictor-corrector" else 1),
        peak_memory_bytes=734_003_200,
        peak_memory_of="process",
    )


def metrics(name: str, distance: float, protocol: Protocol, **subject: object) -> Record:
    """Return a Fréchet distance with an interval, also of fewer images, and a KID with an error."""
    values = {
        "fd": interval(distance),
        "kid": Value(value=distance / 1000 - 0.04, std_error=0.0021),
    }
    sized = {n: interval(distance + 400 / n) for n in SIZES if n < protocol.n_fake}
    return record(
        "metrics",
        name,
        1.5,
        protocol=protocol,
        values=values,
        sized=sized,
        judged=JudgedAgainst(dataset="faces", few=FEW),
        **subject,
    )


def interval(distance: float) -> Value:
    """Return a distance with a skewed interval."""
    return Value(value=distance, low=distance - 4.21, high=distance + 5.17)


def retrieval(name: str, distance: float, **subject: object) -> Record:
    """Return the distances to the nearest training images; the copies are accused."""
    copied = name.startswith("copies")
    values = {
        "nearest_mean": Value(value=distance),
        "nearest_median": Value(value=distance - 0.02),
        "nearest_min": Value(value=distance / 2),
        "distance_ratio": Value(value=distance / 0.9, low=distance / 0.95, high=distance / 0.85),
        "accused": Value(value=64 * copied),
        "accused_share": Value(value=float(copied)),
    }
    retrieved = Retrieved(
        false_discovery_rate=0.1,
        accused=list(range(64 * copied)),
        accused_of={"exact": 1.0, "mirrored": 0.97} if copied else {},
    )
    parts = {"missing": {"data_copying": "data copying: no cell holds 20 of 64 samples"}, **subject}
    return record("retrieval", name, 1.1, values=values, retrieved=retrieved, **parts)
