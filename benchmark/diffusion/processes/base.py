"""What all forward processes share: an image x_0 becomes noise x_t = α(t) x_0 + σ(t) ε.

To add a process, write a class below `Process` in a file of its own here, and a schedule that makes
it in `benchmark/diffusion/schedules/`. All else asks the process what it needs to know.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from torch import Tensor

Array: TypeAlias = NDArray[np.floating[Any]]
Prediction = Literal["eps", "x0", "v", "score", "velocity", "edm"]
Condition = Literal["time", "level", "sigma"]
OnceSpacing = Literal["leading", "linspace", "trailing", "karras"]  # every time at most once
Spacing = Literal[OnceSpacing, "repeat"]


class Process(ABC):
    """A linear Gaussian process, q(x_t | x_0) = N(α(t) x_0, σ(t)² I).

    Attributes:
        family: its name, by which samplers say for which processes they are defined.
        loss: the name of what a training minimises; its options are those of the training.
        spacings: the grids of times that make sense, the usual one first.
        prediction: what the networks of its paper predict.
        conditioned_on: what `condition` returns. `time`: a number that grows with the noise, such
            as one from 0 to about 1000; `level`: the index of a noise level, from 0 for the most
            noise; `sigma`: the standard deviation of the noise.
        clips: whether the sampler of its paper confines x_0 to the range of images.
        data_range: the range of pixel values in which σ is stated.
        has_path: whether there are states between noise and image; if not, there is one time, of
            noise alone, at which a network makes the image.
    """

    family: ClassVar[str]
    loss: ClassVar[str]
    spacings: ClassVar[tuple[Spacing, ...]]
    prediction: ClassVar[Prediction] = "eps"
    conditioned_on: ClassVar[Condition] = "time"
    clips: ClassVar[bool] = False
    data_range: tuple[float, float] = (-1.0, 1.0)
    has_path: ClassVar[bool] = True

    @property
    def length(self) -> int | None:
        """The number of its times; None in continuous time."""
        return None

    @property
    def sigma_data(self) -> float:
        """The standard deviation of pixels by which the prediction `edm` is scaled: of EDM's ½."""
        low, high = self.data_range
        return (high - low) / 4

    @property
    @abstractmethod
    def t_max(self) -> float:
        """The time of most noise at which a network is evaluated."""

    @property
    @abstractmethod
    def t_min(self) -> float:
        """The time of least noise at which a network is evaluated."""

    @property
    def t_learnt(self) -> float:
        """The time of least noise at which networks are trained; sampling may end before."""
        return self.t_min

    @abstractmethod
    def alpha(self, t: Any) -> Any:
        """Return the factor of the image, shaped like t."""

    @abstractmethod
    def sigma(self, t: Any) -> Any:
        """Return the standard deviation of the noise, shaped like t."""

    @abstractmethod
    def time_of(self, level: ArrayLike) -> Array:
        """Return the times, of the shape of `level`, at which σ/α equals it."""

    @abstractmethod
    def chain(self, timesteps: Array) -> tuple[Array, Array]:
        """Return (a, g) of the forward chain x_i = a_i x_{i+1} + g_i z over a descending grid.

        x_{i+1} is the less noisy state; after the last time it is the clean image. The times, a and
        g have the shape (N,).
        """

    @property
    def ode_mix(self) -> float:
        """The c of the coordinates x/(α + cσ) and σ/(α + cσ) of the ODE, see `ode.py`.

        It is 0, or 1 for a process that ends at α = 0, where σ/α is infinite.
        """
        return float(ends_in_noise(self))

    def snr(self, t: Any) -> Any:
        """Return the signal-to-noise ratio α²/σ²."""
        return (self.alpha(t) / self.sigma(t)) ** 2

    def spread(self, u: Array) -> Array:
        """Return the times that a sampler takes in place of evenly spaced ones, u of shape (N,)."""
        return u

    def input_scale(self, t: Any) -> Any:
        """Return the factor of x_t with which the network is given it, shaped like t."""
        return t * 0 + 1.0

    def condition(self, t: Any) -> Any:
        """Return what the network is told at time t, see `conditioned_on`; shaped like t."""
        return t

    def prior(self, noise: Tensor) -> Tensor:
        """Turn standard normal noise, B×…, into the state x_T at which samplers start."""
        return float(self.sigma(self.t_max)) * noise

    def encode(self, images: Tensor) -> Tensor:
        """Return images in [-1, 1], B×C×H×W, in the range of this process."""
        low, high = self.data_range
        return low + (high - low) / 2 * (images + 1)

    def decode(self, x: Tensor) -> Tensor:
        """Return states of this process, B×C×H×W, as images in [-1, 1]; the inverse of `encode`."""
        low, high = self.data_range
        return (x - low) * (2 / (high - low)) - 1


def ends_in_noise(process: Process) -> bool:
    """Return whether nothing of the image is left at the last time, α = 0."""
    return bool(process.alpha(process.t_max) == 0)


def check_prediction(prediction: Prediction, process: Process) -> None:
    """Refuse a network that cannot say at some time which image it believes in.

    Args:
        prediction: what its output means.
        process: whose times it is told.

    Raises:
        ValueError: it predicts the noise, of which no image follows where α = 0; or something else
            than the image where that is made at once.
    """
    if not process.has_path and prediction != "x0":
        raise ValueError(f"{prediction} is of a path of noise: a generator makes the image, x0")
    if prediction in ("eps", "score") and ends_in_noise(process):
        raise ValueError(
            f"{prediction} says nothing of the image at the last time of the schedule, where x_t "
            "is noise alone: v or x0 would"
        )


def exact_chain(process: Process, timesteps: Array) -> tuple[Array, Array]:
    """Return the factors and the standard deviations of q(x_i | x_{i+1}), each of shape (N,).

    They are exact for any linear process.

    Args:
        process: gives α and σ.
        timesteps: N descending times.
    """
    alpha, sigma = levels(process, timesteps)
    a = alpha[:-1] / alpha[1:]
    return a, np.sqrt(sigma[:-1] ** 2 - (a * sigma[1:]) ** 2)


def levels(process: Process, timesteps: Array, end: float | None = None) -> tuple[Array, Array]:
    """Return α and σ of N times and of the state after them, each of shape (N + 1,).

    Args:
        process: gives α and σ.
        timesteps: the N times.
        end: the time after them; None: the clean image, α = 1 and σ = 0.
    """
    times = timesteps if end is None else np.append(timesteps, end)
    alpha, sigma = process.alpha(times), process.sigma(times)
    return (np.append(alpha, 1.0), np.append(sigma, 0.0)) if end is None else (alpha, sigma)
