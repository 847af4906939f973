"""How tables, plots, the page, verdicts and comparisons treat times of a busy machine."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from records_fixture import write_run
from test_contention import seen
from test_verdicts import claim, report_rows

from benchmark.records.record import read_records
from benchmark.records.rows import Row, collect, title_of
from benchmark.report import style
from benchmark.report.by_model import time_by_model
from benchmark.report.compare import compare_runs
from benchmark.report.compare_formats import to_document
from benchmark.report.measures import Verdict
from benchmark.report.panels import BEST
from benchmark.report.planes import evaluations, planes
from benchmark.report.planes import seconds as seconds_of
from benchmark.report.site import write_site
from benchmark.report.tables import write_tables
from benchmark.report.timeline import place, timeline
from benchmark.report.trade_off import distance_against_time
from benchmark.storage.paths import REFERENCE, Run

CELL = "ddim-linear-ddim-50-s0"
OTHER = "ddim-cosine-ddim-50-s0"
WHY = "0.8 of a core by others"


def change(run: Run, kind: str, name: str, **parts: Any) -> None:
    path = run.record(kind, name)
    content = json.loads(path.read_text())
    for key, value in parts.items():
        content[key] = value
    path.write_text(json.dumps(content))


def watch(run: Run, others: float | None, cell: str = CELL, kind: str = "sample") -> None:
    """Say in a record how many cores others kept busy."""
    found = seen(others=others).model_dump(mode="json")
    change(run, kind, cell, contention=[found])


def watch_all(run: Run) -> None:
    """Say in all records with times that the machine was quiet."""
    for record in read_records(run.root):
        if record.kind in ("sample", "train"):
            watch(run, 0.01, record.id, record.kind)


def set_batches(run: Run, *seconds: float, cell: str = CELL) -> None:
    path = run.record("sample", cell)
    timing = json.loads(path.read_text())["timing"]
    images = [16] * len(seconds)
    change(
        run,
        "sample",
        cell,
        timing={**timing, "batch_seconds": [16 * s for s in seconds], "batch_images": images},
    )


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Run, Run]:
    return write_run(tmp_path / "first", 2), write_run(tmp_path / "second", 2)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Four cells: the machine was busy during one, idle during one, and of two it is unknown."""
    run = write_run(tmp_path / "run", 4)
    watch(run, 0.8)
    watch(run, 0.01, OTHER)
    return run


def rows(run: Run) -> list[Row]:
    return collect(read_records(run.root))


def figure_of(runs: tuple[Run, Run], metric: str = "time") -> Any:
    [pair] = compare_runs([run.root for run in runs]).pairs
    [found] = [f for f in pair.figures if (f.metric, f.cell) == (metric, CELL)]
    return found


@pytest.mark.parametrize("busy", [0, 1])
def test_a_time_of_a_busy_machine_is_neither_better_nor_worse(
    runs: tuple[Run, Run], busy: int
) -> None:
    set_batches(runs[0], *[0.490] * 4)
    set_batches(runs[1], *[0.245] * 4)
    assert figure_of(runs).mark == "better"
    watch(runs[busy], 0.8)
    watch(runs[1 - busy], 0.02)
    found = figure_of(runs)
    side = ("first run", "other run")[busy]
    assert (found.mark, found.why) == ("not comparable", f"machine was busy: {WHY} ({side})")
    assert found.difference is None
    assert figure_of(runs, "fd").mark == "same"
    comparison = compare_runs([run.root for run in runs])
    assert comparison.status == 2
    assert f"machine was busy: {WHY}" in to_document(comparison)


def test_times_of_which_nothing_is_told_are_taken_as_quiet_with_a_word(
    runs: tuple[Run, Run],
) -> None:
    def said() -> list[str]:
        text = to_document(compare_runs([run.root for run in runs]))
        return [line for line in text.splitlines() if "whether the machine was busy" in line]

    old, new = runs  # as if written before schema 3, both
    assert said() == [
        "Some times of first and second do not tell whether the machine was busy: taken as quiet."
    ]
    watch_all(new)
    [line] = said()
    assert line.startswith("Some times of first do not tell")
    watch_all(old)
    assert said() == []


