"""Lines are named at their ends, whatever their number; held-out images are a band."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.text import Text
from records_fixture import write_run

from benchmark.core.values import Value
from benchmark.records.record import read_records
from benchmark.records.rows import Row, collect
from benchmark.report import style
from benchmark.report.guidance_plot import guidance_plot
from benchmark.report.panels import FLOOR, INTERVAL, REAL, told_apart
from benchmark.report.trade_off import distance_against_evaluations
from benchmark.report.training_plot import distance_against_training


@pytest.fixture(autouse=True)
def _styled() -> Iterator[None]:
    with style.applied():
        yield


@pytest.fixture
def rows(tmp_path: Path) -> list[Row]:
    return collect(read_records(write_run(tmp_path).root))


def varied(row: Row, distance: float, **cell: object) -> Row:
    """Return a row with another cell and another distance."""
    assert row.cell
    assert row.metrics
    values = row.metrics.values | {"fd": Value(value=distance, low=distance - 1, high=distance + 1)}
    name = "-".join(map(str, cell.values()))
    return dataclasses.replace(
        row,
        cell=row.cell.model_copy(update={"id": name, **cell}),
        metrics=row.metrics.model_copy(update={"values": values, "sized": {}}),
    )


def guided(rows: list[Row], lines: int) -> Figure | None:
    return guidance_plot(
        [
            *(
                varied(rows[0], 60 + line + w * w, sampler=f"sampler-{line}", guidance=float(w))
                for line in range(lines)
                for w in range(3)
            ),
            *(row for row in rows if row.control),
        ]
    )


def trained(rows: list[Row], lines: int) -> Figure | None:
    return distance_against_training(
        [
            *(
                varied(rows[0], 99 + line - s / 100, sampler=f"sampler-{line}", trained_steps=s)
                for line in range(lines)
                for s in (100, 200, 400)
            ),
            *(row for row in rows if row.control),
        ]
    )


@pytest.mark.parametrize("lines", [1, 3, 10])
@pytest.mark.parametrize(("plot", "band"), [(guided, REAL), (trained, FLOOR)])
def test_each_line_is_named_at_its_end_and_covers_nothing(
    plot: object, band: str, lines: int, rows: list[Row]
) -> None:
    assert callable(plot)
    figure: Figure = plot(rows, lines)
    figure.draw_without_rendering()
    [legend] = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [band, INTERVAL]
    texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    boxes = [Text.get_window_extent(text) for text in texts]
    for axes in figure.axes:
        assert any(patch.get_label() == band for patch in axes.patches)
        names = [n for n, text in enumerate(texts) if text.axes is axes and _is_name(text)]
        assert len({texts[n].get_text() for n in names}) == lines
        assert not any(boxes[n].overlaps(b) for n in names for i, b in enumerate(boxes) if i != n)
        assert not any(axes.bbox.overlaps(boxes[n]) for n in names)
        assert all(figure.bbox.contains(*corner) for n in names for corner in boxes[n].corners())


def _is_name(text: Text) -> bool:
    return text.get_position() == (6, 0)


@pytest.mark.parametrize("lines", [1, 3, 12])
def test_a_crowd_of_lines_tells_its_steps_too(lines: int, rows: list[Row]) -> None:
    points = [
        varied(rows[0], 99 - steps / 10 + line, sampler=f"sampler-{line}", steps=steps)
        for line in range(lines)
        for steps in ((5, 25) if line % 5 == 2 else (10, 20, 50))
    ]
    figure = distance_against_evaluations(points)
    assert figure
    [axes] = figure.axes
    above, *_ = [text.get_text() for text in axes.texts if text.get_text()]
    assert above.endswith("10/20/50 steps")
    names = {text.get_text() for text in axes.texts if _is_name(text)}
    odd = {f"sampler-{line}, 5/25" for line in range(2, lines, 5)}
    assert {name for name in names if "," in name} == odd
    assert len(names) == lines


def test_a_state_without_its_finished_network_is_a_point(rows: list[Row]) -> None:
    figure = distance_against_training([varied(rows[0], 99, trained_steps=100), *rows[1:]])
    assert figure
    assert [axes.get_xlabel() for axes in figure.axes] == ["steps of the training, linear scale"]
    names = [text.get_text() for text in figure.axes[0].texts if _is_name(text)]
    assert len(names) == 1


FACTS = st.lists(
    st.fixed_dictionaries({key: st.sampled_from(["", "a", "b"]) for key in "xyz"}),
    min_size=1,
    unique_by=lambda fact: tuple(fact.values()),
)


@given(FACTS)
def test_names_and_what_is_shared_say_all_facts_once(facts: list[dict[str, str]]) -> None:
    common, names = told_apart(facts, keep="x")
    for fact, name in zip(facts, names, strict=True):
        all_facts = sorted(filter(None, fact.values()))
        if sorted(common) == all_facts:  # all of it is shared: its model is said again
            assert name == fact["x"]
        else:
            assert sorted([*common, *name.split(", ")]) == all_facts
