from __future__ import annotations

import dataclasses
import itertools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from PIL import Image
from records_fixture import write_run

from benchmark.core.values import Value
from benchmark.records.published import read_published
from benchmark.records.record import Curve, read_records
from benchmark.records.rows import Row, collect
from benchmark.report import by_model, figures, loss_curves, panels, plots, saving, style, trade_off
from benchmark.report.pareto import pareto
from benchmark.storage.paths import Run

PROJECT = Path(__file__).parents[2]
REFERENCE = PROJECT / "benchmark" / "reference" / "report.csv"


@pytest.fixture(autouse=True)
def _styled() -> Iterator[None]:
    with style.applied():
        yield


def rows_of(run: Run) -> list[Row]:
    return collect(read_records(run.root))


def words(figure: Figure) -> set[str]:
    return {text.get_text() for text in figure.findobj(Text)}


def drawn(figure: Figure | None) -> list[Axes]:
    assert figure
    return figure.axes


def test_a_plot_is_written_as_png_svg_and_pdf_and_twice_the_same(tmp_path: Path) -> None:
    twice = [by_model.distance_by_model(rows_of(write_run(tmp_path)), {}) for _ in range(2)]
    first, second = (
        [path.read_bytes() for path in saving.save_figure(figure, tmp_path / name / "plot.png")]
        for name, figure in zip("ab", twice, strict=True)
        if figure
    )
    assert first == second
    png, svg, pdf = first
    assert png.startswith(b"\x89PNG")
    assert b"<svg" in svg
    assert pdf.startswith(b"%PDF")


def test_pdf_embeds_its_fonts_and_has_no_date(tmp_path: Path) -> None:
    figure = loss_curves.loss_curves(read_records(write_run(tmp_path, cells=1).root))
    assert figure
    pdf = saving.save_figure(figure, tmp_path / "plot.png")[2].read_bytes()
    assert b"/FontFile2" in pdf
    assert b"CreationDate" not in pdf


def test_every_plot_that_the_records_allow_is_written(tmp_path: Path) -> None:
    run = write_run(tmp_path, cells=1)
    written = plots.write_plots(run, REFERENCE)
    assert {path.stem for path in written} == {
        "distance-against-evaluations",
        "distance-against-time",
        "distance-by-model",
        "time-by-model",
        "loss-curves",
        "timeline",
    }
    assert {path.suffix for path in written} == {".png", ".svg", ".pdf"}
    assert all(path.exists() for path in written)


def test_a_run_without_samples_and_metrics_has_no_plot_of_them(tmp_path: Path) -> None:
    rows: list[Row] = [Row(dataset="faces")]
    assert by_model.distance_by_model(rows, {}) is None
    assert by_model.time_by_model(rows) is None
    assert trade_off.distance_against_evaluations(rows) is None
    assert trade_off.distance_against_time(rows) is None
    assert loss_curves.loss_curves([]) is None
    assert plots.samples_overview(Run(tmp_path), rows) is None


@pytest.mark.parametrize("extractor", ["efficientnet-lite0", "inception-v3-fid"])
def test_distance_is_called_fid_only_with_the_fid_network(extractor: str, tmp_path: Path) -> None:
    rows = rows_of(write_run(tmp_path, extractor=extractor))
    found = words(by_model.distance_by_model(rows, read_published(REFERENCE)) or Figure())
    found |= words(trade_off.distance_against_time(rows) or Figure())
    is_fid = extractor == "inception-v3-fid"
    assert any(re.search(r"\bFID\b", text) for text in found) == is_fid
    assert ("published" in found) == is_fid


@pytest.mark.parametrize("against", ["evaluations", "time"])
def test_names_cover_no_text_no_plot_and_stand_in_the_figure(against: str, tmp_path: Path) -> None:
    draw = getattr(trade_off, f"distance_against_{against}")
    figure = draw(rows_of(write_run(tmp_path)))
    figure.draw_without_rendering()
    texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    boxes = [Text.get_window_extent(text) for text in texts]
    names = [n for n, text in enumerate(texts) if text.get_position() == (6, 0)]
    assert len(names) == 8  # lines, of which two have two points
    assert not any(boxes[n].overlaps(b) for n in names for i, b in enumerate(boxes) if i != n)
    assert not any(axes.bbox.overlaps(boxes[n]) for axes in figure.axes for n in names)
    assert all(figure.bbox.contains(*corner) for n in names for corner in boxes[n].corners())