def test_a_run_and_its_copy_are_the_same_on_a_busy_machine_too(runs: tuple[Run, Run]) -> None:
    for run in runs:
        watch(run, 0.8)
    assert figure_of(runs).mark == "same"


def test_a_step_of_training_on_a_busy_machine_is_not_compared(runs: tuple[Run, Run]) -> None:
    name = "ddim-linear"
    for run, seconds in zip(runs, (0.2, 0.1), strict=True):
        change(run, "train", name, step_laps=[[10 * seconds, 10]] * 6)
    assert figure_of(runs, "training").mark == "better"
    watch(runs[0], 0.8, name, "train")
    assert f"machine was busy: {WHY} (first run)" in figure_of(runs, "training").why


def test_a_mean_of_older_records_is_not_compared_with_a_median(runs: tuple[Run, Run]) -> None:
    step = {"value": 0.2, "low": 0.19, "high": 0.21}
    change(runs[0], "train", "ddim-linear", values={"train_seconds_per_step": step})
    change(runs[1], "train", "ddim-linear", step_laps=[[1.0, 10]] * 6)
    found = figure_of(runs, "training")
    assert (found.mark, found.why) == ("not comparable", "statistic: mean against median")


def test_one_bad_batch_makes_a_run_neither_slower_nor_its_time_sure(runs: tuple[Run, Run]) -> None:
    set_batches(runs[0], 0.065, 0.065, 0.065, 0.065)
    set_batches(runs[1], 0.065, 0.065, 0.065, 0.32)
    found = figure_of(runs)
    assert found.other.value == pytest.approx(0.065)
    assert found.mark == "cannot tell"


def test_tables_mark_times_of_a_busy_machine_and_say_what_the_mark_means(run: Run) -> None:
    watch(run, 1.9, "ddim-linear", "train")
    text, table, latex = (
        path.read_text()
        for suffix in ("md", "csv", "tex")
        for path in write_tables(run, REFERENCE)
        if path.name == f"trained.{suffix}"
    )
    found = {row["cell"]: row for row in csv.DictReader(table.splitlines())}
    assert (found[CELL]["sample_busy"], found[CELL]["train_busy"]) == (WHY, "1.9 cores by others")
    assert found[OTHER]["sample_busy"] == ""
    assert found["ddpm-linear-ddpm-1000-s0"]["sample_busy"] == "unknown"
    assert float(found[CELL]["seconds_per_image"]) == pytest.approx(0.1616)
    heading, _, *lines = [line.split("|") for line in text.splitlines() if line.startswith("|")]
    names = [name.strip() for name in heading]
    marked = {name for line in lines for name, cell in zip(names, line, strict=True) if "‡" in cell}
    assert marked == {"training min", "s/image"}  # the other times are in the CSV and on the page
    assert sum("‡" in cell for line in lines for cell in line) == 2
    write_site(run, REFERENCE)
    page = run.site.read_text(encoding="utf-8").split('id="results"')[1].split("</section>")[0]
    assert len(re.findall(r"<t[dh][^>]*>[^<]*‡", page)) == 4
    assert "‡: others took a tenth of a core or more while this was timed" in text
    untold = "ddpm-cosine, ddpm-cosine-ddpm-1000-s0, ddpm-linear, ddpm-linear-ddpm-1000-s0"
    assert f"Whether the machine was busy is not told of {untold}, ddim-cosine." in text
    assert r"0.162$\ddagger$ [0.159, 0.169]" in latex


