"""The section `training` of a config file: how networks are trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, create_model, model_validator

from benchmark.config.checks import known
from benchmark.core.strict_model import MOST_IMAGES, Lack, Needing
from benchmark.diffusion.losses import LOSSES, loss_options
from benchmark.diffusion.processes.base import Prediction

if TYPE_CHECKING:
    from benchmark.diffusion.losses.base import Loss
    from benchmark.diffusion.processes.base import Process

Beta = Annotated[float, Field(ge=0, lt=1)]

# The options of all losses; a training may only set those of the loss of its process.
LOSS_OPTIONS = {name: (field.annotation, field) for name, field in loss_options().items()}


_EITHER = "give either steps or epochs, and not both"


class _Optimisation(Needing):
    """The options of a training that do not depend on its loss."""

    steps: int | None = Field(
        default=None,
        ge=1,
        le=10**9,
        description="Optimiser steps; or give epochs",
        examples=[20_000],
    )
    epochs: int | None = Field(
        default=None, ge=1, le=10**6, description="Passes over the training set", examples=[100]
    )
    batch: int = Field(default=64, ge=1, le=MOST_IMAGES, description="Images of an optimiser step")
    lr: float = Field(default=1e-3, gt=0, le=1, description="Peak learning rate")
    warmup: int = Field(default=100, ge=0, le=10**9, description="Steps of linear warm-up")
    decay: Literal["cosine", "constant"] = Field(
        default="cosine", description="Learning rate after warm-up"
    )
    betas: tuple[Beta, Beta] = Field(
        default=(0.9, 0.999), description="Decays of AdamW's averages of gradients and squares"
    )
    weight_decay: float = Field(
        default=0.01, ge=0, le=1000, description="Each step shrinks weights by lr times this"
    )
    clip: float | None = Field(default=1.0, gt=0, description="Largest gradient norm; null: none")
    ema: float | None = Field(
        default=0.999,
        gt=0,
        lt=1,
        description="Decay of the weights' moving average, warmed up as (1+k)/(10+k); null: none",
    )
    flip: bool = Field(default=False, description="Mirror images at random")
    dequantise: bool = Field(
        default=False, description="Spread each of the 256 grey levels over its interval"
    )
    prediction: Prediction | None = Field(
        default=None, description="What the network predicts; null: as in the paper of its process"
    )
    label_dropout: float = Field(
        default=0.1,
        ge=0,
        lt=1,
        description="Share of images whose class a network with classes is not told, so that it "
        "learns to do without, as guidance needs (Ho and Salimans 2022, algorithm 1)",
    )


if TYPE_CHECKING:
    _Learning = _Optimisation
else:
    _Learning = create_model("_Learning", __base__=_Optimisation, **LOSS_OPTIONS)


class Training(_Learning):
    """How a network is trained from scratch, with AdamW on the loss of its process."""

    loss: str | None = Field(
        default=None,
        description="What is minimised; null: the loss of the process",
        examples=["score-matching"],
    )
    log_every: int = Field(
        default=10, ge=1, le=10**9, description="Steps between two points of the curve"
    )
    held_out_points: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="How often the loss of the held-out images is measured, evenly until the end, "
        "with the averaged weights; 0: never",
    )
    save_seconds: float = Field(default=30, gt=0, description="Seconds between two saved states")

    @classmethod
    def lacking(cls, given: Mapping[str, Any]) -> list[Lack]:
        """Return that neither steps nor epochs are given."""
        return [] if any(given.get(k) is not None for k in ("steps", "epochs")) else [("", _EITHER)]

    @model_validator(mode="after")
    def _not_both(self) -> Training:
        if self.steps is not None and self.epochs is not None:
            raise ValueError(_EITHER)
        return self

    @model_validator(mode="after")
    def _check_loss(self) -> Training:
        if self.loss is not None:
            known("loss", self.loss, LOSSES.classes)
        return self

    def loss_of(self, process: Process) -> type[Loss]:
        """Return the class of the loss by which networks of a process are trained."""
        return LOSSES.get(self.loss or process.loss)

    def loss_options(self) -> dict[str, Any]:
        """Return the options of the loss that are not its defaults."""
        return self.model_dump(include={*LOSS_OPTIONS}, exclude_defaults=True)

    def total_steps(self, images: int) -> int:
        """Return the number of optimiser steps for a training set of `images`."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None
        return self.epochs * -(-images // self.batch)
