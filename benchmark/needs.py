"""What a run needs from this machine and from the net, said before its first job starts.

Nothing is downloaded here, and no code of the user is run.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError

from benchmark.config import Config
from benchmark.data.folder import Folder
from benchmark.data.listing import image_files
from benchmark.errors import BenchmarkError
from benchmark.extractors import EXTRACTORS
from benchmark.models.hub import Finder, is_whole
from benchmark.models.specs import CustomSpec, DiffusersCheckpoint
from benchmark.paths import CACHE, Run

SECONDS = 5  # within which an address must answer
FLOAT_BYTES = 4


def check_folders(config: Config, run: Run) -> None:
    """Refuse folders of images that are missing, or hold too few for what is still to be read.

    Raises:
        BenchmarkError: with the key that names the folder.
    """
    for name in sorted({cell.dataset for cell in config.cells}):
        source = config.data[name]
        if isinstance(source, Folder) and not run.manifest(name).exists():
            at, wanted = f"data.{name}.path", source.train + source.held_out
            _check_count(at, source.path, wanted)
    for name, model in config.models.items():
        cells = [cell for cell in config.cells if cell.model == name]
        wanted = max((c.samples for c in cells if not run.samples(c.id).exists()), default=0)
        if model.images is not None and wanted:
            _check_count(f"models.{name}.images", model.images, wanted)


def lacking(config: Config, run: Run) -> list[str]:
    """Return a line for each thing that a run will need and that is not there."""
    lines = [
        *config.missing_files(),
        *_modules(config, run),
        *_ffmpeg(config),
        *_unfetched(config, run),
        *_disk(config, run),
    ]
    return list(dict.fromkeys(lines))  # several trainings lack one module


def is_reachable(address: str) -> bool:
    """Tell whether an https address answers, whatever it says, within a few seconds."""
    answered = threading.Event()

    def ask() -> None:
        request = urllib.request.Request(address, method="HEAD")
        try:
            with urllib.request.urlopen(request, timeout=SECONDS):
                answered.set()
        except HTTPError:
            answered.set()
        except (OSError, ValueError):
            pass

    # A name server that does not answer heeds no timeout, so that a thread waits for it.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(SECONDS + 1)
    return answered.is_set()


def _check_count(at: str, folder: Path, wanted: int) -> None:
    found = len(image_files(folder, at).files)
    if found < wanted:
        raise BenchmarkError(f"{at}: {found} images in {folder}: {wanted} are asked for")


def _modules(config: Config, run: Run) -> Iterator[str]:
    """Yield the modules of custom networks that will be trained and cannot be found."""
    for training, cell in config.trainings.items():
        recipe = config.recipe(cell.model)
        if recipe is None or not isinstance(recipe[0], CustomSpec):
            continue
        module = recipe[0].factory.partition(":")[0]
        if not run.weights(training).exists() and not _is_module(module):
            yield (
                f"networks.{config.models[cell.model].network}.factory: no module {module!r}: put "
                "its file beside the Snakefile, or install it"
            )


def _is_module(name: str) -> bool:
    first = name.partition(".")[0]  # to look for what is inside would import it
    return (
        importlib.util.find_spec(first) is not None
        or Path(f"{first}.py").exists()
        or Path(first).is_dir()
    )


def _ffmpeg(config: Config) -> Iterator[str]:
    import imageio_ffmpeg

    if not any((cell.family, cell.steps) == ("DDIM", 50) for cell in config.cells):
        return  # no video is made
    try:
        imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError:
        yield "ffmpeg: none is found, of which the page's video is made: install imageio-ffmpeg"


def _unfetched(config: Config, run: Run) -> Iterator[str]:
    """Yield what must be downloaded from addresses that do not answer; each is asked once."""
    answers: dict[str, bool] = {}
    for what, addresses, remedy in _downloads(config, run):
        for address in addresses:
            if address not in answers:
                answers[address] = is_reachable(address)
        if not any(answers[address] for address in addresses):
            hosts = dict.fromkeys(address.split("/")[2] for address in addresses)
            why = f"no answer from {' and '.join(hosts)}" if hosts else "downloads are switched off"
            yield f"{what}: must be downloaded, but {why}: {remedy}"


def _downloads(config: Config, run: Run) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """Yield what is on the net alone: its key, its addresses, and what would do instead."""
    cache = run.root.parent / CACHE
    hub = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    endpoint = () if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0") else (hub,)
    for name in sorted({cell.dataset for cell in config.cells}):
        missing = config.data[name].unfetched()
        if missing and not run.manifest(name).exists():
            yield f"data.{name}", endpoint, f"give a local copy of {missing} with path: FOLDER"
    for name, model in config.models.items():
        cells = [cell for cell in config.cells if cell.model == name]
        spec = model.weights
        if not isinstance(spec, DiffusersCheckpoint) or Path(spec.source).is_dir():
            continue
        there = is_whole(Finder(spec, cache, download=False))
        if not there and not all(run.samples(cell.id).exists() for cell in cells):
            yield f"models.{name}.weights", endpoint, "give a local folder as source"
    extractor = EXTRACTORS[config.evaluation.extractor]
    embedded = {*(cell.id for cell in config.cells), *(cell.dataset for cell in config.cells)}
    if extractor.weights.is_missing(cache / "weights") and not all(
        run.features(extractor.name, name).exists() for name in embedded
    ):
        remedy = f"put {extractor.weights.file} into {cache / 'weights'}"
        yield "evaluation.extractor", extractor.weights.mirrors, remedy


def _disk(config: Config, run: Run) -> Iterator[str]:
    """Yield a line if the arrays that are still to be written are larger than what is free."""
    place = next(p for p in (run.root.absolute(), *run.root.absolute().parents) if p.exists())
    wanted, free = _bytes(config, run), shutil.disk_usage(place).free
    if wanted > free:
        yield (
            f"{place}: {free / 1e9:.1f} GB are free, and images and features alone need "
            f"{wanted / 1e9:.1f} GB: ask for fewer, or run elsewhere"
        )


def _bytes(config: Config, run: Run) -> int:
    """Return the size of all images and features that are not there yet."""
    extractor = EXTRACTORS[config.evaluation.extractor]
    counts = {cell.id: cell.samples for cell in config.cells}
    arrays = {run.samples(c.id): c.samples * 3 * c.resolution**2 for c in config.cells}
    for name in sorted({cell.dataset for cell in config.cells}):
        source = config.data[name]
        counts[name] = source.train + source.held_out
        arrays[run.images(name)] = counts[name] * 3 * source.resolution**2
    for name, count in counts.items():
        size = count * extractor.dimension * FLOAT_BYTES
        arrays[run.features(extractor.name, name)] = size
    return sum(size for path, size in arrays.items() if not path.exists())
