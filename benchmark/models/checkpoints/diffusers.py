"""Pipelines of diffusers, in a folder or on the Hugging Face hub."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from benchmark.core.canonical import canonical_json
from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import UserText
from benchmark.diffusion.processes.base import Process
from benchmark.models.checkpoints.base import Hashed
from benchmark.models.description import Architecture, Description, Loaded
from benchmark.models.diffusers_config import describe_pipeline
from benchmark.models.headers import check_dtypes
from benchmark.models.hub import (
    NETWORK_FILES,
    SCHEDULER_FILES,
    Finder,
    Pipeline,
    is_whole,
    read_json,
    read_pipeline,
    weight_files,
)
from benchmark.models.hub_cache import check_pinned, revision_of
from benchmark.storage.downloads import Download, from_hub
from benchmark.storage.paths import REFERENCE

if TYPE_CHECKING:
    from torch import nn

# The files of a pipeline in a folder: the descriptions of the pipeline and its parts, and all
# weights.
PIPELINE_FILES = [
    f"{folder}{name}"
    for folder in ("", "*/")
    for name in (
        "model_index.json",
        "config.json",
        "scheduler_config.json",
        "diffusion_pytorch_model*",
    )
]
# OWNER/NAME or NAME, an id on the hub; any other source must be a folder.
HUB_ID = re.compile(r"(?!.*(?:--|\.\.))(?:\w[\w.-]*/)?\w[\w.-]*")
PUBLISHED = REFERENCE.parent / "networks"  # configurations of some checkpoints on the hub


class DiffusersCheckpoint(Hashed):
    """A UNet2DModel, with or without classes, and its scheduler, as diffusers saves a pipeline."""

    kind: Literal["diffusers"] = "diffusers"
    source: UserText = Field(
        min_length=1,
        description="A folder, or an id on the Hugging Face hub",
        examples=["google/ddpm-celebahq-256"],
    )
    revision: str = Field(
        default="main",
        min_length=1,
        description="Commit on the hub; of a branch, the record keeps the commit that was found",
    )

    def describe(self) -> Description | None:
        """Return what the files in a folder say; None: the files are on the hub."""
        folder = Path(self.source)
        if folder.is_dir():
            find = Finder(self, folder)
            pipeline = read_pipeline(find, self.source)
            for path in weight_files(find, pipeline.folder, self.source).files:
                check_dtypes(path)
            return describe_pipeline(pipeline)
        if folder.exists() or not HUB_ID.fullmatch(self.source):
            raise BenchmarkError(
                f"{self.source}: no folder, nor an id on the Hugging Face hub: give the folder of "
                "a diffusers pipeline, or OWNER/NAME"
            )
        return None

    def load(self, cache: Path) -> Loaded:
        """Load the pipeline from a folder, or from the hub through the cache."""
        from benchmark.models.diffusers_weights import load_pipeline_network
        from benchmark.models.tensors import check_sha256

        find = Finder(self, cache)
        pipeline = read_pipeline(find, self.source)
        found = describe_pipeline(pipeline)
        files = weight_files(find, pipeline.folder, self.source)
        sha256 = check_sha256(files, self.sha256)
        facts = {
            "revision": revision_of(files.path),
            "file": f"{pipeline.folder}{files.path.name}",
            "network": pipeline.network,
            # Files of diffusers may contain infinite numbers, which JSON does not have.
            "scheduler": json.loads(json.dumps(pipeline.scheduler), parse_constant=str),
        }
        network, choices = load_pipeline_network(found, pipeline, files)
        choices = find.choices + choices
        return found.loaded(network, choices, name=self.source, sha256=sha256, facts=facts)

    def local_files(self) -> tuple[Path, list[str]]:
        """Return the files in a folder that describe the pipeline, and those of all its weights."""
        folder = Path(self.source)
        found = {path for name in PIPELINE_FILES for path in folder.glob(name) if path.is_file()}
        return folder, sorted(path.relative_to(folder).as_posix() for path in found)

    @property
    def places(self) -> frozenset[str]:
        """The field `source`, if it is a folder; an id on the hub identifies the weights."""
        return frozenset() if self.is_remote() else frozenset({"source"})

    def is_remote(self) -> bool:
        """Tell whether the source is not a folder."""
        return not Path(self.source).is_dir()

    def unfetched(self, cache: Path) -> Download | None:
        """Return the download from the hub; None: a folder or the cache has all that is needed."""
        if not self.is_remote() or is_whole(Finder(self, cache, download=False)):
            return None
        return from_hub("give a local folder as source", functools.partial(check_pinned, self))

    def check_process(self, at: str, found: Description, schedule: str, process: Process) -> None:
        """Do nothing: `describe` has compared the network with its own scheduler."""

    def architecture(self, cache: Path) -> Architecture:
        """Return the network that files on this machine describe, or else those in `PUBLISHED`."""
        pipeline, origin = self._known(cache)
        found = describe_pipeline(pipeline)

        def build() -> nn.Module:
            from benchmark.models.diffusers_weights import fresh_network

            return fresh_network(found, pipeline)

        key = canonical_json(pipeline.network)
        return Architecture(
            build,
            build,
            found.schedule,
            found.resolution,
            key,
            origin,
            found.channels,
            found.embeddings,
        )

    def _known(self, cache: Path) -> tuple[Pipeline, str]:
        """Return the configuration that is known on this machine, and words for its origin."""
        find = Finder(self, cache, download=False)
        if all(any(map(find, names)) for names in (NETWORK_FILES, SCHEDULER_FILES)):
            return read_pipeline(find, self.source), f"{self.source}, at hand"
        path = PUBLISHED / f"{self.source.replace('/', '--')}.json"
        if not path.is_file():
            raise BenchmarkError(
                f"{self.source} is not on this machine, and its architecture is not in {PUBLISHED}"
            )
        facts = read_json(path)
        pipeline = Pipeline(facts["network"], path, facts["scheduler"], path)
        return pipeline, f"published: {path.name}"
