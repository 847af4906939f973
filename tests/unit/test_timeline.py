"""The timeline: which job held which core when, and the share of start-up and idle time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.text import Text
from records_fixture import record

from benchmark.records.contention import Activity, Contention
from benchmark.records.record import Kind, Record
from benchmark.report import style
from benchmark.report.timeline import PAUSE, Bar, place, shares, sittings, timeline


def job(
    stage: float,
    seconds: float,
    threads: int = 1,
    start_up: float | None = None,
    kind: str = "train",
) -> Record:
    """A record of a stage that began so many seconds after a fixed moment."""
    made = record(kind, f"job-{stage}", seconds)
    moment = datetime.fromtimestamp(1_700_000_000 + stage, UTC).isoformat(timespec="milliseconds")
    changes = {"started": moment, "threads": threads, "startup_seconds": start_up}
    return made.model_copy(update={"provenance": made.provenance.model_copy(update=changes)})


def test_side_by_side_jobs_have_their_own_lanes_and_later_ones_take_them_over() -> None:
    bars = place([job(0, 10), job(1, 4), job(6, 3), job(20, 5, threads=2)])
    assert [bar.lanes for bar in bars] == [(0,), (1,), (1,), (0, 1)]


def test_a_job_begins_with_its_program_where_that_is_known() -> None:
    known, unknown = place([job(5, 1, start_up=2), job(10, 1)])
    assert known.stage - known.begin == 2
    assert unknown.stage == unknown.begin


def test_start_up_and_idle_shares_are_of_core_seconds() -> None:
    # two cores for 20 s: 10 s on both, of which 1 s each start-up, then one for 10 s
    bars = place([job(1, 9, threads=2, start_up=1), job(10, 10)])
    start_up, idle = shares(bars)
    assert start_up == pytest.approx(2 / 30)
    assert idle == pytest.approx(10 / 40)


def test_records_of_one_program_count_its_start_once() -> None:
    bars = place([job(2, 3, start_up=2), job(5, 5)])
    assert shares(bars) == (pytest.approx(0.2), pytest.approx(0))


def test_a_long_pause_begins_another_panel() -> None:
    records = [job(0, 10), job(10 + PAUSE / 2, 10), job(3600, 10, kind="features")]
    assert [len(bars) for bars in sittings(place(records))] == [2, 1]
    assert len(timeline(records).axes) == 2


def test_nothing_stands_outside_of_the_figure() -> None:
    """With every kind of job, some of them on a busy machine, for hours."""
    during = Activity(seconds=10.0, others=0.9)
    busy = Contention(cores=2, needed=2, load=2.0, before=during, during=during)
    records = [
        job(4000 * i, 3900, threads=2, start_up=1).model_copy(update={"kind": kind})
        for i, kind in enumerate(get_args(Kind))
    ]
    records[1] = records[1].model_copy(update={"contention": [busy]})
    with style.applied():
        figure = timeline(records)
        figure.draw_without_rendering()
    assert "busy" in figure.legends[0].get_texts()[-1].get_text()
    extent, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert extent.x0 >= 0
    assert extent.y0 >= 0
    assert extent.x1 <= width
    assert extent.y1 <= height


def test_the_axis_names_its_scale() -> None:
    [axes] = timeline([job(0, 10)]).axes
    assert axes.get_xlabel() == "seconds since the start of the first job, linear scale"


def test_the_title_tells_time_cores_and_shares() -> None:
    figure = timeline([job(1, 9, threads=2, start_up=1), job(10, 55)])
    assert any(
        text.get_text().startswith("1 min 05 s on 2 cores\nstart-up 2.7%")
        for text in figure.findobj(Text)
    )
    legend = {text.get_text() for text in figure.legends[0].get_texts()}
    assert legend == {"train", "start-up"}


jobs = st.lists(
    st.tuples(st.floats(0, 1000), st.floats(0.2, 100), st.integers(1, 4)), min_size=1, max_size=12
)


@given(jobs)
def test_no_core_holds_two_jobs_at_once(drawn: Sequence[tuple[float, float, int]]) -> None:
    bars = place([job(*times) for times in drawn])
    assert sorted(len(bar.lanes) for bar in bars) == sorted(threads for _, _, threads in drawn)
    by_lane: dict[int, list[Bar]] = {}
    for bar in bars:
        for lane in bar.lanes:
            by_lane.setdefault(lane, []).append(bar)
    for held in by_lane.values():
        assert all(a.end <= b.begin + 0.11 for a, b in pairwise(held))
    start_up, idle = shares(bars)
    assert start_up == 0
    assert 0 <= idle < 1


def test_no_two_kinds_of_jobs_share_a_colour() -> None:
    assert len(set(style.FILLS)) == len(style.FILLS) >= len(get_args(Kind))
