"""The paths of a run's files, for the workflow and for the commands."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

RESULTS = Path("results")
REFERENCE = Path(__file__).parents[1] / "reference" / "report.csv"
CLAIMS = REFERENCE.with_name("claims.yaml")
PLOTS = (
    "distance-against-evaluations",
    "distance-against-time",
    "distance-by-model",
    "time-by-model",
    "loss-curves",
    "denoising-loss",
    "distance-against-training",
    "guidance",
    "samples-overview",
    "timeline",
)
CACHE = ".cache"  # folder beside the runs, for what several runs can use
HELD_OUT = "held-out"  # the control that is not made: real images
ALL_CONTROLS = "controls"  # prefix of a data set's name: all its controls together
TABLE_FORMATS = ("csv", "md", "tex")


@dataclass(frozen=True)
class Run:
    """The folder of one run."""

    root: Path

    def config(self, content: str) -> Path:
        """File of the config with all defaults filled in, named after its content."""
        return self.root / f"config-{hashlib.sha256(content.encode()).hexdigest()[:12]}.json"

    def data(self, dataset: str) -> Path:
        """Folder of a prepared data set."""
        return self.root / "data" / dataset

    def images(self, dataset: str) -> Path:
        """All images of a data set: uint8, N×H×W×C."""
        return self.data(dataset) / "images.npy"

    def manifest(self, dataset: str) -> Path:
        """Where a data set comes from and what is in it."""
        return self.data(dataset) / "manifest.json"

    def weights(self, training: str) -> Path:
        """Trained weights (the moving average)."""
        return self.root / "models" / f"{training}.safetensors"

    def kept(self, training: str) -> Path:
        """Folder of the weights of states of a training that were kept."""
        return self.root / "models" / training

    def kept_weights(self, training: str, steps: int) -> Path:
        """Weights of a training (the moving average) after so many steps."""
        return self.kept(training) / f"{steps}.safetensors"

    def raw_weights(self, training: str) -> Path:
        """Weights of the last step of a training, without the moving average."""
        return self.kept(training) / "raw.safetensors"

    def state(self, spec_hash: str) -> Path:
        """Folder in which a long job saves what it needs to continue."""
        return self.root / "state" / spec_hash

    def lock(self, kind: str, name: str) -> Path:
        """Lock file of a job. The process that does the job holds it, so that no other does."""
        return self.root / "locks" / f"{kind}-{name}.lock"

    def samples(self, cell: str) -> Path:
        """Samples of a cell: uint8, N×H×W×C."""
        return self.root / "samples" / cell / "samples.npy"

    def shard(self, kind: str, cell: str, part: str) -> Run:
        """Folder of a part of a cell, as 0-1000, with one kind of files until all are merged."""
        return Run(self.root / "samples" / cell / "shards" / kind / part)

    def drawn(self, cell: str) -> Run:
        """Folder that keeps the last samples of a cell, for one with more of them."""
        return Run(self.root / "samples" / cell / "drawn")

    def grid(self, cell: str) -> Path:
        """Picture of the first samples of a cell."""
        return self.root / "samples" / cell / "grid.png"

    def chain(self, cell: str) -> Path:
        """Picture of some samples on their way from noise to image, one in a row."""
        return self.root / "samples" / cell / "chain.png"

    def movie(self, cell: str) -> Path:
        """Picture of some samples on their way from noise to image, with a row for each frame."""
        return self.root / "samples" / cell / "movie.png"

    def features(self, extractor: str, name: str) -> Path:
        """Features of a data set's or a cell's images, in their order: float32, N×d."""
        return self.root / "features" / extractor / f"{name}.npy"

    @property
    def cached(self) -> Path:
        """Folder of the cached statistics of features, which all runs share."""
        return self.root.parent / CACHE / "kept"

    def record(self, kind: str, name: str) -> Path:
        """The record of one job."""
        return self.root / "records" / kind / f"{name}.json"

    def log(self, verb: str, name: str) -> Path:
        """What a job printed."""
        return self.root / "logs" / verb / f"{name}.log"

    def neighbours(self, name: str) -> Path:
        """Picture of samples beside their nearest training images."""
        return self.root / "neighbours" / f"{name}.png"

    def answers(self, cell: str) -> Path:
        """Picture of what was given, some answers of a cell, and the truth."""
        return self.root / "answers" / f"{cell}.png"

    def given(self, cell: str) -> Path:
        """What was given of each image that a cell was asked about, as images: uint8, Q×H×W×C."""
        return self.root / "samples" / cell / "given.npy"

    def tables(self, table: str) -> list[Path]:
        """One table in every format."""
        return [self.root / "tables" / f"{table}.{suffix}" for suffix in TABLE_FORMATS]

    def comparison(self, suffix: str) -> Path:
        """The comparison of this run with another one."""
        return self.root / f"comparison.{suffix}"

    def plot(self, name: str) -> Path:
        """One plot."""
        return self.root / "plots" / f"{name}.png"

    @property
    def site(self) -> Path:
        """The page that shows everything of a run."""
        return self.root / "report" / "index.html"

    @property
    def video(self) -> Path:
        """The 50 steps of DDIM as a GIF."""
        return self.root / "report" / "ddim.gif"
