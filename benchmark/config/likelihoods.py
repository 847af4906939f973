"""Checks that the likelihood of images can be measured under the networks that a config names.

Each check raises a ValueError whose text begins with the key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.config.checks import known
from benchmark.diffusion.ode import FAMILIES

if TYPE_CHECKING:
    from benchmark.config.grid import Grid
    from benchmark.config.schema import Likelihood

MOST_EXACT = 1024  # dimensions of an image whose trace is taken exactly: a backward pass for each


def check_likelihood(config: Grid, settings: Likelihood) -> None:
    """Refuse models that have no density, or that the grid does not sample."""
    at = "likelihood.model"
    for model in settings.model:
        known(at, model, config.models)
        spec = config.models[model]
        if spec.images is not None:
            raise ValueError(
                f"{at}: models.{model}.images were made elsewhere, by a network that is not here, "
                "so that no likelihood follows: leave it out"
            )
        schedules = {cell.schedule for cell in config.cells if cell.model == model}
        if not schedules:
            raise ValueError(f"{at}: no block of the grid samples models.{model}: leave it out")
        for schedule in sorted(filter(None, schedules)):
            _check_density(config, at, model, schedule)
        source = config.data[spec.data]
        dimensions = source.channels * source.resolution**2
        if settings.probes == 0 and dimensions > MOST_EXACT:
            raise ValueError(
                f"likelihood.probes: 0 of them take a backward pass for each of the {dimensions} "
                f"dimensions of an image of data.{spec.data}, and at most {MOST_EXACT} are taken: "
                "1 would do"
            )


def _check_density(config: Grid, at: str, model: str, schedule: str) -> None:
    """Refuse a network that cannot be evaluated at any noise, as the ODE needs."""
    family = config.schedule_of(model, schedule).process().family
    if family not in FAMILIES:
        raise ValueError(
            f"{at}: models.{model} has the schedule {schedule}, a {family} process, whose network "
            "knows nothing of what is between its levels of noise, so that no density follows: "
            f"leave it out; processes that have one are {', '.join(FAMILIES)}"
        )
    described = config.described.get(model)
    if described is not None and described.whole_times:
        raise ValueError(
            f"{at}: the network of models.{model}.weights has learnt whole times alone, and the "
            "ODE asks between them, so that no density follows: leave it out"
        )
