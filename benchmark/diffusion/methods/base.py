"""What all methods share: they steer any network, without training it again."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import StrictModel

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.diffusion.denoiser import Denoiser
    from benchmark.diffusion.operators import Operator
    from benchmark.diffusion.processes.base import Array, Process
    from benchmark.diffusion.question import Question
    from benchmark.diffusion.samplers import Sampler
    from benchmark.diffusion.samplers.base import Model, Noise


class Method(StrictModel):
    """The options of a method, as they stand in a config; `kind` is the method's name.

    Attributes:
        paper: the paper that defines it, in Markdown.
    """

    paper: ClassVar[str] = "–"
    kind: str

    @abstractmethod
    def steer(
        self,
        model: Denoiser,
        process: Process,
        question: Question,
        timesteps: Array,
        noise: Noise,
    ) -> Model:
        """Return a model that a sampler is given in place of the network.

        Its estimates are of images that answer the question. `evaluations` of the network counts
        its evaluations and, as one more each, gradients for its input, which cost about as much.

        Args:
            model: evaluates the network.
            process: gives α and σ.
            question: what is given of the images, in the range of the process.
            timesteps: N descending times, through which the sampler steps.
            noise: gives the next standard normal tensor shaped like x_T.
        """

    def finish(self, x_0: Tensor, question: Question) -> Tensor:
        """Return the answers, B×C×H×W, from what the sampler returns, of the same shape."""
        return x_0

    def check(self, sampler: Sampler, operator: Operator, steps: int) -> None:
        """Refuse a sampler, an operator or a number of steps for which it is not defined.

        Raises:
            BenchmarkError: one of them is; the message begins with the key.
        """
        if not sampler.takes_steps:
            raise BenchmarkError(
                f"sampler: {sampler.kind} makes an image at once, and {self.kind} leads the steps "
                "from noise to image: choose a sampler of steps, such as ddim"
            )
        if sampler.adaptive:
            raise BenchmarkError(
                f"sampler: {sampler.kind} solves each image by itself, and {self.kind} asks about "
                "a batch of them: choose one that takes the steps of the grid, such as ddim"
            )
