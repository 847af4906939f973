"""RePaint: replacement that goes back and forth."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from benchmark.core.errors import BenchmarkError
from benchmark.diffusion.methods.replacement import Replacement, replace
from benchmark.diffusion.processes.base import exact_chain, levels

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.diffusion.denoiser import Denoiser, Estimate
    from benchmark.diffusion.operators import Operator
    from benchmark.diffusion.processes.base import Array, Process
    from benchmark.diffusion.question import Question
    from benchmark.diffusion.samplers import Sampler
    from benchmark.diffusion.samplers.base import Model, Noise


class RePaint(Replacement):
    """Walks each part of the way several times, noising the state anew in between.

    Lugmayr et al. 2022, algorithm 1 with the jumps of appendix B: before the sampler walks
    `jump_length` steps on, they are walked `resamplings` - 1 times by ancestral sampling, and back
    by the forward process, so that what is given and what is not become consistent. Each such walk
    takes as many evaluations as it has steps.
    """

    paper = "[Lugmayr et al. 2022](https://arxiv.org/abs/2201.09865), algorithm 1"
    kind: Literal["repaint"] = "repaint"  # type: ignore[assignment]
    jump_length: int = Field(default=10, ge=1, le=10_000, description="j: steps of a jump back")
    resamplings: int = Field(default=10, ge=1, le=1000, description="r: walks of each part")

    def steer(
        self,
        model: Denoiser,
        process: Process,
        question: Question,
        timesteps: Array,
        noise: Noise,
    ) -> Model:
        """Return a model of B×C×H×W that resamples before it evaluates; see `Method.steer`."""
        walk = _Walk(model, process, question, timesteps, noise)
        bottoms = range(0, len(timesteps) - self.jump_length, self.jump_length)
        tops = {len(timesteps) - 1 - bottom - self.jump_length for bottom in bottoms}

        def resampled(x: Tensor, t: float) -> Estimate:
            position = walk.positions[t]
            if position > 0:
                x = replace(x, t, process, question, noise)
            if position in tops:
                for _ in range(self.resamplings - 1):
                    x = walk.there_and_back(x, position, position + self.jump_length)
            return model(x, t)

        return resampled

    def check(self, sampler: Sampler, operator: Operator, steps: int) -> None:
        """Refuse jumps as long as the whole way, too."""
        super().check(sampler, operator, steps)
        if self.jump_length >= steps:
            raise BenchmarkError(
                f"method: jump_length {self.jump_length} is not below the {steps} steps, so "
                f"nothing would be resampled: choose a shorter one, or more steps"
            )

    def suits(self, sampler: Sampler | type[Sampler]) -> bool:
        """Return whether a sampler can be given another state, and leaves each time at once."""
        return sampler.takes_state and not sampler.stays_at_times


class _Walk:
    """Walks down the times by ancestral sampling with replacement, and up by the forward process.

    Args:
        model: evaluates the network.
        process: gives α and σ.
        question: what is given.
        timesteps: N descending times, all different.
        noise: gives the next standard normal tensor shaped like a state.
    """

    def __init__(
        self,
        model: Denoiser,
        process: Process,
        question: Question,
        timesteps: Array,
        noise: Noise,
    ) -> None:
        self._model, self._process, self._question, self._noise = model, process, question, noise
        self._times: list[float] = timesteps.tolist()
        self.positions = {t: i for i, t in enumerate(self._times)}
        self._alpha, self._sigma = levels(process, timesteps)
        a, g = exact_chain(process, timesteps)
        # Ho et al. 2020, equation 7: as in the sampler `ddpm`
        self._of_x0 = self._alpha[1:] * (g / self._sigma[:-1]) ** 2
        self._of_x = a * (self._sigma[1:] / self._sigma[:-1]) ** 2
        self._std = g * self._sigma[1:] / self._sigma[:-1]

    def there_and_back(self, x: Tensor, top: int, bottom: int) -> Tensor:
        """Return another state at the position `top`, from one there, by way of `bottom`.

        States are B×C×H×W.
        """
        for i in range(top, bottom):
            x0 = self._model(x, self._times[i]).x0
            x = float(self._of_x0[i]) * x0 + float(self._of_x[i]) * x
            x = x + float(self._std[i]) * self._noise()
            x = replace(x, self._times[i + 1], self._process, self._question, self._noise)
        a = float(self._alpha[top] / self._alpha[bottom])
        rest = float(self._sigma[top]) ** 2 - (a * float(self._sigma[bottom])) ** 2
        return a * x + math.sqrt(rest) * self._noise()
