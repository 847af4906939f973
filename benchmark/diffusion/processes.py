"""Forward processes: how an image x_0 becomes noise x_t = α(t) x_0 + σ(t) ε.

α and σ are NumPy arrays in float64. Formulas of the continuous processes are written with operators
alone, so that t may be a float, a NumPy array or a tensor.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from torch import Tensor

Array: TypeAlias = NDArray[np.floating[Any]]
Family = Literal["vp-discrete", "ve-discrete", "ve", "vp", "sub-vp"]
Prediction = Literal["eps", "x0", "v", "score"]
OnceSpacing = Literal["leading", "linspace", "trailing", "karras"]  # every time at most once
Spacing = Literal[OnceSpacing, "repeat"]


class Process(ABC):
    """A linear Gaussian process, q(x_t | x_0) = N(α(t) x_0, σ(t)² I).

    Attributes:
        family: what samplers are asked about.
        spacings: the grids of times that make sense, the usual one first.
        prediction: what the networks of its paper predict.
        clips: whether the sampler of its paper confines x_0 to the range of images.
        data_range: the range of pixel values in which σ is stated.
    """

    family: ClassVar[Family]
    spacings: ClassVar[tuple[Spacing, ...]]
    prediction: ClassVar[Prediction] = "eps"
    clips: ClassVar[bool] = False
    data_range: tuple[float, float] = (-1.0, 1.0)

    @property
    def length(self) -> int | None:
        """The number of its times; None in continuous time."""
        return None

    @property
    @abstractmethod
    def t_max(self) -> float:
        """The time of most noise at which a network is evaluated."""

    @property
    @abstractmethod
    def t_min(self) -> float:
        """The time of least noise at which a network is evaluated."""

    @abstractmethod
    def alpha(self, t: Any) -> Any:
        """Return the factor of the image, shaped like t."""

    @abstractmethod
    def sigma(self, t: Any) -> Any:
        """Return the standard deviation of the noise, shaped like t."""

    @abstractmethod
    def time_of(self, level: ArrayLike) -> Array:
        """Return the times at which σ/α equals `level`."""

    @abstractmethod
    def chain(self, timesteps: Array) -> tuple[Array, Array]:
        """Return (a, g) of the forward chain x_i = a_i x_{i+1} + g_i z over a descending grid.

        x_{i+1} is the less noisy state; after the last time it is the clean image.
        """

    def snr(self, t: Any) -> Any:
        """Return the signal-to-noise ratio α²/σ²."""
        return (self.alpha(t) / self.sigma(t)) ** 2

    def condition(self, t: Any) -> Any:
        """Return what the network is told at time t."""
        return t

    def prior(self, noise: Tensor) -> Tensor:
        """Turn standard normal noise, B×…, into the state x_T at which samplers start."""
        return float(self.sigma(self.t_max)) * noise

    def encode(self, images: Tensor) -> Tensor:
        """Map images in [-1, 1] to the range of this process."""
        low, high = self.data_range
        return low + (high - low) / 2 * (images + 1)

    def decode(self, x: Tensor) -> Tensor:
        """Map states of this process to images in [-1, 1]; the inverse of `encode`."""
        low, high = self.data_range
        return (x - low) * (2 / (high - low)) - 1


@dataclass(frozen=True, eq=False)
class DiscreteVP(Process):
    """The variance-preserving Markov chain of Ho et al. 2020, equations 2 and 4.

    Between the T times, log SNR is interpolated linearly, so that a network that takes fractional
    times can be evaluated at any noise level.

    Args:
        alpha_bar: ᾱ_t for t = 0 … T-1, falling, within (0, 1).
    """

    family: ClassVar[Family] = "vp-discrete"
    spacings = ("leading", "linspace", "trailing", "karras")
    clips = True
    alpha_bar: Array

    @property
    def length(self) -> int:
        """The number of times, T."""
        return len(self.alpha_bar)

    @property
    def t_max(self) -> float:
        """The last of the T times."""
        return self.length - 1

    @property
    def t_min(self) -> float:
        """The first of the T times."""
        return 0

    @cached_property
    def _log_level(self) -> Array:
        return 0.5 * (np.log1p(-self.alpha_bar) - np.log(self.alpha_bar))

    def _level(self, t: ArrayLike) -> Array:
        return np.asarray(np.exp(np.interp(np.asarray(t), np.arange(self.length), self._log_level)))

    def alpha(self, t: ArrayLike) -> Array:
        """Return √ᾱ_t."""
        return np.asarray((1 + self._level(t) ** 2) ** -0.5)

    def sigma(self, t: ArrayLike) -> Array:
        """Return √(1 - ᾱ_t)."""
        return np.asarray((1 + self._level(t) ** -2) ** -0.5)

    def time_of(self, level: ArrayLike) -> Array:
        """Return the fractional times at which σ/α equals `level`."""
        return np.asarray(
            np.interp(np.log(np.asarray(level)), self._log_level, np.arange(self.length))
        )

    def chain(self, timesteps: Array) -> tuple[Array, Array]:
        """Return the exact transitions, √(1-β) and √β where all T times are visited."""
        return exact_chain(self, timesteps)

    def prior(self, noise: Tensor) -> Tensor:
        """Return the noise as it is: the chain ends at N(0, I)."""
        return noise


@dataclass(frozen=True, eq=False)
class DiscreteVE(Process):
    """Noise levels of an NCSN, Song and Ermon 2019, section 4.1: x_t = x_0 + σ_t ε.

    Args:
        sigmas: σ_t for t = 0 … L-1, rising.
    """

    family: ClassVar[Family] = "ve-discrete"
    spacings = ("linspace", "repeat")
    prediction = "score"
    sigmas: Array
    data_range: tuple[float, float] = (0.0, 1.0)

    @property
    def length(self) -> int:
        """The number of levels, L."""
        return len(self.sigmas)

    @property
    def t_max(self) -> float:
        """The index of the largest level."""
        return self.length - 1

    @property
    def t_min(self) -> float:
        """The index of the smallest level."""
        return 0

    def alpha(self, t: ArrayLike) -> Array:
        """Return ones: the image is kept as it is."""
        return np.ones(np.shape(t))

    def sigma(self, t: ArrayLike) -> Array:
        """Return σ_t of integer times."""
        return np.asarray(self.sigmas[np.asarray(t, dtype=np.int64)])

    def time_of(self, level: ArrayLike) -> Array:
        """Return the times of the nearest levels, as the network knows no others."""
        distance = np.abs(np.log(self.sigmas) - np.log(np.asarray(level))[..., None])
        return np.asarray(distance.argmin(axis=-1), dtype=np.float64)

    def chain(self, timesteps: Array) -> tuple[Array, Array]:
        """Return ones and √(σ_i² - σ_{i+1}²), Song et al. 2021, equation 8."""
        return exact_chain(self, timesteps)

    def condition(self, t: Any) -> Any:
        """Return the level's index as NCSN counts: from 0 for the largest noise."""
        return self.length - 1 - (int(t) if isinstance(t, float) else t)

    def prior(self, noise: Tensor) -> Tensor:
        """Return the largest noise around the middle of the data range."""
        low, high = self.data_range
        return (low + high) / 2 + float(self.sigmas[-1]) * noise


