from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from PIL import Image
from records_fixture import write_run

from benchmark.core.values import Value
from benchmark.records.published import read_published
from benchmark.records.record import Curve, read_records
from benchmark.records.rows import Row, collect
from benchmark.report import by_model, plots, style, trade_off
from benchmark.report.pareto import pareto
from benchmark.storage.paths import Run

PROJECT = Path(__file__).parents[2]
REFERENCE = PROJECT / "config" / "reference" / "report.csv"


@pytest.fixture(autouse=True)
def _styled() -> Iterator[None]:
    with style.applied():
        yield


def rows_of(run: Run) -> list[Row]:
    return collect(read_records(run.root))


def words(figure: Figure) -> set[str]:
    return {text.get_text() for text in figure.findobj(Text)}


def panels(figure: Figure | None) -> list[Axes]:
    assert figure
    return figure.axes


def test_a_plot_is_written_as_png_svg_and_pdf_and_twice_the_same(tmp_path: Path) -> None:
    figures = [by_model.distance_by_model(rows_of(write_run(tmp_path)), {}) for _ in range(2)]
    first, second = (
        [path.read_bytes() for path in style.save_figure(figure, tmp_path / name / "plot.png")]
        for name, figure in zip("ab", figures, strict=True)
        if figure
    )
    assert first == second
    png, svg, pdf = first
    assert png.startswith(b"\x89PNG")
    assert b"<svg" in svg
    assert pdf.startswith(b"%PDF")


def test_pdf_embeds_its_fonts_and_has_no_date(tmp_path: Path) -> None:
    figure = plots.loss_curves(read_records(write_run(tmp_path, cells=1).root))
    assert figure
    pdf = style.save_figure(figure, tmp_path / "plot.png")[2].read_bytes()
    assert b"/FontFile2" in pdf
    assert b"CreationDate" not in pdf


def test_every_plot_that_the_records_allow_is_written(tmp_path: Path) -> None:
    run = write_run(tmp_path, cells=1)
    written = plots.write_plots(run, REFERENCE)
    assert {path.stem for path in written} == {
        "distance-by-model",
        "time-by-model",
        "distance-against-time",
        "loss-curves",
        "timeline",
    }
    assert {path.suffix for path in written} == {".png", ".svg", ".pdf"}
    assert all(path.exists() for path in written)


def test_a_run_without_samples_and_metrics_has_no_plot_of_them(tmp_path: Path) -> None:
    rows: list[Row] = [Row(dataset="faces")]
    assert by_model.distance_by_model(rows, {}) is None
    assert by_model.time_by_model(rows) is None
    assert trade_off.distance_against_time(rows) is None
    assert plots.loss_curves([]) is None
    assert plots.samples_overview(Run(tmp_path), rows) is None


@pytest.mark.parametrize("extractor", ["efficientnet-lite0", "inception-v3-fid"])
def test_distance_is_called_fid_only_with_the_fid_network(extractor: str, tmp_path: Path) -> None:
    rows = rows_of(write_run(tmp_path, extractor=extractor))
    found = words(by_model.distance_by_model(rows, read_published(REFERENCE)) or Figure())
    found |= words(trade_off.distance_against_time(rows) or Figure())
    is_fid = extractor == "inception-v3-fid"
    assert any(re.search(r"\bFID\b", text) for text in found) == is_fid
    assert ("published" in found) == is_fid


def test_labels_cover_no_label_no_point_and_not_the_frame(tmp_path: Path) -> None:
    figure = trade_off.distance_against_time(rows_of(write_run(tmp_path)))
    assert figure
    figure.draw_without_rendering()
    [axes] = figure.axes
    notes = [child for child in axes.get_children() if isinstance(child, Annotation)]
    assert len(notes) == 10
    boxes = [Text.get_window_extent(note) for note in notes]
    points = axes.transData.transform([note.xy for note in notes])
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
    assert not any(box.contains(x, y) for box in boxes for x, y in points)
    assert all(axes.bbox.contains(*corner) for box in boxes for corner in box.corners())


def test_intervals_are_drawn_only_where_they_are_known(tmp_path: Path) -> None:
    rows = rows_of(write_run(tmp_path, cells=1))
    with_interval = len(panels(by_model.distance_by_model(rows, {}))[0].lines)
    for row in rows:
        assert row.metrics
        value = row.metrics.values["fd"].model_copy(update={"low": None, "high": None})
        row.metrics.values["fd"] = value
    dots = sum(not row.is_floor for row in rows)
    assert len(panels(by_model.distance_by_model(rows, {}))[0].lines) == with_interval - dots


