"""The sections of a config file: models, blocks of the grid and the evaluation."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, model_validator

from benchmark.config.checks import (
    LEAST_IMAGES,
    known,
)
from benchmark.config.tasks import Task
from benchmark.core.reserved import COLUMNS
from benchmark.core.strict_model import (
    MOST_IMAGES,
    Lack,
    Name,
    Needing,
    Seed,
    StrictModel,
    UserPath,
    UserText,
    text,
)
from benchmark.data.controls import CONTROLS
from benchmark.data.elsewhere import Elsewhere
from benchmark.data.sources import SOURCES
from benchmark.diffusion.samplers import SAMPLERS
from benchmark.diffusion.schedules import SCHEDULES
from benchmark.extractors import EXTRACTORS
from benchmark.metrics import METRICS
from benchmark.models.checkpoints import CHECKPOINTS
from benchmark.models.networks import NETWORKS
from benchmark.records.record import Sampling

_V = TypeVar("_V")

MOST_STEPS = 1_000_000  # the most steps of a sampler


def is_empty(value: object) -> bool:
    """Tell whether nothing is listed: null, or a list without items."""
    return value is None or value == []


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


# The name stands in tables and pictures, so it must be one line of visible characters.
_Family = Annotated[
    str,
    text(
        r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*\S)?$",
        "one line of visible characters, as DDPM or My GAN",
        40,
    ),
]
Listed = Annotated[list[_V], BeforeValidator(_as_list)]
Several = Annotated[Listed[_V], Field(min_length=1)]

if TYPE_CHECKING:
    from benchmark.data.sources.base import Source as Source
    from benchmark.diffusion.samplers import Sampler as Sampler
    from benchmark.diffusion.schedules import Schedule as Schedule
    from benchmark.metrics import Metric
    from benchmark.models.checkpoints import CheckpointFormat as CheckpointFormat
    from benchmark.models.networks import Network as Network
else:
    Source = SOURCES.union()
    Network, CheckpointFormat = NETWORKS.union(), CHECKPOINTS.union()
    Schedule, Sampler, Metric = SCHEDULES.union(), SAMPLERS.union(), METRICS.union()


# The number formats in which networks compute. float32 is that of IEEE 754, on a GPU too.
ComputePrecision = Literal["float32", "tf32", "bf16"]


class Classifier(StrictModel):
    """A classifier of noisy images, whose gradient steers networks that know no classes."""

    data: Name = Field(description="Whose classes it learns", examples=["faces"])
    schedule: Name = Field(
        description="Of the process whose noise it learns to see through", examples=["linear"]
    )
    network: Name = Field(description="A unet, of which it is the way down", examples=["small"])
    training: Name = Field(description="How it is trained", examples=["short"])


_ORIGINS = (("network", "training"), ("weights",), ("images",))  # of images, by their keys
_ONE_ORIGIN = "give either network and training, or weights, or images"


class Model(Needing):
    """A model: its family and data, and a network to train, ready weights, or images.

    The images were made elsewhere, for example by a GAN, and are only evaluated.
    """

    family: _Family = Field(
        description="The name in the tables, as DDPM, NCSN, Flow or EDM", examples=["DDPM"]
    )
    data: Name = Field(
        description="What is learnt; for ready weights, with what samples are compared",
        examples=["faces"],
    )
    network: Name | None = Field(
        default=None, description="What is trained from scratch", examples=["small"]
    )
    training: Name | None = Field(default=None, description="How it is trained", examples=["short"])
    weights: CheckpointFormat | None = Field(
        default=None,
        description="Ready weights, instead of network and training",
        examples=[{"kind": "zoo", "name": "avatars-ddpm"}],
    )
    images: UserPath | None = Field(
        default=None,
        description="Folder of images made elsewhere, or a file of many (zip, tar, parquet, …), "
        "instead of a network",
        examples=["made-by-a-gan"],
    )
    image: UserText | None = Field(
        default=None,
        min_length=1,
        description="Which of several images in each sample of a tar (an extension) or of parquet "
        "and Arrow (a column) are the images made elsewhere",
        examples=["png"],
    )
    labels: UserText | None = Field(
        default=None,
        min_length=1,
        description="Of which classes of the data the images made elsewhere are. folders: each "
        "folder directly in `images` is one; or a CSV file whose two columns are the path of an "
        "image in `images`, and its class; in a file of many, what is the `label` of its source",
        examples=["folders"],
    )
    clip: bool | None = Field(
        default=None,
        description="Confine estimates of x_0 to the range of images when sampling; null: as the "
        "checkpoint's scheduler says, else as in the paper of the process, which DDPM alone does",
        examples=[True],
    )

    @classmethod
    def lacking(cls, given: Mapping[str, Any]) -> list[Lack]:
        """Return that no origin is whole, where not two are begun."""
        origins = [[given.get(key) is not None for key in keys] for keys in _ORIGINS]
        is_whole, begun = any(map(all, origins)), sum(map(any, origins))
        return [] if is_whole or begun > 1 else [("", _ONE_ORIGIN)]

    @model_validator(mode="after")
    def _check_origin(self) -> Model:
        if sum(any(getattr(self, key) is not None for key in keys) for keys in _ORIGINS) > 1:
            raise ValueError(_ONE_ORIGIN)
        if self.images is None:
            for key in ("image", "labels"):
                if getattr(self, key) is not None:
                    raise ValueError(f"{key}: only images made elsewhere have it: leave it out")
        if self.images and self.clip is not None:
            raise ValueError("clip: images made elsewhere are not sampled: leave it out")
        return self

    def made(self, key: str) -> Elsewhere:
        """Return the images made elsewhere.

        Args:
            key: config key of the model.
        """
        assert self.images is not None
        return Elsewhere(key, self.images, self.labels, self.image)


class Entry(StrictModel):
    """A block of the grid, which stands for all combinations of the items in its lists."""

    table: Name = Field(description="The table in which these rows stand", examples=["trained"])
    model: Several[Name] = Field(
        description="Models that are sampled, or whose images are evaluated",
        examples=[["DDPM", "NCSN"]],
    )
    schedule: Listed[Name] = Field(
        default=[],
        description="Left out for images made elsewhere",
        examples=[["linear", "cosine"]],
    )
    sampler: Listed[Name] = Field(
        default=[], description="Left out for images made elsewhere", examples=[["ddpm", "ddim"]]
    )
    steps: Listed[Annotated[int, Field(ge=1, le=MOST_STEPS)]] = Field(
        default=[], description="Left out for images made elsewhere", examples=[[50, 1000]]
    )
    guidance: Listed[Annotated[float, Field(ge=0, le=1000)]] = Field(
        default=[],
        description="Scales w of the guidance by class, of a network with classes: "
        "y(no class) + w (y(class) - y(no class)). 0: without classes; 1, or left out: as the "
        "network says. With a classifier: the factors of its gradient",
        examples=[[1, 3]],
    )
    classifier: Name | None = Field(
        default=None,
        description="Classifier whose gradient, times the scale, is added to the score of a "
        "network that knows no classes; null: none",
        examples=["hair"],
    )
    task: Listed[Task] = Field(
        default=[],
        description="What is asked about held-out images, in place of images out of nothing",
        examples=[[{"kind": "inpaint", "method": "repaint"}]],
    )
    samples: int = Field(
        ge=LEAST_IMAGES, le=MOST_IMAGES, description="Images for each cell", examples=[128]
    )
    evaluate_every: int | None = Field(
        default=None,
        ge=1,
        description="Steps of training between two states whose averaged weights are kept, each "
        "with cells of its own; null: only finished networks are sampled",
        examples=[1000],
    )
    weights: Several[Literal["averaged", "raw"]] = Field(
        default=["averaged"],
        description="Which weights of a trained network are sampled: their moving average, those "
        "of its last step without it, or each in cells of its own",
        examples=[["averaged", "raw"]],
    )
    shard: int | None = Field(
        default=None,
        ge=1,
        description="Images that one job draws, rounded up to whole batches; null: all",
        examples=[5000],
    )
    seed: Several[Seed] = Field(
        default=[0], description="Seed of the samples, or of the choice of images from a folder"
    )

    @classmethod
    def lacking_of_sampling(cls, given: Mapping[str, Any]) -> list[Lack]:
        """Return which keys a block lacks whose images are sampled, and why they are needed."""
        why = "is missing: only models with images go without"
        lacks = [(k, why) for k in ("schedule", "sampler", "steps") if is_empty(given.get(k))]
        if (classifier := given.get("classifier")) and is_empty(given.get("guidance")):
            named = f"classifiers.{classifier}"
            lacks.append(("guidance", f"is missing: factors of the gradient of {named}"))
        return lacks

    @property
    def samplings(self) -> list[Sampling] | list[None]:
        """All combinations of schedules, samplers and steps; None for images made elsewhere."""
        product = itertools.product(self.schedule, self.sampler, self.steps)
        return [Sampling(*point) for point in product] or [None]

    @property
    def scales(self) -> list[float | None]:
        """The scales of guidance; None where none is stated."""
        return [*self.guidance] or [None]

    @property
    def tasks(self) -> list[Task | None]:
        """The tasks; None: the images are made out of nothing."""
        return [*self.task] or [None]


class Likelihood(StrictModel):
    """Whose likelihood of training, held-out and sampled images is measured, and how."""

    model: Several[Name] = Field(
        description="Models whose networks are asked, each with all its schedules in the grid",
        examples=[["DDPM"]],
    )
    images: int = Field(
        default=64,
        ge=LEAST_IMAGES,
        le=MOST_IMAGES,
        description="Images of each set at most: training images, held-out ones, and the samples "
        "of each cell",
    )
    probes: int = Field(
        default=1,
        ge=0,
        le=1000,
        description="Random probes for each image, by which the divergence is told (Hutchinson's "
        "estimate); 0: told exactly, with a backward pass for each pixel and channel",
    )
    tolerance: float = Field(
        default=1e-5, gt=0, le=0.1, description="Absolute and relative, of the ODE's solver"
    )
    bound: bool = Field(
        default=True,
        description="Measure the variational bound too, where time is discrete and variance is "
        "preserved; it takes as many evaluations as there are times",
    )

    @model_validator(mode="after")
    def _check_models(self) -> Likelihood:
        if len(set(self.model)) < len(self.model):
            raise ValueError("model: one is named twice: keep one of the two")
        return self


class Evaluation(StrictModel):
    """How samples are evaluated: by one Fréchet distance and any other metrics."""

    extractor: str = Field(
        default="efficientnet-lite0", description="The extractor of the features that are compared"
    )
    metrics: dict[Name, Metric] = Field(
        min_length=1,
        description="Metrics by column name",
        examples=[{"fd": {"kind": "frechet"}}],
    )
    sizes: list[Annotated[int, Field(ge=LEAST_IMAGES, le=MOST_IMAGES)]] = Field(
        default=[],
        description="Numbers of images at which the distance is measured too",
        examples=[[500, 5000]],
    )
    few: int | None = Field(
        default=None,
        ge=1,
        description="Distances of fewer images are marked; null: as many images as the covariance "
        "of the features needs for full rank, which are one more than the features' dimension",
        examples=[2048],
    )
    controls: list[str] = Field(
        default=["noise", "blur", "faint-noise", "dropped-mode", "copies"],
        description="Made images that are evaluated as samples are",
    )
    neighbours: int = Field(
        default=5,
        ge=0,
        le=100,
        description="k of the nearest-neighbour retrieval; 0: none",
    )
    panel_rows: int = Field(
        default=8, ge=1, le=100, description="Rows of a nearest-neighbour panel"
    )

    @model_validator(mode="after")
    def _check_lists(self) -> Evaluation:
        for name in self.controls:
            known("controls", name, CONTROLS.classes)
        for key, values in (("controls", self.controls), ("sizes", self.sizes)):
            if len(set(values)) < len(values):
                raise ValueError(f"{key}: one is named twice: keep one of the two")
        return self

    @model_validator(mode="after")
    def _check_metrics(self) -> Evaluation:
        if sum(metric.is_distance for metric in self.metrics.values()) != 1:
            raise ValueError("metrics: exactly one of kind frechet is needed: plots are made of it")
        for name in self.metrics.keys() & COLUMNS:
            raise ValueError(f"metrics: every table has a column {name}: choose another name")
        extractor = EXTRACTORS.classes.get(self.extractor)
        for name, metric in self.metrics.items():
            if extractor and not extractor.has_classes and metric.takes == "logits":
                raise ValueError(
                    f"metrics.{name}: extractor {self.extractor} has no class probabilities: use "
                    "one of the 2015 Inception, such as inception-v3-fid"
                )
        return self