class SDE(Process):
    """A process in continuous time t ∈ (0, 1], dx = f(t) x dt + g(t) dw, Song et al. 2021."""

    spacings = ("linspace", "karras")
    t_end: float

    @property
    def t_max(self) -> float:
        """The end of the forward process."""
        return 1.0

    @property
    def t_min(self) -> float:
        """The time at which sampling ends, as the score grows without bound towards 0."""
        return self.t_end

    @abstractmethod
    def drift(self, t: Any) -> Any:
        """Return f(t), the factor of x in the drift."""

    @abstractmethod
    def diffusion(self, t: Any) -> Any:
        """Return g(t)."""


@dataclass(frozen=True, eq=False)
class VE(SDE):
    """The variance-exploding SDE, Song et al. 2021, equations 9 and 30."""

    family: ClassVar[Family] = "ve"
    prediction = "score"
    sigma_min: float
    sigma_max: float
    t_end: float = 1e-5
    data_range: tuple[float, float] = (0.0, 1.0)

    @property
    def _ratio(self) -> float:
        return self.sigma_max / self.sigma_min

    def alpha(self, t: Any) -> Any:
        """Return ones: the image is kept as it is."""
        return t * 0 + 1.0

    def sigma(self, t: Any) -> Any:
        """Return σ_min (σ_max/σ_min)^t."""
        return self.sigma_min * self._ratio**t

    def time_of(self, level: ArrayLike) -> Array:
        """Return the times at which σ equals `level`."""
        return np.asarray(np.log(np.asarray(level) / self.sigma_min) / math.log(self._ratio))

    def drift(self, t: Any) -> Any:
        """Return zeros."""
        return t * 0.0

    def diffusion(self, t: Any) -> Any:
        """Return σ(t) √(2 log σ_max/σ_min)."""
        return self.sigma(t) * math.sqrt(2 * math.log(self._ratio))

    def chain(self, timesteps: Array) -> tuple[Array, Array]:
        """Return ones and √(σ_i² - σ_{i+1}²) of N geometric levels, equation 8.

        The levels are those of the SMLD chain with as many steps as there are times, which the
        times, ending at `t_end` and not at 0, follow to a relative 1e-4.
        """
        sigma = self.sigma(np.linspace(1.0, 0.0, len(timesteps)))
        return np.ones(len(timesteps)), np.sqrt(sigma**2 - np.append(sigma[1:], 0.0) ** 2)

    def condition(self, t: Any) -> Any:
        """Return σ(t), which NCSN++ embeds."""
        return self.sigma(t)


