"""What all samplers share: their options, the times of their steps, and how a step is computed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar, TypeAlias

from pydantic import Field

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import StrictModel
from benchmark.diffusion.processes.base import Array, OnceSpacing, Process, Spacing
from benchmark.diffusion.timesteps import spacings_of
from benchmark.diffusion.timesteps import timesteps as space

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.diffusion.denoiser import Estimate

    # (x: B×C×H×W, t) -> estimate: a `Denoiser`, or anything that can be called like one
    Model: TypeAlias = Callable[[Tensor, float], Estimate]
    Noise: TypeAlias = Callable[[], Tensor]  # the next standard normal tensor, shaped like x_T
    Callback: TypeAlias = Callable[[int, float, Tensor, Tensor], None]  # (i, t, x_t, x̂_0)

SPACING = "How the times are spaced; null: as is usual for the process"
SpacingOption: TypeAlias = Annotated[OnceSpacing | None, Field(description=SPACING)]


class Sampler(StrictModel):
    """The options of a sampler, as they stand in a config; `kind` is the sampler's name.

    Attributes:
        paper: the paper that defines it, in Markdown.
        families: the processes for which it is defined; None: all that have a path from noise to
            image.
        usual_spacing: how its times are spaced if nothing is said, on processes that have this
            spacing; None: as is usual for the process.
        drop_last: whether its last step starts before the first time; see `timesteps`.
        even_on_sdes: whether in continuous time it is defined for evenly spaced times alone, where
            the process has them.
        divides_by_alpha: whether its formulas divide by α, so that it cannot start where α is 0.
        diffusers: the scheduler of diffusers that takes the same steps and has the same options.
        adaptive: whether it chooses its steps itself, for each image, to the tolerances `atol` and
            `rtol` that are among its options; then its evaluations depend on the network.
        takes_steps: whether it goes from noise to the image by steps; a generator does not.
        takes_state: whether each step starts from the state `x_t` of the estimate there, and from
            nothing earlier, so that a method can put another state into its place.
        stays_at_times: whether it evaluates the network more than once at a time.
    """

    paper: ClassVar[str] = "–"
    families: ClassVar[tuple[str, ...] | None] = None
    usual_spacing: ClassVar[OnceSpacing | None] = None
    drop_last: ClassVar[bool] = False
    even_on_sdes: ClassVar[bool] = False
    divides_by_alpha: ClassVar[bool] = False
    diffusers: ClassVar[str] = ""
    adaptive: ClassVar[bool] = False
    takes_steps: ClassVar[bool] = True
    takes_state: ClassVar[bool] = False
    stays_at_times: ClassVar[bool] = False
    kind: str
    spacing: SpacingOption = None

    @property
    def needs_variance(self) -> bool:
        """Tell whether its steps need the variance that a network predicts."""
        return False

    @property
    def unstated(self) -> set[str]:
        """Return the options at their defaults that mean something else where they are stated."""
        return set()

    @property
    def leaves_its_times(self) -> bool:
        """Tell whether it evaluates the network between its times too, in discrete time."""
        return False

    @abstractmethod
    def sample(
        self,
        model: Model,
        process: Process,
        x_T: Tensor,
        timesteps: Array,
        noise: Noise,
        callback: Callback | None = None,
    ) -> Tensor:
        """Return x_0: B×C×H×W in the range of the process; `process.decode` makes images of it.

        Args:
            model: evaluates the network once on x: B×C×H×W at time t.
            process: gives α and σ of the times.
            x_T: B×C×H×W, from `process.prior`; it is not changed.
            timesteps: N descending times, from `plan`; the clean image comes after the last.
            noise: gives the next standard normal tensor shaped like x_T.
            callback: called with (i, t, x_t, x̂_0) at each step.
        """

    @classmethod
    def is_defined_for(cls, process: Process) -> bool:
        """Return whether the sampler can be used on a process."""
        return process.has_path if cls.families is None else process.family in cls.families

    def spacing_on(self, process: Process) -> Spacing:
        """Return how the times of a process are spaced: as the config says, or else as is usual."""
        known = spacings_of(process)
        usual = self.usual_spacing if self.usual_spacing in known else None
        return self.spacing or usual or known[0]

    def plan(self, process: Process, steps: int) -> Array:
        """Return the times, (N) and descending, at which each step first evaluates the network.

        Raises:
            BenchmarkError: the sampler is not defined for the process, or not with these times.
        """
        if not self.is_defined_for(process):
            families = ", ".join(self.families or ["all with a path from noise to image"])
            raise BenchmarkError(
                f"sampler: {self.kind} is not defined for a {process.family} process: it is for "
                f"{families}"
            )
        spacing = self.spacing_on(process)
        is_even = spacing == "linspace" or "linspace" not in process.spacings
        if self.even_on_sdes and process.length is None and not is_even:
            raise BenchmarkError(
                f"spacing: {self.kind} on a {process.family} process is not defined for {spacing}: "
                "choose linspace"
            )
        times = space(process, steps, spacing, self.drop_last)
        if self.divides_by_alpha:
            check_signal(self.kind, process, times)
        return times


def check_signal(kind: str, process: Process, timesteps: Array) -> None:
    """Refuse to start a sampler that divides by α where α is 0.

    Args:
        kind: name of the sampler, and the option by which it divides by α.
        process: gives α.
        timesteps: descending times, of shape (N,).

    Raises:
        BenchmarkError: α is 0 at the first time; the message names samplers that can start there.
    """
    if process.alpha(timesteps[0]) == 0:
        raise BenchmarkError(
            f"sampler: {kind} divides by α, which is 0 at the first of its times, the last of the "
            "schedule: choose ddim, ddpm or dpm-solver++, or another spacing, which begins earlier"
        )


def of_rows(model: Model, rows: slice) -> Model:
    """Return a model of some images of a batch, for a sampler that takes them by themselves.

    What a model knows of each image, such as its class, follows: it then has a method `of_rows`.
    """
    part = getattr(model, "of_rows", None)
    return model if part is None else part(rows)


def rows(*tables: Array) -> Iterator[tuple[float, ...]]:
    """Return for each of N steps its entry of each table, of shape (N,), as Python floats.

    On a GPU, an entry of a tensor as a factor would take one more kernel than a float does.
    """
    return zip(*(table.tolist() for table in tables), strict=True)


def blend(a: float, x: Tensor, b: float, y: Tensor) -> Tensor:
    """Return a x + b y, B×C×H×W, with one pass over memory less than by operators."""
    return (a * x).add_(y, alpha=b)
