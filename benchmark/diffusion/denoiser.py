"""What a network predicts, and the ways to say the same."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, lru_cache, partial
from typing import Any, TypeAlias

import torch
from torch import Tensor

from benchmark.diffusion.guidance import ClassGradient
from benchmark.diffusion.processes.base import Prediction, Process

Scale: TypeAlias = float | Tensor  # a factor for the whole batch, or one an image: B×1×1×1


KNOWN_TIMES = 4096  # of which a denoiser keeps α and σ


class Estimate:
    """An estimate of image and noise in x_t = α x_0 + σ ε: B×C×H×W each, α and σ factors.

    Of x_0 and ε one may be None where x_t is given: it then follows when it is first asked for, so
    that a sampler pays for nothing that it does not use.

    Attributes:
        variance: where the variance of a step is between that of the posterior, -1, and that of the
            forward step, 1: B×C×H×W; None: the network does not predict it.
    """

    variance: Tensor | None = None

    def __init__(
        self,
        x0: Tensor | None,
        eps: Tensor | None,
        alpha: Scale,
        sigma: Scale,
        x_t: Tensor | None = None,
    ) -> None:
        self.alpha, self.sigma, self._x_t = alpha, sigma, x_t
        if x0 is not None:
            self.x0 = x0
        if eps is not None:
            self.eps = eps

    @property
    def x_t(self) -> Tensor:
        """The state of which this is the estimate, B×C×H×W: where a step starts that takes it.

        It is another than that of the sampler where a method has put one in its place.
        """
        assert self._x_t is not None
        return self._x_t

    @cached_property
    def x0(self) -> Tensor:
        """The image x_0, B×C×H×W."""
        return self._without(self.sigma, self.eps, self.alpha)

    @cached_property
    def eps(self) -> Tensor:
        """The noise ε, B×C×H×W."""
        return self._without(self.alpha, self.x0, self.sigma)

    @property
    def score(self) -> Tensor:
        """The score ∇ log q(x_t) = -ε/σ, B×C×H×W: Song and Ermon 2019, section 4.2."""
        return (-1 / self.sigma) * self.eps

    @property
    def v(self) -> Tensor:
        """The angular velocity v = α ε - σ x_0, B×C×H×W: Salimans and Ho 2022, section 4."""
        return self.alpha * self.eps - self.sigma * self.x0

    @property
    def velocity(self) -> Tensor:
        """The velocity ε - x_0 of a straight path, B×C×H×W: Liu et al. 2023, equation 1."""
        return self.eps - self.x0

    def with_x0(self, x0: Tensor) -> Estimate:
        """Return the same with another image x_0, B×C×H×W, and the noise that follows from it."""
        moved = Estimate(x0, None, self.alpha, self.sigma, self.x_t)
        moved.variance = self.variance
        return moved

    def _without(self, b: Scale, part: Tensor, a: Scale) -> Tensor:
        """Return (x_t - b part) / a."""
        assert self._x_t is not None
        if isinstance(a, Tensor) or isinstance(b, Tensor):
            return (self._x_t - b * part) / a
        return self._x_t.sub(part, alpha=b).div_(a)


class Denoiser:
    """A network that, whatever it predicts, maps a noisy image and its time to an estimate.

    Args:
        network: predicts from (x: B×C×H×W, condition: B): a module, or anything that can be called
            like one. It must not change the condition, which is one number in memory. If one call
            evaluates it several times, its attribute `passes` says how often.
        process: gives α, σ and the condition of a time.
        prediction: what the network's output means; None: what networks of the process predict.
        clip: confine x_0 to the range of the data, and let ε follow from it.

    Attributes:
        evaluations: number of evaluations so far; a call on B images counts B times.
        towards: the gradient of a classifier that is added to the score; None: nothing is.
    """

    def __init__(
        self,
        network: Callable[[Tensor, Tensor], Any],
        process: Process,
        prediction: Prediction | None = None,
        clip: bool = False,
    ) -> None:
        self.network = network
        self.process = process
        self.prediction = prediction or process.prediction
        self.clip = clip
        self.evaluations = 0
        self.towards: ClassGradient | None = None
        self._scales = lru_cache(KNOWN_TIMES)(self._scales_of)

    def __call__(self, x: Tensor, t: float) -> Estimate:
        """Evaluate the network once on x: B×C×H×W, all at time t."""
        return self._evaluate(self.network, self.towards, x, t)

    def of_rows(self, rows: slice) -> Callable[[Tensor, float], Estimate]:
        """Return the same for n images of the batch, n×C×H×W, whose evaluations count here."""
        part = getattr(self.network, "of_rows", None)
        network = self.network if part is None else part(rows)
        towards = None if self.towards is None else self.towards.of_rows(rows)
        return partial(self._evaluate, network, towards)

    def _evaluate(
        self,
        network: Callable[[Tensor, Tensor], Any],
        towards: ClassGradient | None,
        x: Tensor,
        t: float,
    ) -> Estimate:
        process = self.process
        alpha, sigma, condition, scale = self._scales(t)
        # A view of one number, so that a network can see that all images have the same time.
        conditions = torch.full((1,), condition, device=x.device).expand(len(x))
        output = network(x if scale == 1 else scale * x, conditions)
        output = output.to(x.dtype)  # of half precision under autocast
        self.evaluations += len(x) * getattr(network, "passes", 1)
        estimate = estimate_from(self.prediction, output, x, alpha, sigma, process.sigma_data)
        if towards is not None and alpha:  # else x_t says nothing of the class
            gradient = towards(x, scale, conditions)
            self.evaluations += len(x) * towards.passes
            # By Tweedie's formula x_0 follows the score by σ²/α.
            estimate = estimate.with_x0(estimate.x0 + sigma**2 / alpha * gradient)
        if self.clip:
            estimate = estimate.with_x0(estimate.x0.clamp(*process.data_range))
        return estimate

    def _scales_of(self, t: float) -> tuple[float, float, Any, float]:
        """Return α, σ, the condition and the input's factor of a time, as Python numbers."""
        process = self.process
        alpha, sigma = float(process.alpha(t)), float(process.sigma(t))
        return alpha, sigma, process.condition(t), float(process.input_scale(t))


