"""What all samplers share: their signature, their registry and the plan of their steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias, get_args

from pydantic import Field, create_model

from benchmark.diffusion.processes import Array, Family, OnceSpacing, Process, Spacing
from benchmark.diffusion.timesteps import timesteps
from benchmark.errors import BenchmarkError
from benchmark.registry import Options, Registry

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.diffusion.denoiser import Estimate

    # (x: B×C×H×W, t) -> estimate: a `Denoiser`, or anything that can be called like one
    Model: TypeAlias = Callable[[Tensor, float], Estimate]
    Noise: TypeAlias = Callable[[], Tensor]  # the next standard normal tensor, shaped like x_T
    Callback: TypeAlias = Callable[[int, float, Tensor, Tensor], None]  # (i, t, x_t, x̂_0)

# (model, process, x_T, timesteps, noise, callback=None, *, options) -> x_0
Sampler: TypeAlias = Callable[..., "Tensor"]

FAMILIES: tuple[Family, ...] = get_args(Family)


class SamplerOptions(Options):
    """Options of a sampler, and the spacing of its times."""

    spacing: Spacing | None

    def keywords(self) -> dict[str, Any]:
        """Return the options as keyword arguments of the sampler, which is given the times."""
        return self.model_dump(exclude={"kind", "spacing"})


class Samplers(Registry[Sampler]):
    """Samplers by name, each with the processes for which it is defined."""

    def __init__(self) -> None:
        super().__init__("sampler")
        self._families: dict[str, tuple[Family, ...]] = {}
        self._spacings: dict[str, Spacing | None] = {}

    def register(
        self, name: str, families: Iterable[Family] = FAMILIES, spacing: Spacing | None = None
    ) -> Callable[[Sampler], Sampler]:
        """Register a sampler under `name`.

        Args:
            name: its name in a config.
            families: the processes for which it is defined.
            spacing: the spacing it has by default; None: the usual one of the process.
        """
        self._families[name] = tuple(families)
        self._spacings[name] = spacing
        return super().register(name)

    def families(self, name: str) -> tuple[Family, ...]:
        """Return the families of processes for which `name` is defined."""
        self.get(name)
        return self._families[name]

    def options(self, name: str) -> type[Options]:
        """Return the pydantic model of the options of `name`, `spacing` among them."""
        own = super().options(name)
        default = self._spacings[name]
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
    families = SAMPLERS.families(sampler.kind)
    if process.family not in families:
        raise BenchmarkError(
            f"sampler: {sampler.kind} is not defined for a {process.family} process: "
            f"it is for {', '.join(families)}"
        )
    assert isinstance(sampler, SamplerOptions)
    return timesteps(process, steps, sampler.spacing)
