"""Times `prepare` on the same images as a folder of PNG files and packed, in turns."""

from __future__ import annotations

import json
import os
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmark.core.closure import HOME
from benchmark.tools.speed.checkouts import CommandUse, measured
from benchmark.tools.speed.score import write_images
from benchmark.tools.speed.timing import SpeedRow

FOLDER = "a folder of PNG files"
EDM = "EDM's dataset_tool.py"
SPARE = 10  # the memory is also measured with so many times fewer images
GROUP = 1000  # rows of a group in parquet, as many as `datasets` writes

_PREPARE = """
import json, sys
from pathlib import Path
from benchmark.core.cores import available_cores
from benchmark.data.sources import SOURCES
from benchmark.stages.prepare import prepare
kind, options, folder = sys.argv[1:]
prepare(SOURCES.make(kind, **json.loads(options)), Path(folder), available_cores())
"""


@dataclass(frozen=True)
class PrepareSizes:
    """How much is measured.

    Attributes:
        images: number of images.
        side: their height and width in pixels.
        rounds: rounds in which each format is prepared once.
    """

    images: int = 50_000
    side: int = 64
    rounds: int = 3


QUICK = PrepareSizes(images=40, side=16, rounds=1)


def rows(sizes: PrepareSizes, edm: Path | None = None) -> Iterator[SpeedRow]:
    """Measure `prepare` on a folder of PNG files, and on a zip, a tar and parquet of the same.

    Args:
        sizes: how much is measured.
        edm: EDM's `dataset_tool.py`, which then packs the same folder into a zip; None: it is not
            at hand.

    Yields:
        For each format the row of its time beside that of the folder, and for all of them the row
        of the memory beside that of a tenth of the images.

    Raises:
        BenchmarkError: a command fails.
    """
    few = max(sizes.images // SPARE, 2)
    of = f"of {sizes.images} images of {sizes.side}×{sizes.side}"
    with tempfile.TemporaryDirectory(prefix="prepare-") as folder:
        place = Path(folder)
        sources = _written(place / "all", sizes.images, sizes.side)
        fewer = _written(place / "few", few, sizes.side)
        used: dict[str, list[CommandUse]] = {kind: [] for kind in (*sources, EDM)}
        for _ in range(sizes.rounds + (sizes.rounds > 1)):  # the first of several is dropped
            for kind, path in sources.items():
                used[kind].append(_prepared(kind, path, sizes.images, sizes.side, place))
            if edm is not None:
                used[EDM].append(_packed_by_edm(edm, sources["folder"], sizes.side, place))
        small = {k: _prepared(k, path, few, sizes.side, place) for k, path in fewer.items()}
    last = {kind: found[-sizes.rounds :] for kind, found in used.items()}
    time = {kind: [use.seconds for use in found] for kind, found in last.items()}
    processor = {kind: [use.processor for use in found] for kind, found in last.items()}
    for kind in [kind for kind in sources if kind != "folder"]:
        name = f"prepare, {kind} {of}"
        yield SpeedRow(name, "s", time[kind], time["folder"], FOLDER, "ratio 1")
        peer = processor["folder"]
        yield SpeedRow(f"{name}, processor time", "s", processor[kind], peer, FOLDER)
    if edm is not None:
        name = f"prepare, folder {of}"
        yield SpeedRow(name, "s", time["folder"], time[EDM], EDM, "ratio 1.5")
        peer = processor[EDM]
        yield SpeedRow(f"{name}, processor time", "s", processor["folder"], peer, EDM)
    for kind in sources:
        whole = [use.memory.resident for use in last[kind]]
        least, name = [small[kind].memory.resident], f"prepare, {kind} {of}, memory"
        yield SpeedRow(name, "MB", whole, least, f"{few} images")


def _written(folder: Path, images: int, side: int) -> dict[str, Path]:
    """Write PNG files and pack them; return the path of each source."""
    folder.mkdir()
    files, parquet = folder / "images", folder / "images.parquet"
    write_images(files, images, side, seed=0)
    found = {"folder": files, "zip": folder / "images.zip", "tar": folder / "images.tar"}
    paths = sorted(files.iterdir())
    schema = pa.schema({"image": pa.struct({"bytes": pa.binary(), "path": pa.string()})})
    with (
        zipfile.ZipFile(found["zip"], "w") as archive,
        tarfile.open(found["tar"], "w") as tar,
        pq.ParquetWriter(parquet, schema) as table,
    ):
        for start in range(0, images, GROUP):
            group = paths[start : start + GROUP]
            for path in group:
                archive.write(path, path.name)
                tar.add(path, path.name)
            column = [{"bytes": path.read_bytes(), "path": path.name} for path in group]
            table.write_table(pa.table({"image": column}, schema))
    return {**found, "hugging-face": parquet}


def _prepared(kind: str, path: Path, images: int, side: int, place: Path) -> CommandUse:
    """Prepare a source in a process of its own."""
    held_out = images // 5 or 1
    sizes = {"resolution": side, "train": images - held_out, "held_out": held_out}
    options = json.dumps({"path": str(path), **sizes})
    command = [sys.executable, "-c", _PREPARE, kind, options, str(place / "data")]
    return measured(command, place, {**os.environ, "PYTHONPATH": str(HOME)}, kind)


def _packed_by_edm(tool: Path, folder: Path, side: int, place: Path) -> CommandUse:
    """Let EDM's tool crop and pack the same folder."""
    target = place / "edm.zip"
    target.unlink(missing_ok=True)
    options = ["--transform", "center-crop", "--resolution", f"{side}x{side}"]
    command = [sys.executable, str(tool.absolute()), "--source", str(folder)]
    return measured([*command, "--dest", str(target), *options], place, dict(os.environ), EDM)