@dataclass(frozen=True, eq=False)
class VP(SDE):
    """The variance-preserving SDE, Song et al. 2021, equations 11 and 32, β(t) linear."""

    family: ClassVar[Family] = "vp"
    beta_min: float
    beta_max: float
    t_end: float = 1e-3

    def beta(self, t: Any) -> Any:
        """Return β(t)."""
        return self.beta_min + (self.beta_max - self.beta_min) * t

    def _integral(self, t: Any) -> Any:
        return self.beta_min * t + 0.5 * (self.beta_max - self.beta_min) * t**2

    def _time_of_integral(self, integral: Array) -> Array:
        rise = self.beta_max - self.beta_min
        root = np.sqrt(self.beta_min**2 + 2 * rise * integral)
        return np.asarray(2 * integral / (self.beta_min + root))

    def alpha(self, t: Any) -> Any:
        """Return exp(-½ ∫β)."""
        return math.exp(-0.5) ** self._integral(t)

    def sigma(self, t: Any) -> Any:
        """Return √(1 - exp(-∫β))."""
        return (1 - math.exp(-1) ** self._integral(t)) ** 0.5

    def time_of(self, level: ArrayLike) -> Array:
        """Return the times at which σ/α equals `level`."""
        return self._time_of_integral(np.log1p(np.square(level)))

    def drift(self, t: Any) -> Any:
        """Return -½ β(t)."""
        return -0.5 * self.beta(t)

    def diffusion(self, t: Any) -> Any:
        """Return √β(t)."""
        return self.beta(t) ** 0.5

    def chain(self, timesteps: Array) -> tuple[Array, Array]:
        """Return √(1-β_i) and √β_i with β_i = β(t)/N on N even times, equation 10 and appendix C.

        With fewer steps than β_max, β_i is confined to 0.999, as in the cosine schedule.
        """
        N = len(timesteps)
        beta = np.minimum(self.beta(np.linspace(1.0, 0.0, N)) / N, 0.999)
        return np.sqrt(1 - beta), np.sqrt(beta)

    def condition(self, t: Any) -> Any:
        """Return 999 t, as the networks of a VP SDE embed times on the scale of 1000 steps."""
        return 999.0 * t

    def prior(self, noise: Tensor) -> Tensor:
        """Return the noise as it is: the SDE ends at N(0, I)."""
        return noise


@dataclass(frozen=True, eq=False)
class SubVP(VP):
    """The sub-VP SDE, Song et al. 2021, equations 12 and 29."""

    family: ClassVar[Family] = "sub-vp"

    def sigma(self, t: Any) -> Any:
        """Return 1 - exp(-∫β)."""
        return 1 - math.exp(-1) ** self._integral(t)

    def time_of(self, level: ArrayLike) -> Array:
        """Return the times at which σ/α = 2 sinh(½ ∫β) equals `level`."""
        return self._time_of_integral(2 * np.arcsinh(np.asarray(level) / 2))

    def diffusion(self, t: Any) -> Any:
        """Return √(β(t) (1 - exp(-2 ∫β)))."""
        return (self.beta(t) * (1 - math.exp(-2) ** self._integral(t))) ** 0.5

    def chain(self, timesteps: Array) -> tuple[Array, Array]:
        """Return 1 - ½ β(t)/N and g(t)/√N: Euler's discretisation, as in the authors' code."""
        N = len(timesteps)
        return 1 + self.drift(timesteps) / N, self.diffusion(timesteps) / math.sqrt(N)


def exact_chain(process: Process, timesteps: Array) -> tuple[Array, Array]:
    """Return factor and standard deviation of q(x_i | x_{i+1}), exact for any linear process."""
    alpha, sigma = levels(process, timesteps)
    a = alpha[:-1] / alpha[1:]
    return a, np.sqrt(sigma[:-1] ** 2 - (a * sigma[1:]) ** 2)


def levels(process: Process, timesteps: Array, end: float | None = None) -> tuple[Array, Array]:
    """Return α and σ of the N times and of what comes after them: N+1 values each.

    Args:
        process: gives α and σ.
        timesteps: the N times.
        end: the time after them; None: the clean image, α = 1 and σ = 0.
    """
    times = timesteps if end is None else np.append(timesteps, end)
    alpha, sigma = process.alpha(times), process.sigma(times)
    return (np.append(alpha, 1.0), np.append(sigma, 0.0)) if end is None else (alpha, sigma)