def test_every_point_tells_sampler_schedule_and_steps_without_hovering(tmp_path: Path) -> None:
    figure = trade_off.distance_against_evaluations(rows_of(write_run(tmp_path)))
    told = {
        axes.get_title("left"): [text.get_text() for text in axes.texts if text.get_text()]
        for axes in drawn(figure)
    }
    assert told == {
        "DDPM": ["ddpm, 1000 steps", "linear, pretrained, 50/1000", "linear", "cosine"],
        "DDIM": ["ddim, 50 steps", "linear, pretrained, 50/1000", "linear", "cosine"],
        "NCSN": ["geometric, pretrained, 1000 steps", "annealed-langevin"],
        "SBGM-SDE": ["ve, pretrained, 2000 steps", "predictor-corrector"],
    }


def test_a_line_is_drawn_through_more_than_one_point_only(tmp_path: Path) -> None:
    axes = drawn(trade_off.distance_against_evaluations(rows_of(write_run(tmp_path))))
    joined = {
        panel.get_title("left"): [
            line.get_xydata().tolist()
            for line in panel.lines
            if line.get_transform() == panel.transData and len({*line.get_xdata()}) > 1
        ]
        for panel in axes
    }
    assert joined == {
        "DDPM": [[[50, pytest.approx(459.2 + 25)], [1000, pytest.approx(77.7 + 25)]]],
        "DDIM": [[[50, pytest.approx(81.0 + 25)], [1000, pytest.approx(94.8 + 25)]]],
        "NCSN": [],
        "SBGM-SDE": [],
    }


def test_every_panel_names_the_evaluations_of_its_own_points_on_the_same_axis(
    tmp_path: Path,
) -> None:
    axes = drawn(trade_off.distance_against_evaluations(rows_of(write_run(tmp_path))))
    assert len({panel.get_xlim() for panel in axes}) == 1
    for panel in axes:
        named = {float(label.get_text().replace(",", "")) for label in panel.get_xticklabels()}
        points = {
            x
            for line in panel.lines
            if line.get_marker() != "None" and line.get_transform() == panel.transData
            for x in line.get_xdata()
        }
        assert points
        assert points <= named


def test_the_floor_is_a_band_as_wide_as_its_interval(tmp_path: Path) -> None:
    floor = 41.27 + 400 / 16
    for axes in drawn(trade_off.distance_against_evaluations(rows_of(write_run(tmp_path)))):
        [band] = [patch for patch in axes.patches if patch.get_label() == panels.FLOOR]
        box = band.get_extents().transformed(axes.transData.inverted())
        assert box.intervaly == pytest.approx([floor - 4.21, floor + 5.17])


def test_the_legend_explains_only_what_occurs(tmp_path: Path) -> None:
    figure = trade_off.distance_against_time(rows_of(write_run(tmp_path, cells=1)))
    assert figure
    [legend] = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        panels.FLOOR,
        panels.INTERVAL,
        panels.BEST,
    ]


def test_axes_are_named_with_unit_number_of_images_and_scale(tmp_path: Path) -> None:
    figure = trade_off.distance_against_time(rows_of(write_run(tmp_path)))
    assert figure
    found = words(figure)
    assert "seconds per image, log scale" in found
    assert "FD-EffNetLite0 of 16 images\n(lower is better, log scale)" in found


