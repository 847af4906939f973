"""Euler's method with ancestral noise."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from benchmark.diffusion.samplers.ddim import DDIM


class EulerAncestral(DDIM):
    """Takes Euler's step to below the next level and adds noise up to it.

    Crowson (k-diffusion), `sample_euler_ancestral`: from σ to σ' of x/α it goes down to
    √(σ'² - σ_up²) with σ_up = η σ' √(1 - σ'²/σ²). That is DDIM's step with the same η.
    """

    paper = "[Crowson](https://github.com/crowsonkb/k-diffusion), `sample_euler_ancestral`"
    usual_spacing = "linspace"
    diffusers = "EulerAncestralDiscreteScheduler"
    kind: Literal["euler-ancestral"] = "euler-ancestral"  # type: ignore[assignment]
    eta: float = Field(
        default=1.0, ge=0, le=1, description="0: Euler's method, which is DDIM; 1: ancestral noise"
    )