def test_a_quiet_run_has_no_mark_and_no_word_of_it(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", 1)
    watch(run, 0.01)
    watch(run, 0.02, "ddim-linear", "train")
    for path in write_tables(run, REFERENCE):
        text = path.read_text()
        assert "‡" not in text
        assert "ddagger" not in text
        assert "not told" not in text


def test_the_stages_say_how_many_jobs_ran_on_a_busy_machine(run: Run) -> None:
    [path] = [p for p in write_tables(run, REFERENCE) if p.name == "stages.csv"]
    found = {row["stage"]: row for row in csv.DictReader(path.read_text().splitlines())}
    assert found["sample"]["busy_jobs"] == "1"
    assert found["train"]["busy_jobs"] == ""  # it is not told
    assert found["train"]["median_job_seconds"] == "71.5"
    assert found["train"]["longest_job_seconds"] == "73.0"


def texts(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in figure.findobj(Text))


def test_plots_mark_times_of_a_busy_machine(run: Run) -> None:
    with style.applied():
        time, plane = time_by_model(rows(run)), distance_against_time(rows(run))
    assert time
    assert plane
    assert texts(time).count("‡") == 2  # beside the row, and in the legend
    assert "‡ the machine was busy: compares with no other" in texts(time)
    assert "linear, 50‡" in texts(plane)
    assert "‡ the machine was busy: compares with no other" in texts(plane)


def test_intervals_of_times_lie_in_the_plot(run: Run) -> None:
    with style.applied():
        plane = distance_against_time(rows(run))
    assert plane
    known = next(row.seconds for row in rows(run) if row.cell and row.cell.id == CELL)
    assert known
    drawn = [line.get_xydata().tolist() for axes in plane.axes for line in axes.lines]
    lying = [[a[0], b[0]] for a, b in (line for line in drawn if len(line) == 2) if a[1] == b[1]]
    assert [known.low, known.high] in lying


def test_a_time_of_a_busy_machine_beats_no_other(run: Run) -> None:
    [time], [others] = planes(rows(run), seconds_of), planes(rows(run), evaluations)
    [busy] = [point for point in time.points if point.busy]
    assert title_of(busy.cell) == "DDIM linear 50"
    assert busy.place not in time.front
    assert busy.text.endswith(f"\n‡ machine was busy: {WHY}")
    assert not any(point.busy for point in others.points)
    assert {p.place for p in others.points if p.cell.id == CELL} <= others.front


def test_nothing_breaks_where_every_time_is_of_a_busy_machine(run: Run) -> None:
    for row in rows(run):
        if row.cell:
            watch(run, 1.5, row.cell.id)
    [time] = planes(rows(run), seconds_of)
    assert not time.front
    with style.applied():
        figure = distance_against_time(rows(run))
    assert figure
    assert BEST not in texts(figure)
    assert write_site(run, REFERENCE)[0].exists()


def test_the_page_marks_times_of_a_busy_machine(run: Run) -> None:
    page = write_site(run, REFERENCE)[0].read_text()
    assert "‡ the machine was busy: compares with no other" in page
    assert "0.162‡ <small>[0.159, 0.169]</small>" in page


def test_the_timeline_marks_jobs_of_a_busy_machine(run: Run) -> None:
    records = read_records(run.root)
    busy = [bar for bar in place(records) if bar.busy]
    assert [bar.kind for bar in busy] == ["sample"]
    with style.applied():
        assert "‡ timed on a busy machine" in texts(timeline(records))


def test_there_is_no_verdict_from_times_of_a_busy_machine() -> None:
    assert claim(3, report_rows()).verdict is Verdict.REPRODUCED
    changed = [
        dataclasses.replace(
            row, sample=row.sample.model_copy(update={"contention": [seen(others=0.8)]})
        )
        if row.sample and row.cell and row.cell.id == CELL
        else row
        for row in report_rows()
    ]
    found = claim(3, changed)
    assert found.verdict is Verdict.CANNOT_TELL
    assert found.findings[0].why == (f"not comparable: machine was busy: {WHY} (sampling {CELL})")


def test_the_shards_of_a_cell_are_busy_if_one_is(run: Run) -> None:
    both = [seen(others=c).model_dump(mode="json") for c in (0.0, 0.8)]
    change(run, "sample", CELL, contention=both)
    [row] = [row for row in rows(run) if row.cell and row.cell.id == CELL]
    assert row.busy == WHY
