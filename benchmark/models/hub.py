"""Files of a checkpoint, in a folder or on the Hugging Face hub."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import nearest_names
from benchmark.data.listing import folder_kind
from benchmark.models.choices import Choice
from benchmark.models.headers import WeightFiles, check_pointer
from benchmark.models.hub_cache import HubSource, NotAskedError, fetch_into_cache, find_cached

# Returns the local path of a file of the checkpoint, or None if the checkpoint has no such file.
Find = Callable[[str], Path | None]

_SHARD = re.compile(
    r"[\w-]+(?:\.[\w-]+)*\.(?:safetensors|bin)"
)  # a file of weights that an index names
INDEX = "model_index.json"
# Folders in which a network may lie: that of the moving average of its weights, that of the
# weights, and the top folder of the checkpoint.
EMA, UNET, TOP = "unet_ema/", "unet/", ""
FOLDERS = (EMA, UNET, TOP)
NETWORK_FILES = [f"{folder}config.json" for folder in FOLDERS]
SCHEDULER_FILES = ["scheduler/scheduler_config.json", "scheduler_config.json"]
# Pipelines that have only an unconditional network and a scheduler. Some of them convert every
# scheduler to one class, which is named here.
PIPELINES = {
    "DDPMPipeline": None,
    "DDIMPipeline": "DDIMScheduler",
    "PNDMPipeline": "PNDMScheduler",
    "ScoreSdeVePipeline": None,
}
PARTS = {"unet", "scheduler"}
NO_PART = [None, None]
# Files of weights in the order in which diffusers prefers them. Variants come last here, since
# diffusers reads one only if it is asked for it by name.
WEIGHTS_FILES = [
    f"diffusion_pytorch_model{name}"
    for variant in ("", ".fp16", ".bf16")
    for suffix in ("safetensors", "bin")
    for name in (f".{suffix}.index{variant}.json", f"{variant}.{suffix}")
]
# Parts that turn latents into images. A model without an index that has one works on latents.
DECODERS = ("vqvae", "vae", "movq")


@dataclass(frozen=True)
class Pipeline:
    """The configuration of an unconditional diffusers pipeline.

    Attributes:
        network: content of the network's config.json.
        network_path: path of that file, for errors.
        scheduler: content of scheduler_config.json.
        scheduler_path: path of that file, for errors.
        folder: folder of the network in the checkpoint: "unet/", "unet_ema/" or "".
        choices: what was chosen among the files.
    """

    network: dict[str, Any]
    network_path: Path
    scheduler: dict[str, Any]
    scheduler_path: Path
    folder: str = TOP
    choices: tuple[Choice, ...] = ()


class Finder:
    """Finds the files of a checkpoint, in a folder or on the hub.

    Files of the hub are stored in a cache. If the hub cannot be asked for a file, but the cache has
    a network, its weights and its scheduler, the checkpoint is taken to have no files besides
    these.

    Args:
        spec: what the config says of the checkpoint.
        cache: folder of the cache.
        download: whether the hub may be asked.

    Attributes:
        choices: says so if the cache was taken for the whole checkpoint.

    Raises:
        BenchmarkError: a folder has a part besides a network and its scheduler.
    """

    def __init__(self, spec: HubSource, cache: Path, download: bool = True) -> None:
        folder = Path(spec.source)
        self._folder = folder if folder.is_dir() else None
        self._spec, self._cache, self._download = spec, cache, download
        self.choices: tuple[Choice, ...] = ()
        if self._folder:
            _check_parts(folder)

    def __call__(self, name: str) -> Path | None:
        """Return the local path of a file, or None if the checkpoint has no such file.

        Raises:
            BenchmarkError: the hub cannot be asked, and the cache has no whole checkpoint.
        """
        if self._folder:
            local = self._folder / name
            return local if local.is_file() else None
        path, known = find_cached(self._spec, name, self._cache)
        if known or not self._download:
            return path
        try:
            return fetch_into_cache(self._spec, name, self._cache)
        except NotAskedError:
            if not is_whole(Finder(self._spec, self._cache, download=False)):
                raise
        self._download = False
        here = "the hub could not be asked, so that files that its cache lacks count as missing"
        self.choices = (Choice.of("revision", self._spec.revision, here),)
        return None


def is_whole(find: Find) -> bool:
    """Tell whether a checkpoint has a network, all of its weights, and a scheduler."""
    folder = _network_folder(find)
    if folder is None or not any(map(find, SCHEDULER_FILES)):
        return False
    try:
        weight_files(find, folder, "")
    except BenchmarkError:
        return False
    return True


def read_pipeline(find: Find, source: str) -> Pipeline:
    """Read the configuration files of a pipeline, in their folders or beside each other.

    Raises:
        BenchmarkError: a file is missing or holds no JSON object, or the pipeline is of another
            kind.
    """
    named = _check_index(find, source)
    network = first_of(
        find,
        NETWORK_FILES,
        f"{source}: has no unet/config.json or config.json: give a folder or a hub id of an "
        "unconditional diffusers pipeline",
    )
    folder = _network_folder(find) or TOP
    scheduler = first_of(
        find,
        SCHEDULER_FILES,
        f"{source}: has no {' or '.join(SCHEDULER_FILES)}: give a whole pipeline; a checkpoint of "
        "a training has none, so copy the folder scheduler of the training's pipeline into it",
    )
    choices = []
    if folder == EMA and find(f"{UNET}config.json"):
        here = "the moving average of its weights is sampled, unet_ema"
        choices.append(Choice.of("unet", "unet and unet_ema", here))
    contents = [
        read_json(path) | ({"_class_name": named[part]} if named.get(part) else {})
        for part, path in (("unet", network), ("scheduler", scheduler))
    ]
    return Pipeline(contents[0], network, contents[1], scheduler, folder, tuple(choices))


def _network_folder(find: Find) -> str | None:
    return next((name for name in FOLDERS if find(f"{name}config.json")), None)


def _check_index(find: Find, source: str) -> dict[str, str]:
    """Return the classes of the network and the scheduler that a pipeline's index names.

    Raises:
        BenchmarkError: the pipeline has more than an unconditional network and its scheduler.
    """
    path = find(INDEX)
    if path is None:
        for part in DECODERS:
            if find(f"{part}/config.json"):
                raise BenchmarkError(_latent(source, part))
        return {}
    index = read_json(path)
    # A part is [library, class]; both are null for a part that the pipeline does not have.
    parts = {k: v for k, v in index.items() if not k.startswith("_") and v not in (None, NO_PART)}
    for part in sorted(parts, key=lambda name: name not in DECODERS):
        if part in DECODERS:
            raise BenchmarkError(_latent(str(path), part))
        if part not in PARTS:
            raise BenchmarkError(
                f"{path}: the pipeline has a part {part}: one of nothing but unet and scheduler "
                "would be right"
            )
        if not isinstance(parts[part], list) or parts[part][:1] != ["diffusers"]:
            raise BenchmarkError(
                f"{path}: {part} is {parts[part]!r}: only parts of diffusers are read"
            )
    kind = index.get("_class_name")
    if not isinstance(kind, str) or kind not in PIPELINES:
        raise BenchmarkError(
            f"{path}: a {kind} is no pipeline that is sampled here: "
            f"{nearest_names(kind, PIPELINES)}"
        )
    named = {part: value[1] for part, value in parts.items() if len(value) > 1}
    return named | ({"scheduler": PIPELINES[kind]} if PIPELINES[kind] else {})


def _check_parts(folder: Path) -> None:
    """Refuse a folder with a part besides the network and its scheduler, whatever its index says.

    Raises:
        BenchmarkError: there is such a part, or a moving average of weights without a config.json.
    """
    for path in sorted(folder.iterdir()):
        if not path.is_dir() or path.name in PARTS or folder_kind(path.name):
            continue
        if f"{path.name}/" == EMA:
            if not (path / "config.json").is_file():
                raise BenchmarkError(
                    f"{path}: has no config.json: copy that of unet into it, or move the folder "
                    "away to sample unet"
                )
            continue
        if path.name in DECODERS:
            raise BenchmarkError(_latent(str(folder), path.name))
        if any(path.glob("*config.json")):
            raise BenchmarkError(
                f"{folder}: has a part {path.name}/ beside unet and scheduler: a pipeline of these "
                "two alone would be right; move the folder away if it is no part"
            )


def _latent(where: str, part: str) -> str:
    return (
        f"{where}: has a {part}, so that its network makes latents and not pixels: a pipeline of "
        "nothing but unet and scheduler would be right"
    )


def first_of(find: Find, names: list[str], complaint: str) -> Path:
    """Return the first of several files that exists.

    Raises:
        BenchmarkError: none exists; the message is `complaint`.
    """
    for name in names:
        path = find(name)
        if path is not None:
            return path
    raise BenchmarkError(complaint)


def read_json(path: Path) -> dict[str, Any]:
    """Return the object that a JSON file holds.

    Raises:
        BenchmarkError: the file cannot be read, or holds no object.
    """
    check_pointer(path)
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BenchmarkError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise BenchmarkError(f"{path}: no JSON ({error}): fetch the file again") from None
    if not isinstance(value, dict):
        raise BenchmarkError(f"{path}: holds no JSON object: fetch the file again")
    return value


def weight_files(find: Find, folder: str, source: str) -> WeightFiles:
    """Return the files of a network's weights.

    Args:
        find: function that finds the files of the checkpoint.
        folder: folder of the network, as in `Pipeline`.
        source: name of the checkpoint, for errors.

    Raises:
        BenchmarkError: there are none, or a file that an index names is missing, or a file is a
            pointer of git-lfs.
    """
    names = [f"{folder}{name}" for name in WEIGHTS_FILES]
    whole = " or ".join(f"{folder}diffusion_pytorch_model.{end}" for end in ("safetensors", "bin"))
    complaint = f"{source}: has no {whole}, whole or in shards: save the network as diffusers does"
    path = first_of(find, names, complaint)
    check_pointer(path)
    if path.suffix != ".json":
        return WeightFiles(path, (path,))
    shards = read_json(path).get("weight_map")
    if not isinstance(shards, dict) or not shards or not all(map(_is_name, shards.values())):
        raise BenchmarkError(
            f"{path}: has no weight_map that names the file of each tensor: fetch the file again"
        )
    files = []
    for name in sorted(set(shards.values())):
        file = find(f"{folder}{name}")
        if file is None:
            raise BenchmarkError(f"{path}: names {name}, which is not there: fetch it too")
        check_pointer(file)
        files.append(file)
    return WeightFiles(path, tuple(files), shards)


def _is_name(value: object) -> bool:
    """Tell whether a value is a file name, which cannot lead out of its folder."""
    return isinstance(value, str) and _SHARD.fullmatch(value) is not None
