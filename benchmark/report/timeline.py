"""When which job held which cores: the timeline of a run, from its records."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from benchmark.records.provenance import JobRun, Provenance, span
from benchmark.records.record import Kind, Record
from benchmark.report import style
from benchmark.report.formats import BUSY

_KINDS: tuple[Kind, ...] = get_args(Kind)
PAUSE = 120.0  # seconds without a job after which another panel begins: the run was started again
OVERLAP = 0.1  # seconds that two clocks may disagree
LANE, TALLEST = 0.32, 6.0  # inches
LEGEND_COLUMNS = 5
START_UP: dict[str, Any] = {"alpha": 0.45, "hatch": "//////", "edgecolor": "white", "linewidth": 0}


@dataclass(frozen=True)
class Bar:
    """One job of a record; all times in seconds since the epoch.

    Attributes:
        kind: of the record.
        begin: of the program, where that is known, else of the stage.
        stage: begin of the stage, behind the imports.
        end: of the stage.
        lanes: the cores that it held, counted from 0.
        busy: whether it was timed while the machine was busy.
    """

    kind: Kind
    begin: float
    stage: float
    end: float
    lanes: tuple[int, ...]
    busy: bool = False

    @property
    def held(self) -> float:
        """Core-seconds that the job held."""
        return (self.end - self.begin) * len(self.lanes)

    @property
    def start_up(self) -> float:
        """Core-seconds that it held before its stage began."""
        return (self.stage - self.begin) * len(self.lanes)


def timeline(records: Iterable[Record]) -> Figure:
    """Draw a bar for each job, start-up hatched, in the lanes of the cores that it held.

    A job that was timed while others used the machine, jobs of the same run among them, is marked.
    The title tells the share of start-up in the time of the jobs, and the share of the cores' time
    in which no job held them.
    """
    panels = sittings(place(records))
    heights = [min(TALLEST, _lanes(bars) * LANE) + 1.0 for bars in panels]
    figure = Figure(figsize=(style.WIDTH, sum(heights) + 0.6))
    for axes, bars in zip(
        np.ravel(figure.subplots(len(panels), height_ratios=heights)), panels, strict=True
    ):
        _draw(axes, bars)
    kinds = [kind for kind in _KINDS if any(bar.kind == kind for bars in panels for bar in bars)]
    handles = [Patch(color=_colour(kind), label=kind) for kind in kinds]
    handles.append(Patch(label="start-up", facecolor=style.MUTED, **START_UP))
    if any(bar.busy for bars in panels for bar in bars):
        handles.append(Patch(label=f"{BUSY} timed on a busy machine", alpha=0))
    figure.legend(handles=handles, loc="outside lower center", ncols=LEGEND_COLUMNS)
    return figure


def place(records: Iterable[Record]) -> list[Bar]:
    """Return the bars in the order of their begin, each in as many free lanes as it held cores."""
    free: list[float] = []  # from when on each lane is free
    bars = []
    jobs = ((job, record) for record in records for job in record.ran)
    for begin, stage, end, cores, kind, busy in sorted(_times(job, record) for job, record in jobs):
        lanes = [lane for lane, since in enumerate(free) if since <= begin + OVERLAP][:cores]
        lanes += range(len(free), len(free) + cores - len(lanes))
        free += [0.0] * (max(lanes) + 1 - len(free))
        for lane in lanes:
            free[lane] = end
        bars.append(Bar(kind, begin, stage, end, tuple(lanes), busy))
    return bars


def sittings(bars: Sequence[Bar]) -> list[list[Bar]]:
    """Split bars, in the order of their begin, where no job ran for long."""
    parts: list[list[Bar]] = []
    last = -math.inf
    for bar in bars:
        if bar.begin - last > PAUSE:
            parts.append([])
        parts[-1].append(bar)
        last = max(last, bar.end)
    return parts


def shares(bars: Sequence[Bar]) -> tuple[float, float]:
    """Return the share of start-up in the jobs' core-seconds, and of the cores' that were idle.

    The cores are as many as jobs held at once.
    """
    held = math.fsum(bar.held for bar in bars)
    span = max(bar.end for bar in bars) - bars[0].begin
    idle = 1 - held / (span * _lanes(bars)) if span else 0.0
    start_up = math.fsum(bar.start_up for bar in bars) / held if held else 0.0
    return start_up, max(0.0, idle)


def _times(job: Provenance | JobRun, record: Record) -> tuple[float, float, float, int, Kind, bool]:
    stage, end = (moment.timestamp() for moment in span(job))
    begin = stage - (job.startup_seconds or 0)
    cores = job.threads * job.processes
    return begin, stage, end, cores, record.kind, bool(record.busy)


def _lanes(bars: Iterable[Bar]) -> int:
    return 1 + max(max(bar.lanes) for bar in bars)


def _colour(kind: Kind) -> str:
    return style.FILLS[_KINDS.index(kind)]


def _draw(axes: Axes, bars: Sequence[Bar]) -> None:
    zero, lanes = bars[0].begin, _lanes(bars)
    for bar in bars:
        colour = _colour(bar.kind)
        axes.barh(bar.lanes, bar.stage - bar.begin, 0.8, bar.begin - zero, color=colour, **START_UP)
        axes.barh(
            bar.lanes, bar.end - bar.stage, 0.8, bar.stage - zero, color=colour, ec="white", lw=0.3
        )
        if bar.busy:
            middle = (bar.stage + bar.end) / 2 - zero
            axes.text(middle, bar.lanes[0], BUSY, ha="center", va="center")
    start_up, idle = shares(bars)
    minutes, seconds = divmod(round(max(bar.end for bar in bars) - zero), 60)
    axes.set_title(
        f"{minutes} min {seconds:02} s on {lanes} core{'s' * (lanes > 1)}\n"
        f"start-up {start_up:.1%} of the time of "
        f"jobs, no job on {idle:.1%} of the cores' time"
    )
    axes.set_yticks(range(lanes), [f"core {lane + 1}" for lane in range(lanes)])
    axes.set_ylim(lanes - 0.5, -0.5)
    axes.set_xlabel("seconds since the start of the first job, linear scale")
    axes.grid(axis="y", visible=False)
