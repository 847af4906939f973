"""Which cells of a large run are shown in pictures."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from records_fixture import write_run

from benchmark.core.values import Value
from benchmark.records.record import read_records
from benchmark.records.rows import Row, collect
from benchmark.report import plots
from benchmark.report.by_model import time_by_model
from benchmark.report.chosen import MOST, RULE, chosen_cells
from benchmark.report.site import write_site
from benchmark.storage.paths import Run
from benchmark.storage.pictures import contact_sheet, save_png


def many(run: Run, count: int) -> list[str]:
    """Give a run copies of its first cell until it has `count` cells, with pictures."""
    copied = next(record.cell for record in read_records(run.root) if record.cell)
    for record in [record for record in read_records(run.root) if record.cell == copied]:
        for number in range(count - 1):
            cell = copied.model_copy(update={"id": f"copy-{number:03}", "seed": number + 1})
            record.model_copy(update={"id": cell.id, "cell": cell}).write(
                run.record(record.kind, cell.id)
            )
    names = [record.id for record in read_records(run.root) if record.kind == "sample"]
    for name in names:
        save_png(contact_sheet(np.zeros((1, 8, 8, 3), dtype=np.uint8), 1), run.grid(name))
    return names


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """Two rows of two models."""
    run = write_run(tmp_path_factory.mktemp("run"))
    by_model = {row.cell.model: row for row in collect(read_records(run.root)) if row.cell}
    return list(by_model.values())[:2]


@given(
    st.lists(st.tuples(st.integers(0, 1), st.floats(1, 99)), min_size=1, max_size=12, unique=True),
    st.integers(1, 12),
)
def test_each_model_shows_its_best_cells_and_as_many_as_others(
    rows: list[Row], points: list[tuple[int, float]], most: int
) -> None:
    made = []
    for number, (model, distance) in enumerate(points):
        row = rows[model]
        assert row.cell
        cell = row.cell.model_copy(update={"id": f"c{number}", "steps": number + 1})
        metrics = row.metrics
        assert metrics
        values = {**metrics.values, "fd": Value(value=distance)}
        made.append(replace(row, cell=cell, metrics=metrics.model_copy(update={"values": values})))
    kept = chosen_cells(made, most)
    places = {f"c{number}": point for number, point in enumerate(points)}
    assert len(kept) == min(most, len(points))
    assert [int(cell.id[1:]) for cell in kept] == sorted(int(cell.id[1:]) for cell in kept)
    shown = {cell.id for cell in kept}
    counts = Counter(places[name][0] for name in shown)
    for model in (0, 1):
        of_model = [name for name in places if places[name][0] == model]
        left = [places[name][1] for name in of_model if name not in shown]
        kept_of = [places[name][1] for name in of_model if name in shown]
        assert not left or not kept_of or max(kept_of) <= min(left)
        assert not left or counts[model] >= counts[1 - model] - 1


def test_a_large_run_says_which_of_its_cells_are_shown(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", cells=1)
    names = many(run, MOST + 5)
    figure = plots.samples_overview(run, collect(read_records(run.root)))
    assert figure
    assert sum(bool(axes.get_title()) for axes in figure.axes) == MOST
    assert figure.get_suptitle() == f"{MOST} of {MOST + 5} cells, {RULE}"
    figure = time_by_model(collect(read_records(run.root)))
    assert figure
    assert figure.get_suptitle() == f"{MOST} of {MOST + 5} cells, {RULE}"
    write_site(run, None)
    page = run.site.read_text()
    assert f"{MOST} of {MOST + 5} cells, {RULE}; the folder samples of the run has all" in page
    assert page.count('alt="Samples of') == MOST + 1  # and the best setting at the beginning
    assert names[-1] in page  # its row is in the tables


def test_a_small_run_shows_all_and_says_nothing(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", cells=1)
    many(run, 3)
    figure = plots.samples_overview(run, collect(read_records(run.root)))
    assert figure
    assert figure.get_suptitle() == ""
    write_site(run, None)
    assert RULE not in run.site.read_text()
