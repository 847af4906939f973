"""Checks before the first job of a run that this machine has, or can download, all that it needs.

Nothing is downloaded here, and no code of the user is run.
"""

from __future__ import annotations

import functools
import importlib.util
import shutil
import ssl
import threading
import urllib.request
from collections.abc import Callable, Iterator
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.parse import urlsplit

from benchmark.config.config import Config
from benchmark.config.dependencies import code
from benchmark.config.disk import FEATURES, arrays
from benchmark.core.errors import BenchmarkError
from benchmark.extractors import EXTRACTORS
from benchmark.extractors.weights import locate
from benchmark.storage.downloads import Download
from benchmark.storage.paths import CACHE, Run

SECONDS = 5  # the longest wait for the answer of an address


def check_folders(config: Config, run: Run) -> None:
    """Refuse the user's images that have not been read yet and cannot be read.

    Only names, sizes and kinds of files are looked at, and the contents of packed ones are listed.

    Raises:
        BenchmarkError: they are missing, or there are too few or an empty one; the message has the
            config key.
    """
    for name in sorted({cell.dataset for cell in config.cells}):
        if not run.manifest(name).exists():
            config.data[name].check_files(f"data.{name}")
    for cell in config.cells:
        at, spec = f"models.{cell.model}", config.models[cell.model]
        if spec.images is None or run.samples(cell.id).exists():
            continue
        classes = config.classes_of(spec.data) if spec.labels is not None else ()
        spec.made(at).check(cell.seed, cell.samples, classes)


def lacking(config: Config, run: Run) -> list[str]:
    """Return a line for each thing that a run needs and that is missing."""
    lines = [
        *config.missing_files(),
        *_modules(config, run),
        *_ffmpeg(config),
        *_faiss(),
        *_unfetched(config, run),
        *_disk(config, run),
    ]
    return list(dict.fromkeys(lines))  # several trainings may lack the same module


def is_reachable(address: str) -> bool:
    """Tell whether an https address gives any answer within a few seconds.

    If this cannot be found out, it counts as reachable: a failed download says what is wrong.
    """
    if any(proxy.startswith("socks") for proxy in urllib.request.getproxies().values()):
        return True  # the hub's client uses such a proxy, the request below cannot
    answered = threading.Event()

    def ask() -> None:
        request = urllib.request.Request(address, method="HEAD")
        try:
            with urllib.request.urlopen(request, timeout=SECONDS):
                answered.set()
        except HTTPError:
            answered.set()
        except (OSError, ValueError, HTTPException) as error:
            # A certificate that is unknown here is an answer too: the hub's client may know it.
            if isinstance(getattr(error, "reason", error), ssl.SSLError):
                answered.set()

    # The search for the address of a name ignores the timeout, so a thread does it.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(SECONDS + 1)
    return answered.is_set()


def _modules(config: Config, run: Run) -> Iterator[str]:
    """Yield the modules of networks still to be trained that are missing or not readable Python."""
    for training in config.trainings:
        if not run.weights(training).exists():
            try:
                code(config.job("train", training))
            except BenchmarkError as error:
                yield str(error)


def _ffmpeg(config: Config) -> Iterator[str]:
    import imageio_ffmpeg

    if not any((cell.family, cell.steps) == ("DDIM", 50) for cell in config.cells):
        return  # no video is made
    try:
        imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError:
        yield "ffmpeg: none is found, of which the page's video is made: install imageio-ffmpeg"


def _faiss() -> Iterator[str]:
    if importlib.util.find_spec("faiss") is None:  # an extra, of which there are two for pip
        yield (
            "faiss: is not installed, which finds the nearest images: pip install faiss-cpu, or "
            "faiss-gpu on a machine with an NVIDIA GPU"
        )


def _unfetched(config: Config, run: Run) -> Iterator[str]:
    """Yield what must be downloaded but cannot be; each address is asked once."""
    reachable = functools.cache(is_reachable)
    for key, (addresses, remedy, refused), _ in downloads(config, run):
        if refused:
            yield f"{key}: must be downloaded, but {refused}; or {remedy}"
        elif not any(map(reachable, addresses)):
            hosts = " and ".join(dict.fromkeys(urlsplit(address).netloc for address in addresses))
            yield f"{key}: must be downloaded, but no answer from {hosts}: {remedy}"


def downloads(config: Config, run: Run) -> Iterator[tuple[str, Download, Callable[[], object]]]:
    """List what must be downloaded before a run.

    Args:
        config: its config.
        run: its folder; what is done already needs no downloads.

    Yields:
        The config key that asks for it, where it is, and a function that fetches it into a cache.
    """
    cache = run.root.parent / CACHE
    for name in sorted({cell.dataset for cell in config.cells}):
        missing = config.data[name].unfetched()
        if missing and not run.manifest(name).exists():
            yield f"data.{name}", missing, config.data[name].offer
    for name, model in config.models.items():
        cells = [cell for cell in config.cells if cell.model == name]
        if model.weights is None or not (missing := model.weights.unfetched(cache)):
            continue
        if not all(run.samples(cell.id).exists() for cell in cells):
            load = functools.partial(model.weights.load, cache)
            yield f"models.{name}.weights", missing, load
    extractor = EXTRACTORS.make(config.evaluation.extractor)
    if extractor.weights.is_missing(cache / "weights") and not all(
        array.path.exists() for array in arrays(config, run) if array.kind == FEATURES
    ):
        remedy = f"put {extractor.weights.file} into {cache / 'weights'}"
        download = Download(extractor.weights.mirrors, remedy)
        find = functools.partial(locate, extractor.weights, cache / "weights")
        yield "evaluation.extractor", download, find


def _disk(config: Config, run: Run) -> Iterator[str]:
    """Yield a line if the arrays that are still to be written are larger than the free space."""
    place = next(p for p in (run.root.absolute(), *run.root.absolute().parents) if p.exists())
    wanted = sum(array.size for array in arrays(config, run) if not array.path.exists())
    total, _, free = shutil.disk_usage(place)
    if not total:  # some file systems do not tell their size
        return
    if wanted > free:
        yield (
            f"{place}: {free / 1e9:.1f} GB are free, and images and features alone need "
            f"{wanted / 1e9:.1f} GB: ask for fewer, or run elsewhere"
        )
