"""What all losses share: how times are drawn and how squared errors are weighed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import StrictModel
from benchmark.diffusion.processes.base import Prediction, Process, ends_in_noise

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from benchmark.diffusion.denoiser import Estimate

Space = Literal["eps", "x0", "v", "velocity"]  # in which squared errors are taken


class Levels(NamedTuple):
    """The noise of each image of a batch.

    Attributes:
        t: its time, B; in float64 where time is continuous.
        alpha: α(t), B, in float64.
        sigma: σ(t), B, in float64.
    """

    t: Tensor
    alpha: Tensor
    sigma: Tensor


class Example(NamedTuple):
    """Images with noise, and what is true of them.

    Attributes:
        x_t: α x_0 + σ ε, B×C×H×W.
        truth: x_0 and ε.
        levels: the noise of the images.
        directions: of a sliced loss a vector of -1 and 1 for each image, B×C×H×W.
    """

    x_t: Tensor
    truth: Estimate
    levels: Levels
    directions: Tensor | None = None


class Loss(StrictModel):
    """What a training minimises.

    Attributes:
        trains: what it is the loss of, in messages.
        families: the processes for which it can be chosen in place of their own loss.
        is_sliced: whether it wants random directions.
        is_adversarial: whether it is of a generator and its critic.
        differentiates_twice: whether its gradient takes second derivatives of a network.
    """

    trains: ClassVar[str]
    families: ClassVar[tuple[str, ...]] = ()
    is_sliced: ClassVar[bool] = False
    is_adversarial: ClassVar[bool] = False
    differentiates_twice: ClassVar[bool] = False
    kind: str

    @classmethod
    def is_defined_for(cls, process: Process) -> bool:
        """Return whether networks of a process can be trained by it."""
        own: bool = process.loss == cls.model_fields["kind"].default
        return own or process.family in cls.families

    def draw_times(self, process: Process, count: int, generator: torch.Generator) -> Tensor:
        """Draw times uniformly, shape (count,): integers, or float64 in continuous time."""
        import torch

        device = generator.device
        if process.length is not None:
            return torch.randint(process.length, (count,), generator=generator, device=device)
        even = torch.rand(count, generator=generator, device=device, dtype=torch.float64)
        return process.t_learnt + (process.t_max - process.t_learnt) * even

    def of_network(
        self,
        network: Callable[..., Any],
        model: Callable[[Tensor], Estimate],
        example: Example,
        process: Process,
        prediction: Prediction,
    ) -> Tensor:
        """Return the loss of a network at given times and noise, a scalar.

        Args:
            network: what is trained.
            model: evaluates the network once on x_t: B×C×H×W, at the times of the example.
            example: a batch.
            process: the process that is learnt.
            prediction: what the network's output means.
        """
        return self.of_model(model, example, process, prediction)

    def of_model(
        self,
        model: Callable[[Tensor], Estimate],
        example: Example,
        process: Process,
        prediction: Prediction,
    ) -> Tensor:
        """Return the loss of a network that is only evaluated, of shape (); see `of_network`."""
        raise NotImplementedError


class Regression(Loss):
    """E[w(t) ‖ŷ(x_t, t) - y‖²] with x_t = α(t) x_0 + σ(t) ε, where y is ε or what `space` says.

    A network that predicts something else than y is judged by the ŷ that follows from it, as
    ε̂ = -σ s from a score s. On a process that ends at α = 0, y is what the network predicts.
    """

    def of_model(
        self,
        model: Callable[[Tensor], Estimate],
        example: Example,
        process: Process,
        prediction: Prediction,
    ) -> Tensor:
        """Return the weighted error of one evaluation on x_t: B×C×H×W; see `Loss.of_model`."""
        estimate = model(example.x_t)
        space = self.space(process, prediction)
        difference = getattr(estimate, space) - getattr(example.truth, space)
        error: Tensor = difference.square().flatten(1)  # (B, CHW)
        weighed = self.weigh(error, space, process, example.levels)
        if estimate.variance is None:
            return weighed
        return weighed + self.of_variance(process, example.truth.x0, estimate, example.levels.t)

    def space(self, process: Process, prediction: Prediction) -> Space:
        """Return what y is for networks of this prediction."""
        return _space_of(prediction) if ends_in_noise(process) else "eps"

    @abstractmethod
    def weigh(self, error: Tensor, space: Space, process: Process, levels: Levels) -> Tensor:
        """Return the loss of a batch, a scalar.

        Args:
            error: (ŷ - y)² of each image and pixel, B×CHW.
            space: what y is.
            process: the process that is learnt.
            levels: the noise of the images.
        """

    def of_variance(self, process: Process, x_0: Tensor, estimate: Estimate, t: Tensor) -> Tensor:
        """Return what is added for the variances that a network predicts, a scalar.

        Args:
            process: the process that is learnt.
            x_0: images, B×C×H×W.
            estimate: of x_0 and of the variance, from x_t.
            t: the times of the images, B.

        Raises:
            BenchmarkError: the loss has nothing that trains them.
        """
        raise BenchmarkError(
            f"training: nothing of the loss {self.kind} trains the second half of the channels "
            "that this network makes: learned_variance on a discrete VP schedule would, or a "
            "network of as many channels as images have"
        )


def _space_of(prediction: Prediction) -> Space:
    """Return the prediction, or x_0 where that is what a network's output is a part of."""
    return prediction if prediction in ("eps", "v", "velocity") else "x0"
