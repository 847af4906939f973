"""Which combinations of choices lead from one figure to a published one.

The figure of a combination is predicted: the differences of its options are added to the figure
of the baseline. The most promising combinations are then scored, since options may depend on each
other.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from benchmark.core.errors import BenchmarkError
from benchmark.core.values import Value
from benchmark.tools.choices.base import Option, Recipe
from benchmark.tools.why_figure import Figure, Groups

LARGEST = 3  # choices of a combination
SHOWN = 10  # combinations that are told
SCORED = 5  # combinations of several choices that are scored
NEAREST = 3  # combinations that are told where none leads to the published figure


@dataclass(frozen=True)
class Published:
    """A published figure.

    Attributes:
        value: the figure.
        rounding: by how much it may have been rounded: half a unit of its last digit.
    """

    value: float
    rounding: float

    @classmethod
    def parse(cls, text: str) -> Published:
        """Read a figure as it was printed, whose digits say how it was rounded.

        Raises:
            BenchmarkError: the text is no figure of a distance.
        """
        try:
            number = Decimal(text)
        except InvalidOperation:
            number = Decimal("NaN")
        if not number.is_finite() or number < 0:
            raise BenchmarkError(
                f"--published: {text!r} is no distance: give a number of at least 0, as 5.11"
            )
        exponent = number.as_tuple().exponent
        assert isinstance(exponent, int)
        return cls(float(number), 0.5 * 10.0**exponent)

    def is_in(self, value: Value) -> bool:
        """Return whether the interval of a value, widened by the rounding, holds the figure."""
        assert value.low is not None
        assert value.high is not None
        return value.low - self.rounding <= self.value <= value.high + self.rounding


@dataclass(frozen=True)
class Scored:
    """An option that was scored.

    Attributes:
        choice: name of its choice.
        option: the option.
        figure: its figure.
        value: that with its interval.
        moved: by how much it moves the figure of the baseline, with the paired interval.
    """

    choice: str
    option: Option
    figure: Figure
    value: Value
    moved: Value

    @property
    def is_told_apart(self) -> bool:
        """Whether the interval of the difference excludes 0."""
        assert self.moved.low is not None
        assert self.moved.high is not None
        return self.moved.low > 0 or self.moved.high < 0


@dataclass(frozen=True)
class Combination:
    """Options of different choices together.

    Attributes:
        options: the options; none: the baseline.
        value: the figure with its interval.
        is_scored: whether the figure was scored; if not, it is a sum of differences.
        reaches: whether its interval holds the published figure.
    """

    options: tuple[Scored, ...]
    value: Value
    is_scored: bool
    reaches: bool


def search(
    published: Published,
    baseline: Figure,
    scored: Sequence[Scored],
    groups: Groups,
    score: Callable[[Callable[[Recipe], Recipe]], Figure],
) -> list[Combination]:
    """Return the combinations that reach a published figure, else the nearest ones.

    A combination of which a part alone reaches the figure is left out, and so are options that
    cannot be told from no change. If none reaches it, differences may not add up: the nearest
    single option is then scored together with the largest option of each other choice, also with
    those that alone change nothing.

    Args:
        published: the published figure.
        baseline: the figure of the baseline.
        scored: the options.
        groups: groups of the jackknife.
        score: scores the baseline after a change.

    Returns:
        Those of fewest options first, and then the nearest to the published figure.
    """
    found = list(_predicted(published, baseline, scored, groups))
    near = [c for c in found if c.reaches] or sorted(found, key=_distance(published))[:NEAREST]
    several = [c for c in near if len(c.options) > 1][:SCORED]
    checked = [
        _checked(published, combination, groups, score) if combination in several else combination
        for combination in near[:SHOWN]
    ]
    if not any(c.reaches for c in checked):
        pairs = _pairs(published, baseline, found, scored, groups)
        known = {c.options for c in checked}
        checked += [_checked(published, c, groups, score) for c in pairs if c.options not in known]
    if not any(c.reaches for c in checked):
        return sorted(checked, key=_distance(published))[:NEAREST]
    return [c for c in checked if c.reaches]


def _pairs(
    published: Published,
    baseline: Figure,
    found: Sequence[Combination],
    scored: Sequence[Scored],
    groups: Groups,
) -> Iterator[Combination]:
    """Yield the nearest single option together with the largest one of each other choice."""
    single = min((c for c in found if len(c.options) == 1), key=_distance(published), default=None)
    if single is None:
        return
    [first] = single.options
    largest: dict[str, Scored] = {}
    for option in sorted(scored, key=lambda s: -abs(s.moved.value)):
        if option.option.is_comparable and option.choice != first.choice:
            largest.setdefault(option.choice, option)
    for option in largest.values():
        figure = first.figure + option.figure - baseline
        yield Combination((first, option), figure.to_value(groups), False, False)


def _predicted(
    published: Published, baseline: Figure, scored: Sequence[Scored], groups: Groups
) -> Iterator[Combination]:
    """Yield the sums of differences, the nearest of equally many options first."""
    usable = [s for s in scored if s.option.is_comparable and s.is_told_apart]
    reaching: list[set[int]] = []
    for number in range(LARGEST + 1):
        found = []
        for options in itertools.combinations(usable, number):
            names = {id(option) for option in options}
            if len({s.choice for s in options}) < number or any(r <= names for r in reaching):
                continue
            figure = baseline
            for option in options:
                figure += option.figure - baseline
            if figure.value < 0:
                continue
            value = figure.to_value(groups)
            reaches = published.is_in(value)
            found.append(Combination(options, value, number < 2, reaches))
        reaching += [{id(o) for o in c.options} for c in found if c.reaches]
        yield from sorted(found, key=_distance(published))


def _checked(
    published: Published,
    combination: Combination,
    groups: Groups,
    score: Callable[[Callable[[Recipe], Recipe]], Figure],
) -> Combination:
    """Return a combination with its scored figure; as it was, if that cannot be computed."""

    def change(recipe: Recipe) -> Recipe:
        for scored in combination.options:
            recipe = scored.option.change(recipe)
        return recipe

    try:
        value = score(change).to_value(groups)
    except BenchmarkError:
        return combination
    return Combination(combination.options, value, True, published.is_in(value))


def _distance(published: Published) -> Callable[[Combination], float]:
    return lambda combination: abs(combination.value.value - published.value)
