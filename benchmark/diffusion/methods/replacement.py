"""Replacement of what is given, at each noise level."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from benchmark.core.errors import BenchmarkError
from benchmark.diffusion.methods.base import Method

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.diffusion.denoiser import Denoiser, Estimate
    from benchmark.diffusion.operators import Operator
    from benchmark.diffusion.processes.base import Array, Process
    from benchmark.diffusion.question import Question
    from benchmark.diffusion.samplers import Sampler
    from benchmark.diffusion.samplers.base import Model, Noise


class Replacement(Method):
    """Puts what is given, noised to the level of the state, in its place before each evaluation.

    Song et al. 2021, appendix I.2 (inpainting) and I.3 (colourisation), here for any A: the state x
    becomes x + A⁺(α y + σ A ε - A x). What is not given follows the unconditional score of a state
    whose given part is right, which ignores that x_t already says how x_0 will be: the answers are
    biased, however many steps are taken. It needs a sampler that takes each step from the state of
    its estimate, and an exact y.
    """

    paper = "[Song et al. 2021](https://arxiv.org/abs/2011.13456), appendix I.2"
    kind: Literal["replacement"] = "replacement"

    def steer(
        self,
        model: Denoiser,
        process: Process,
        question: Question,
        timesteps: Array,
        noise: Noise,
    ) -> Model:
        """Return a model of B×C×H×W that replaces before it evaluates; see `Method.steer`."""

        def replaced(x: Tensor, t: float) -> Estimate:
            return model(replace(x, t, process, question, noise), t)

        return replaced

    def finish(self, x_0: Tensor, question: Question) -> Tensor:
        """Return the answers with exactly what is given, B×C×H×W."""
        return question.completed(x_0, question.y)

    def check(self, sampler: Sampler, operator: Operator, steps: int) -> None:
        """Refuse noise on what is given, and samplers whose steps start from more than a state."""
        super().check(sampler, operator, steps)
        if operator.noise:
            raise BenchmarkError(
                f"method: {self.kind} takes what is given as exact, and {operator.kind} has noise "
                f"{operator.noise:g}: choose pigdm or dps, or an operator with noise: 0"
            )
        if not self.suits(sampler):
            raise BenchmarkError(
                f"method: {self.kind} changes the state, and {sampler.kind} takes its steps from "
                f"more than that: choose a sampler of {', '.join(self._suitable())}, or the method "
                "pigdm or dps"
            )

    def suits(self, sampler: Sampler | type[Sampler]) -> bool:
        """Return whether it is defined for a sampler."""
        return sampler.takes_state

    def _suitable(self) -> list[str]:
        from benchmark.diffusion.samplers import SAMPLERS

        return [name for name, sampler in SAMPLERS.classes.items() if self.suits(sampler)]


def replace(x: Tensor, t: float, process: Process, question: Question, noise: Noise) -> Tensor:
    """Return a state with what is given in its place, B×C×H×W.

    Args:
        x: the state, B×C×H×W; it is not changed.
        t: its time.
        process: gives α and σ.
        question: what is given.
        noise: gives the next standard normal tensor shaped like x.
    """
    alpha, sigma = float(process.alpha(t)), float(process.sigma(t))
    given = alpha * question.y + sigma * question.operator.forward(noise())
    return question.completed(x, given)