def test_the_floor_stands_at_the_distance_of_as_many_held_out_images(tmp_path: Path) -> None:
    _, pretrained = panels(by_model.distance_by_model(rows_of(write_run(tmp_path)), {}))
    names = [label.get_text() for label in pretrained.get_yticklabels()]
    floors = {
        names[round(float(np.mean(line.get_ydata())))]: float(np.ravel(line.get_xdata())[0])
        for line in pretrained.lines
        if line.get_label() == by_model.FLOOR_LABEL
    }
    assert floors["DDPM linear 50, n = 64"] == pytest.approx(41.27)
    assert floors["DDPM linear 1000, n = 32"] == pytest.approx(41.27 + 400 / 32)
    assert floors["control: blur, n = 64"] == pytest.approx(41.27)
    assert not any("held-out" in name for name in names)


def test_seeds_of_one_setting_share_a_line(tmp_path: Path) -> None:
    rows = rows_of(write_run(tmp_path, cells=1))
    [row] = [row for row in rows if row.cell]
    assert row.cell
    other = Row(
        dataset=row.dataset,
        cell=row.cell.model_copy(update={"seed": 1, "id": "other"}),
        metrics=row.metrics,
    )
    [axes] = panels(by_model.distance_by_model([row, other], {}))
    assert [label.get_text() for label in axes.get_yticklabels()] == ["DDIM linear 50, n = 64"]
    dots = [line for line in axes.lines if line.get_marker() == "s"]
    assert len({float(np.ravel(dot.get_ydata())[0]) for dot in dots}) == 2


def test_data_sets_that_cannot_be_compared_stand_in_panels_of_their_own(tmp_path: Path) -> None:
    rows = rows_of(write_run(tmp_path))
    assert rows[0].cell
    assert rows[0].metrics
    small = Row(
        dataset=rows[0].dataset,
        cell=rows[0].cell.model_copy(update={"resolution": 16}),
        sample=rows[0].sample,
        metrics=rows[0].metrics,
    )
    titles = [
        axes.get_title("left") for axes in panels(trade_off.distance_against_time([small, *rows]))
    ]
    assert titles == ["faces at 16×16", "faces at 32×32"]


def test_overview_names_every_picture(tmp_path: Path) -> None:
    run = write_run(tmp_path, cells=3)
    rows = rows_of(run)
    names = [row.cell.id for row in rows if row.cell][:2]
    for name in names:
        run.grid(name).parent.mkdir(parents=True)
        Image.new("RGB", (40, 20)).save(run.grid(name))
    found = panels(plots.samples_overview(run, rows))
    titles = [axes.get_title("left").replace("\n", "") for axes in found]
    assert titles == names


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1))
def test_pareto_front_is_what_no_point_beats(points: list[tuple[int, int]]) -> None:
    def beaten(p: tuple[int, int]) -> bool:
        return any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in points)

    assert pareto(points) == sorted({p for p in points if not beaten(p)})


@given(st.lists(st.floats(0.001, 10), min_size=1, max_size=200))
def test_moving_mean_is_the_mean_of_the_window(loss: list[float]) -> None:
    curve = Curve(steps=list(range(len(loss))), loss=loss, lr=[1.0] * len(loss))
    half = len(loss) // 40
    expected = [np.mean(loss[max(0, i - half) : i + half + 1]) for i in range(len(loss))]
    np.testing.assert_allclose(plots.moving_mean(curve), expected, rtol=1e-6)


def test_style_ends_with_its_block_and_ignores_the_users_settings() -> None:
    with matplotlib.rc_context({"lines.linewidth": 9, "pdf.fonttype": 3}):
        with style.applied():
            assert matplotlib.rcParams["pdf.fonttype"] == 42
            assert matplotlib.rcParams["lines.linewidth"] == 1.5
        assert matplotlib.rcParams["pdf.fonttype"] == 3


def test_plots_import_no_torch_and_no_pyplot() -> None:
    unwanted = "{'torch', 'matplotlib.pyplot'}"
    code = f"import sys, benchmark.report.plots; sys.exit(not {unwanted}.isdisjoint(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT).returncode == 0


@pytest.mark.parametrize("common", [True, False])
def test_distances_are_set_against_time_at_a_number_of_images_that_all_have(
    tmp_path: Path, common: bool
) -> None:
    rows = []
    for row in rows_of(write_run(tmp_path)):
        if row.cell and row.metrics:
            sized = {12: Value(value=7.0 + row.cell.steps)} if common else {}
            metrics = row.metrics.model_copy(update={"sized": sized})
            rows.append(dataclasses.replace(row, metrics=metrics))
    figure = trade_off.distance_against_time(rows)
    assert figure is not None
    label, drawn = figure.axes[0].get_ylabel(), words(figure)
    assert ("of 12 images" in label) == common
    assert ("Pareto front" in drawn) == common
    assert any("(n=" in text for text in drawn) != common