def estimate_from(
    prediction: Prediction,
    output: Tensor,
    x: Tensor,
    alpha: Scale,
    sigma: Scale,
    sigma_data: float = 0.5,
) -> Estimate:
    """Return the estimate that follows from the output of a network.

    It follows from x_t = α x_0 + σ ε. For v, α² + σ² need not be 1; for v, the velocity and EDM's
    prediction, α may be 0. EDM's is F of x_0 = c_skip x_t + c_out F, Karras et al. 2022, equation 7
    and table 1, here of x_t/α and σ/α. An output of twice the channels of x predicts the variance
    too.

    Args:
        prediction: the part of the estimate that the network predicts.
        output: the output of the network, B×C×H×W or B×2C×H×W.
        x: the noisy images x_t, B×C×H×W.
        alpha: the factor α of the image: a number, or B×1×1×1.
        sigma: the standard deviation σ of the noise, likewise.
        sigma_data: the standard deviation of pixels, which EDM's prediction alone needs.
    """
    if output.shape[1] == 2 * x.shape[1]:
        output, variance = output.chunk(2, dim=1)
        estimate = estimate_from(prediction, output, x, alpha, sigma, sigma_data)
        estimate.variance = variance
        return estimate
    if prediction == "edm":
        total = sigma**2 + (sigma_data * alpha) ** 2
        image = (sigma_data**2 * alpha / total) * x
        image = image + (sigma * sigma_data / total**0.5) * output
        return Estimate(image, None, alpha, sigma, x)
    if prediction == "x0":
        return Estimate(output, None, alpha, sigma, x)
    if prediction == "velocity":
        image = (x - sigma * output) / (alpha + sigma)
        return Estimate(image, image + output, alpha, sigma, x)
    if prediction == "v":
        norm = alpha**2 + sigma**2
        eps = (sigma * x + alpha * output) / norm
        if isinstance(alpha, Tensor) or alpha == 0:  # x_0 does not follow from ε where α is 0
            return Estimate((alpha * x - sigma * output) / norm, eps, alpha, sigma, x)
    elif prediction == "score":
        eps = -sigma * output
    else:
        eps = output
    return Estimate(None, eps, alpha, sigma, x)
