"""The sections of a record: what it says of its job besides figures, one class for each kind.

Up to schema 3 all of this stood in one dictionary, `facts`, which `from_facts` still reads.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from benchmark.core.strict_model import Count, Id, Name, Positive, StrictModel, shown
from benchmark.core.values import Value

# Prefixes of names in the `facts` of earlier versions: for the share of accused images in a part of
# a control, and for the reason why a value could not be computed.
_PART, _REASON = "accused_of_", "no_"


class Prepared(StrictModel):
    """The images of a data set, as they were prepared."""

    origin: str = Field(description="Where the images come from")
    licence: str
    attribution: str
    resolution: Count | None = None
    train_sha256: str = ""
    held_out_sha256: str = ""
    skipped_images: list[str] = Field(
        default=[], description="Images that could not be read, and why"
    )
    conversions: list[str] = Field(default=[], description="Numbers of images, by conversion")
    ignored_files: list[str] = Field(
        default=[], description="Numbers of files that are no images, by kind"
    )
    classes: dict[str, tuple[int, int]] | None = Field(
        default=None, description="Training and held-out images of each class; null: no classes"
    )


class ErrorAtLevel(StrictModel):
    """How well a network tells the noise in images at one level of noise."""

    time: float = Field(description="Time of the process")
    noise: float = Field(description="σ/α at that time, of pixels in the range of the process")
    training: Value = Field(description="Mean of (ε̂ - ε)² over pixels and training images")
    held_out: Value = Field(description="The same of held-out images")


class Trained(StrictModel):
    """What was trained, and on which data."""

    models: list[Name] = Field(description="Models that are sampled with these weights")
    schedule: Name | None = None
    dataset: Name
    parameters: Count
    images: Count
    batch: Count
    steps: Count
    errors: list[ErrorAtLevel] = Field(
        default=[], description="Of the averaged weights, from little noise to much"
    )


class AtLevel(StrictModel):
    """How often a classifier is right about held-out images at one level of noise."""

    time: float = Field(description="Time of the process")
    noise: float = Field(description="σ/α at that time, of pixels in the range of the process")
    accuracy: Value = Field(description="Share of the images of which it names the class")


class Classified(StrictModel):
    """What a classifier of noisy images was trained on, and how often it is right."""

    dataset: Name
    schedule: Name
    classes: list[str] = Field(description="Names of the classes")
    parameters: Count
    images: Count
    batch: Count
    steps: Count
    held_out: Count = Field(description="Images on which its accuracy was measured")
    levels: list[AtLevel] = Field(description="From little noise to much")


class AskedClasses(StrictModel):
    """The classes that a network was told, a classifier steered to, or images are said to be of."""

    classes: list[str] = Field(description="Names of the classes")
    labels: list[int] = Field(description="Number of the class of each sample, in their order")


class Gathered(StrictModel):
    """Images that were made elsewhere."""

    folder: str = Field(description="Name of the folder or file, without its path")
    images_in_folder: Count
    ignored_files: list[str] = Field(
        default=[], description="Numbers of files that are no images, by kind"
    )
    files: list[str] = Field(
        default=[], description="Names of the files, in the order of the samples"
    )
    conversions: list[str] = Field(default=[], description="Numbers of images, by conversion")


class MadeControls(StrictModel):
    """The controls of a data set, one behind the other in one array."""

    dataset: Name
    controls: list[Name]


class Embedded(StrictModel):
    """How features were made."""

    extractor: Name
    from_cache: bool = Field(description="Whether they were known from an earlier run")


class JudgedAgainst(StrictModel):
    """What the images of a cell or a control were compared with."""

    dataset: Name | None = None
    few: Count | None = Field(
        default=None, description="Number of images below which a distance is marked"
    )


class ClassFigures(StrictModel):
    """How images that should be of a class, or of all, compare with training images of the same."""

    images: Count
    accuracy: Value = Field(description="Share that the judge takes for what they should be")
    distance: Value | None = Field(default=None, description="The Fréchet distance of the class")
    missing: str | None = Field(default=None, description="Why there is no distance")


class Retrieved(StrictModel):
    """Which images of a cell or a control were accused of being copies."""

    dataset: Name | None = None
    neighbours: Count | None = Field(default=None, description="k of the retrieval")
    false_discovery_rate: float | None = Field(
        default=None, description="Share of the accused that are innocent, on average at most"
    )
    accused: list[int] = Field(default=[], description="Numbers of the images, from 0")
    closest: list[int] | None = Field(
        default=None,
        description="Images that lie closer than all held-out images, if there are too many by "
        "chance; null: unknown",
    )
    least_accused: int | None = Field(
        default=None, description="Copies below which none is accused; null: not judged"
    )
    accused_of: dict[str, float] = Field(
        default={}, description="Share of accused in each part of a control that has parts"
    )


class Answered(StrictModel):
    """Answers to questions about held-out images, beside answers of known quality."""

    dataset: Name
    questions: Count
    psnr: list[float] = Field(
        default=[], description="PSNR for each question, the mean over its answers; empty: not told"
    )
    controls: dict[Name, dict[str, Value]] = Field(
        description="The values of images that no network made: the ceiling and the floors"
    )


class SetLikelihood(StrictModel):
    """The likelihood of a set of images under a network."""

    images: Count
    bits: Value = Field(description="Bits per dimension by the probability-flow ODE")
    bound: Value | None = Field(
        default=None, description="The variational bound in bits per dimension; null: not measured"
    )
    evaluations: float = Field(description="Of the network for each image, by the ODE's solver")
    bits_each: list[float] = Field(description="Bits per dimension of each image")
    bound_each: list[float] | None = Field(default=None, description="The bound of each image")


class Likelihoods(StrictModel):
    """The likelihood of training, held-out and sampled images under a network."""

    model: Name
    schedule: Name
    dataset: Name
    dimensions: Count = Field(description="Pixels times channels of an image")
    probes: int = Field(ge=0, description="By which the divergence was told; 0: exactly")
    tolerance: Positive
    variance: str | None = Field(
        default=None,
        description="Variance of a step in the bound: of those of the sampler ddpm the one that is "
        "better on the training images; null: no bound",
    )
    sets: dict[Id, SetLikelihood] = Field(
        description="By training, held-out, and the ids of the cells whose samples were asked about"
    )


class ShardIdentity(StrictModel):
    """What all shards of a cell must have in common, besides the config."""

    code: str = Field(description="Hash of the code that made it")
    sources: str = Field(description="SHA-256 of all that was read")


_SECTION_OF = {
    "data": "prepared",
    "train": "trained",
    "sample": "gathered",
    "controls": "made",
    "features": "embedding",
    "metrics": "judged",
    "retrieval": "retrieved",
}


def from_facts(content: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a record of schema 3 or earlier with its facts in their sections.

    Raises:
        ValueError: the facts are no mapping.
    """
    facts = content["facts"]
    if not isinstance(facts, dict):
        raise ValueError(f"facts: a mapping of keys is needed, not {shown(facts)}")
    found = {key: value for key, value in content.items() if key != "facts"}
    left = dict(facts)
    if reasons := _taken(left, _REASON):
        found["missing"] = reasons
    if "shard" in left:
        found["shard_images"] = left.pop("shard")
    if identity := {key: left.pop(key) for key in ShardIdentity.model_fields if key in left}:
        found["shard_identity"] = identity
    if parts := _taken(left, _PART):
        left["accused_of"] = parts
    if left and content.get("kind") in _SECTION_OF:
        found[_SECTION_OF[content["kind"]]] = left
    return found


def _taken(facts: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Remove the facts whose names begin with `prefix`, and return them without it."""
    names = [name for name in facts if str(name).startswith(prefix)]
    return {name.removeprefix(prefix): facts.pop(name) for name in names}