def test_every_text_has_one_size(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    records = read_records(run.root)
    found = figures.drawn(records, collect(records), {})
    assert len(found) == 6
    sizes = {text.get_fontsize() for f in found.values() for text in f.findobj(Text)}
    assert sizes == {8}


def test_intervals_are_drawn_only_where_they_are_known(tmp_path: Path) -> None:
    rows = rows_of(write_run(tmp_path, cells=1))
    with_interval = len(drawn(by_model.distance_by_model(rows, {}))[0].lines)
    for row in rows:
        assert row.metrics
        value = row.metrics.values["fd"].model_copy(update={"low": None, "high": None})
        row.metrics.values["fd"] = value
    dots = sum(not row.is_floor for row in rows)
    assert len(drawn(by_model.distance_by_model(rows, {}))[0].lines) == with_interval - dots


def test_the_floor_stands_at_the_distance_of_as_many_held_out_images(tmp_path: Path) -> None:
    _, pretrained = drawn(by_model.distance_by_model(rows_of(write_run(tmp_path)), {}))
    names = [label.get_text() for label in pretrained.get_yticklabels()]
    floors = {
        names[round(band.get_y() + band.get_height() / 2)]: (band.get_x(), band.get_width())
        for band in pretrained.patches
        if isinstance(band, Rectangle)
    }
    floor = 41.27 + 400 / 16
    assert floors == dict.fromkeys(names, (pytest.approx(floor - 4.21), pytest.approx(9.38)))
    assert {"DDPM linear 50", "DDPM linear 1000", "control: blur"} <= set(names)
    assert not any("held-out" in name for name in names)
    assert pretrained.get_xlabel().startswith("FD-EffNetLite0 of 16 images")


def test_no_two_families_look_alike(tmp_path: Path) -> None:
    """Those of the report look alike in every run; others have the looks behind them."""
    cells = [row for row in rows_of(write_run(tmp_path)) if row.cell]
    rows = [
        Row(dataset=row.dataset, cell=row.cell.model_copy(update={"family": family}))
        for row, family in zip(cells, ("Flow", "DDIM", "EDM", "Flow", "GAN"), strict=False)
        if row.cell
    ]
    assert by_model._numbers(rows) == {"Flow": 4, "DDIM": 1, "EDM": 5, "GAN": 6}


def test_seeds_of_one_setting_share_a_line(tmp_path: Path) -> None:
    rows = rows_of(write_run(tmp_path, cells=1))
    [row] = [row for row in rows if row.cell]
    assert row.cell
    other = Row(
        dataset=row.dataset,
        cell=row.cell.model_copy(update={"seed": 1, "id": "other"}),
        metrics=row.metrics,
    )
    [axes] = drawn(by_model.distance_by_model([row, other], {}))
    assert [label.get_text() for label in axes.get_yticklabels()] == ["DDIM linear 50"]
    dots = [line for line in axes.lines if line.get_marker() == "s"]
    assert len({float(np.ravel(dot.get_ydata())[0]) for dot in dots}) == 2


def test_two_models_of_a_family_with_equal_settings_have_lines_of_their_own(tmp_path: Path) -> None:
    rows = rows_of(write_run(tmp_path, cells=1))
    [row] = [row for row in rows if row.cell]
    assert row.cell
    cell = row.cell.model_copy(update={"model": "other", "id": "other"})
    other = dataclasses.replace(row, cell=cell)
    for draw in (lambda found: by_model.distance_by_model(found, {}), by_model.time_by_model):
        [axes] = drawn(draw([row, other]))
        names = [label.get_text().removesuffix(", batch 16") for label in axes.get_yticklabels()]
        assert names == ["DDIM linear 50, ddim", "DDIM linear 50, other"]
        told = {str(line.get_gid()) for line in axes.lines if line.get_gid()}
        assert len(told) == 2


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
    figure = trade_off.distance_against_time([small, *rows])
    assert figure
    titles = [part.get_suptitle() for part in figure.subfigs]
    assert titles == ["faces at 16×16", "faces at 32×32"]


def test_overview_names_every_picture(tmp_path: Path) -> None:
    run = write_run(tmp_path, cells=3)
    rows = rows_of(run)
    names = [row.cell.id for row in rows if row.cell][:2]
    for name in names:
        run.grid(name).parent.mkdir(parents=True)
        Image.new("RGB", (40, 20)).save(run.grid(name))
    found = drawn(plots.samples_overview(run, rows))
    titles = [axes.get_title("left").replace("\n", "") for axes in found]
    assert titles == names


@pytest.mark.parametrize("size", [(40, 20), (40, 40), (20, 60)])
def test_overview_has_no_gap_but_for_names(tmp_path: Path, size: tuple[int, int]) -> None:
    run = write_run(tmp_path, cells=6)
    rows = rows_of(run)
    for row in rows:
        if row.cell:
            run.grid(row.cell.id).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", size).save(run.grid(row.cell.id))
    figure = plots.samples_overview(run, rows)
    found = drawn(figure)
    assert figure
    figure.draw_without_rendering()
    places = [axes.images[0].get_window_extent() for axes in found if axes.images]
    inch, columns = figure.dpi, 3
    for above, below in zip(places, places[columns:], strict=False):
        assert above.y0 - below.y1 <= 0.75 * inch  # names of two or three lines
    for left, right in itertools.pairwise(places[:columns]):
        assert right.x0 - left.x1 <= 0.3 * inch


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
    np.testing.assert_allclose(loss_curves.moving_mean(curve), expected, rtol=1e-6)


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


def test_what_is_not_measured_at_the_number_of_images_of_most_is_named(tmp_path: Path) -> None:
    rows = rows_of(write_run(tmp_path))
    sizes = {12: Value(value=7.0)}
    for row in rows:
        if row.metrics:
            row.metrics.sized.clear()
            row.metrics.sized.update(sizes if row is not rows[4] else {})
    found = words(trade_off.distance_against_time(rows) or Figure())
    assert any("of 12 images" in text for text in found)
    assert any("Not measured at n = 12: DDPM linear 50" in text for text in found)
    _, pretrained = drawn(by_model.distance_by_model(rows, {}))
    assert [text.get_text() for text in pretrained.texts] == ["not measured at n = 12"]
