"""Charts of the report page: records in, coordinates out. The template draws them as SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from benchmark.core.values import Value
from benchmark.records.record import Cell, Record
from benchmark.records.rows import Row, comparable, name_of, rank_of
from benchmark.report.formats import BUSY, significant
from benchmark.report.pareto import pareto
from benchmark.report.verdict_tables import interval

WIDTH, HEIGHT = 480, 330  # of a chart, in its own units
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 12, 26  # of the frame around the plane
_WIDE = 4  # an axis that spans more than this factor is logarithmic
POINTS = 200  # of a curve at most


@dataclass(frozen=True)
class Axis:
    """An axis: maps numbers to places, and names some of them.

    Attributes:
        label: what it shows, with its unit.
        low: smallest number.
        high: largest number.
        start: place of the smallest number.
        stop: place of the largest number.
        log: whether places go by the logarithm.
    """

    label: str
    low: float
    high: float
    start: float
    stop: float
    log: bool

    def at(self, number: float) -> float:
        """Return the place of a number; what lies outside is moved to the end."""
        scale = math.log if self.log else float
        inside = min(max(number, self.low), self.high)
        share = (scale(inside) - scale(self.low)) / (scale(self.high) - scale(self.low))
        return round(self.start + share * (self.stop - self.start), 2)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """The places of round numbers, with the numbers."""
        numbers = _log_ticks(self.low, self.high) if self.log else _ticks(self.low, self.high)
        return [(self.at(number), f"{number:,.10g}") for number in numbers]


@dataclass(frozen=True)
class _Point:
    """A cell in the plane.

    Attributes:
        x: place.
        y: place.
        low: place of the lower end of its distance's interval.
        high: place of the upper end.
        left: place of the lower end of its cost's interval.
        right: place of the upper end.
        series: number of its colour and marker.
        hollow: whether its weights came ready.
        front: whether no other is better in both.
        busy: whether its cost is a time that was taken on a busy machine.
        name: what it is called.
        lines: what hovering shows.
    """

    x: float
    y: float
    low: float
    high: float
    left: float
    right: float
    series: int
    hollow: bool
    front: bool
    busy: bool
    name: str
    lines: list[str]


@dataclass(frozen=True)
class Scatter:
    """Cells in the plane of a cost and the distance."""

    id: str
    title: str
    text: str
    x: Axis
    y: Axis
    points: list[_Point]
    legend: list[tuple[int, str]]

    @property
    def best(self) -> list[str]:
        """The names of the points that no other beats, the cheapest first."""
        return [p.name for p in sorted(self.points, key=lambda p: p.x) if p.front]

    @property
    def busy(self) -> bool:
        """Whether a time was taken on a busy machine."""
        return any(point.busy for point in self.points)

    @property
    def front(self) -> str:
        """The line through the points that no other beats, as an SVG path; empty: there are none.

        A time that was taken on a busy machine beats none.
        """
        corners = sorted((point.x, point.y) for point in self.points if point.front)
        return "M" + "L".join(f"{x},{y}" for x, y in corners) if corners else ""


@dataclass(frozen=True)
class _Curve:
    """A curve: its name, colour, path, and the numbers behind it."""

    name: str
    series: int
    path: str
    x: list[float]
    y: list[float]
    places: list[tuple[float, float]]


@dataclass(frozen=True)
class Lines:
    """Curves over one axis."""

    id: str
    title: str
    text: str
    x: Axis
    y: Axis
    curves: list[_Curve]


@dataclass(frozen=True)
class ChartBar:
    """A bar with its share of the longest one in percent, and the text of its amount."""

    name: str
    share: float
    text: str
    series: int


def trade_offs(rows: Iterable[Row]) -> list[Scatter]:
    """Return distance against time and against evaluations, for all that can be compared."""
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        if row.cell and row.distances and row.sample and row.sample.timing:
            groups.setdefault((comparable(row), row.cell.resolution), []).append(row)
    return [
        scatter
        for number, group in enumerate(groups.values())
        for scatter in (
            _scatter(f"time-{number}", group, _seconds, "sampling time, seconds an image"),
            _scatter(f"evaluations-{number}", group, _evaluations, "network evaluations an image"),
        )
        if scatter
    ]


def losses(records: Iterable[Record]) -> Lines | None:
    """Return the loss of every training, as a moving mean."""
    trained = [(r.id, smooth(r.curve.steps, r.curve.loss)) for r in records if r.curve]
    if not trained:
        return None
    steps = [x for _, (xs, _) in trained for x in xs]
    loss = [y for _, (_, ys) in trained for y in ys]
    x = Axis("optimiser step", 0, max(steps), LEFT, WIDTH - RIGHT, log=False)
    y = Axis("loss (moving mean)", *_span(loss, log=True), HEIGHT - BOTTOM, TOP, log=True)
    curves = []
    for number, (name, (xs, ys)) in enumerate(trained):
        places = [(x.at(a), y.at(b)) for a, b in zip(xs, ys, strict=True)]
        path = "M" + "L".join(f"{a},{b}" for a, b in places)
        curves.append(_Curve(name, number, path, xs, [float(f"{v:.4g}") for v in ys], places))
    text = f"Loss of {len(curves)} trainings against the step, on a logarithmic axis."
    return Lines("loss", "Training loss", text, x, y, curves)


def bars(named: Sequence[tuple[str, Value, bool, int]]) -> list[ChartBar]:
    """Return bars: name, seconds, whether the machine was busy, number of the colour."""
    longest = max((seconds.value for _, seconds, _, _ in named), default=1.0)
    return [
        ChartBar(name, round(100 * seconds.value / longest, 2), seconds_text(seconds, busy), series)
        for name, seconds, busy, series in named
    ]


def seconds_text(seconds: Value, busy: bool) -> str:
    """Return seconds with their interval, and a mark where the machine was busy."""
    known = seconds.low is not None and seconds.high is not None
    text = interval(seconds) if known else significant(seconds.value)
    return f"{text} s{f' {BUSY}' if busy else ''}"


def smooth(steps: Sequence[int], loss: Sequence[float]) -> tuple[list[float], list[float]]:
    """Return the moving mean over a twentieth of a curve, at no more than POINTS steps."""
    half, stride = len(loss) // 40, -(-len(loss) // POINTS)
    chosen = range(0, len(loss), stride)
    windows = [loss[max(0, i - half) : i + half + 1] for i in chosen]
    return [float(steps[i]) for i in chosen], [math.fsum(w) / len(w) for w in windows]


def title_of(cell: Cell) -> str:
    """Name a cell and say where its weights are from."""
    return name_of(cell) + {"pretrained": ", pretrained", "elsewhere": ", made elsewhere"}.get(
        cell.weights, ""
    )


def _scatter(name: str, rows: Sequence[Row], cost: _Cost, label: str) -> Scatter | None:
    sizes = set.intersection(*(set(row.distances) for row in rows))
    if not sizes:
        return None
    n = max(sizes)
    measured = [(cost(row), row.distances[n], row) for row in rows]
    busy = {id(row) for row in rows if row.busy and cost is _seconds}
    best = pareto([(c.value, v.value) for c, v, row in measured if id(row) not in busy])
    x, y = _axes(measured, label, n)
    points = [
        _point(x, y, c, v, row, id(row) in busy, (c.value, v.value) in best)
        for c, v, row in measured
    ]
    cells = [row.cell for row in rows if row.cell]
    legend = dict.fromkeys((rank_of(cell), cell.family) for cell in cells)
    data = f"{cells[0].dataset} at {cells[0].resolution}×{cells[0].resolution}"
    title = f"{y.label.split()[0]} against {name.split('-')[0]}, {data}"
    text = f"{y.label} against {label}: one mark for each cell, with its 95 % interval."
    return Scatter(name, title, text, x, y, points, sorted(legend))


_Cost = Callable[[Row], Value]


def _point(
    x: Axis, y: Axis, cost: Value, value: Value, row: Row, busy: bool, front: bool
) -> _Point:
    assert row.cell
    ready = row.cell.weights == "pretrained"
    known = value.low is not None and value.high is not None
    (low, high), (left, right) = _ends(value), _ends(cost)
    seconds = seconds_text(_seconds(row), bool(row.busy))
    lines = [
        f"distance {interval(value) if known else significant(value.value)}",
        f"{seconds} an image, {significant(_evaluations(row).value)} evaluations",
        *([f"{BUSY} machine was busy: {row.busy}"] if row.busy else []),
    ]
    places = x.at(cost.value), y.at(value.value), y.at(low), y.at(high), x.at(left), x.at(right)
    front = front and not busy  # another cell may stand at its very place
    return _Point(*places, rank_of(row.cell), ready, front, busy, title_of(row.cell), lines)


def _ends(value: Value) -> tuple[float, float]:
    return value.low or value.value, value.high or value.value


def _axes(measured: Sequence[tuple[Value, Value, Row]], label: str, n: int) -> tuple[Axis, Axis]:
    values = [value.value for _, value, _ in measured]
    log = max(values) > _WIDE * min(values) > 0
    ends = [end for _, v, _ in measured for end in (v.low, v.high) if end and end > min(values) / 3]
    row = measured[0][2]
    name = row.protocol.label if row.protocol else "distance"
    costs = [end for cost, _, _ in measured for end in _ends(cost)]
    return (
        Axis(label, *_span(costs, log=True), LEFT, WIDTH - RIGHT, log=True),
        Axis(
            f"{name} of {n} images (lower is better)",
            *(
                _span([*values, *ends], log=True)
                if log
                else _span([*values, *ends, 0.0], log=False)
            ),
            HEIGHT - BOTTOM,
            TOP,
            log=log,
        ),
    )


def _seconds(row: Row) -> Value:
    assert row.seconds
    return row.seconds


def _evaluations(row: Row) -> Value:
    assert row.sample
    assert row.sample.timing
    return Value(value=row.sample.timing.network_evaluations)


def _span(numbers: Sequence[float], *, log: bool) -> tuple[float, float]:
    """Return an interval a little larger than that of the numbers."""
    low, high = min(numbers), max(numbers)
    if log:
        margin = max(1.15, (high / low) ** 0.08)
        return low / margin, high * margin
    return low, high + 0.08 * (high - low or 1)


def _ticks(low: float, high: float) -> list[float]:
    """Return some five round numbers."""
    rough = (high - low) / 5
    unit = 10 ** math.floor(math.log10(rough))
    step = next(unit * k for k in (1, 2, 5, 10) if unit * k >= rough)
    return [k * step for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 of each decade; fewer where there are many, others where there are none."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    few = math.log10(high / low) > 2.5
    numbers = (float(f"{k}e{d}") for d in decades for k in ((1,) if few else (1, 2, 5)))
    found = [number for number in numbers if low <= number <= high]
    return found if len(found) > 1 else _ticks(low, high)
