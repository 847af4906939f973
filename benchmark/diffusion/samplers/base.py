"""What all samplers share: their signature, their registry and the plan of their steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from pydantic import Field, create_model

from benchmark.core.errors import BenchmarkError
from benchmark.core.registry import Options, Registry
from benchmark.diffusion.processes.base import Array, OnceSpacing, Process, Spacing
from benchmark.diffusion.timesteps import timesteps

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.diffusion.denoiser import Estimate

    # (x: B×C×H×W, t) -> estimate: a `Denoiser`, or anything that can be called like one
    Model: TypeAlias = Callable[[Tensor, float], Estimate]
    Noise: TypeAlias = Callable[[], Tensor]  # the next standard normal tensor, shaped like x_T
    Callback: TypeAlias = Callable[[int, float, Tensor, Tensor], None]  # (i, t, x_t, x̂_0)

# (model, process, x_T, timesteps, noise, callback=None, *, options) -> x_0
Sampler: TypeAlias = Callable[..., "Tensor"]

# What a sampler is defined for that names no families: these, and every process that is added.
FAMILIES = ("vp-discrete", "ve-discrete", "ve", "vp", "sub-vp")


class SamplerOptions(Options):
    """Options of a sampler, and the spacing of its times."""

    spacing: Spacing | None

    def keywords(self) -> dict[str, Any]:
        """Return the options as keyword arguments of the sampler, which is given the times."""
        return self.model_dump(exclude={"kind", "spacing"})


class _Times(NamedTuple):
    """At which times a sampler evaluates its network; see `Samplers.register`."""

    families: tuple[str, ...]
    spacing: Spacing | None
    drop_last: bool
    even_on_sdes: bool


class Samplers(Registry[Sampler]):
    """Samplers by name, each with the processes for which it is defined."""

    def __init__(self) -> None:
        super().__init__("sampler")
        self._times: dict[str, _Times] = {}

    def register(
        self,
        name: str,
        families: Iterable[str] = FAMILIES,
        spacing: Spacing | None = None,
        *,
        drop_last: bool = False,
        even_on_sdes: bool = False,
    ) -> Callable[[Sampler], Sampler]:
        """Register a sampler under `name`.

        Args:
            name: its name in a config.
            families: the processes for which it is defined.
            spacing: the spacing it has by default; None: the usual one of the process.
            drop_last: its last step starts before the first time; see `timesteps`.
            even_on_sdes: in continuous time it is defined for evenly spaced times alone.
        """
        self._times[name] = _Times(tuple(families), spacing, drop_last, even_on_sdes)
        return super().register(name)

    def families(self, name: str) -> tuple[str, ...]:
        """Return the families of processes for which `name` is defined."""
        self.get(name)
        return self._times[name].families

    def plan(self, name: str, process: Process, steps: int, spacing: Spacing | None) -> Array:
        """Return the times of `steps` steps of the sampler `name`.

        Raises:
            BenchmarkError: it is not defined for the process, or not with these times.
        """
        families = self.families(name)
        if families is not FAMILIES and process.family not in families:
            raise BenchmarkError(
                f"sampler: {name} is not defined for a {process.family} process: "
                f"it is for {', '.join(families)}"
            )
        spacing = spacing or process.spacings[0]
        times = self._times[name]
        if times.even_on_sdes and process.length is None and spacing != "linspace":
            raise BenchmarkError(
                f"spacing: {name} on a {process.family} process is not defined for {spacing}: "
                "choose linspace"
            )
        return timesteps(process, steps, spacing, times.drop_last)

    def options(self, name: str) -> type[Options]:
        """Return the pydantic model of the options of `name`, `spacing` among them."""
        own = super().options(name)
        default = self._times[name].spacing
        allowed: Any = Spacing if default == "repeat" else OnceSpacing
        spacing: Any = (allowed | None, Field(default=default))
        return create_model(own.__name__, __base__=(own, SamplerOptions), spacing=spacing)


SAMPLERS = Samplers()


def rows(*tables: Array) -> Iterator[tuple[float, ...]]:
    """Return the tables' entries of one step after the other, as Python floats.

    A float is a factor like any other to a tensor, whereas an entry of a tensor would be one more
    kernel on a GPU.
    """
    return zip(*(table.tolist() for table in tables), strict=True)


def blend(a: float, x: Tensor, b: float, y: Tensor) -> Tensor:
    """Return a x + b y, in one pass over memory less than the operators would take."""
    return (a * x).add_(y, alpha=b)


def plan(process: Process, sampler: Options, steps: int) -> Array:
    """Return the times, descending, at which a sampler evaluates its network first in each step.

    Raises:
        BenchmarkError: the sampler is not defined for the process, or not with that many steps.
    """
    assert isinstance(sampler, SamplerOptions)
    return SAMPLERS.plan(sampler.kind, process, steps, sampler.spacing)
