"""The sliders through the scales of the guidance, on the page of a run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from browser import Page, browser, find_browser
from records_fixture import write_run

from benchmark.core.values import Value
from benchmark.records.record import read_records
from benchmark.records.rows import Row, collect
from benchmark.report import style
from benchmark.report.guidance_plot import guidance_plot
from benchmark.report.site import write_site
from benchmark.report.site_pictures import Pictures, grids_of, scales_of
from benchmark.storage.paths import REFERENCE, Run
from benchmark.storage.pictures import contact_sheet, save_png

SCALES = (0.0, 1.0, 4.0)
BROWSER = find_browser()


@pytest.fixture(scope="module")
def guided(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose first cell was also drawn at several scales; pictures differ in grey."""
    run = write_run(tmp_path_factory.mktemp("results") / "guided")
    records = [record for record in read_records(run.root) if record.cell]
    first = next(r.cell for r in records if r.cell and r.cell.weights == "from-scratch")
    assert first
    for record in (record for record in records if record.cell == first):
        for scale in reversed(SCALES):
            cell = first.model_copy(update={"id": f"{first.id}-g{scale:g}", "guidance": scale})
            copy = record.model_copy(update={"id": cell.id, "cell": cell})
            copy.write(run.record(record.kind, cell.id))
    for number, record in enumerate(read_records(run.root)):
        if record.kind == "sample":
            images = np.full((4, 16, 16, 3), (37 * number) % 256, dtype=np.uint8)
            save_png(contact_sheet(images, 2), run.grid(record.id))
    write_site(run, REFERENCE)
    return run


@pytest.fixture(scope="module")
def shown(guided: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    assert BROWSER
    with browser(BROWSER, tmp_path_factory.mktemp("profile")) as found:
        found.size(1200)
        found.open(guided.site)
        yield found


def test_cells_that_differ_in_their_scale_alone_have_a_slider(guided: Run) -> None:
    rows = collect(read_records(guided.root))
    [line] = scales_of(grids_of(Pictures(guided.root), rows).pictures, rows)
    assert line.name == "ddim, cosine, ddim, 50 steps"
    assert [cell.guidance for cell in line.cells] == [*SCALES]
    assert scales_of([], rows) == []


def test_distances_against_the_scale_are_of_equally_many_images(guided: Run) -> None:
    rows = collect(read_records(guided.root))
    larger = [_of_128_images(row) if row.is_floor else row for row in rows]
    with style.applied():
        figure = guidance_plot(larger)
    assert figure
    distance = figure.axes[0]
    assert distance.get_title(loc="left") == "FD-EffNetLite0 of 64 images"
    assert any(list(line.get_ydata()) == [20, 20] for line in distance.get_lines())


def _of_128_images(row: Row) -> Row:
    """Return the row of held-out images as of 128 images, with a distance of 20 at 64 of them."""
    assert row.metrics
    assert row.metrics.protocol
    protocol = row.metrics.protocol.model_copy(update={"n_fake": 128})
    sized = {64: Value(value=20)}
    return replace(
        row, metrics=row.metrics.model_copy(update={"protocol": protocol, "sized": sized})
    )


def test_pictures_stand_in_the_page_once(guided: Run) -> None:
    text = guided.site.read_text(encoding="utf-8")
    assert text.count("data-of=") == len(SCALES)
    assert text.count("w = 4</figcaption>") == 1


needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium here: install chromium")
VISIBLE = (
    "[...document.querySelectorAll('.scales figure')].filter((f) => f.offsetParent)"
    ".map((f) => f.textContent)"
)
PICTURE = "document.querySelector('.scales .chosen img').src"


@needs_browser
def test_the_slider_chooses_a_scale_by_the_keyboard(shown: Page) -> None:
    assert shown.problems == []
    assert shown.run(VISIBLE) == ["w = 0"]
    first = shown.run(PICTURE)
    shown.run("document.querySelector('.scales input').focus()")
    shown.press("ArrowRight")
    assert shown.run(VISIBLE) == ["w = 1"]
    shown.press("ArrowRight")
    assert shown.run(VISIBLE) == ["w = 4"]
    assert shown.run(PICTURE) != first
    told = "document.querySelector('.scales input').getAttribute('aria-valuetext')"
    assert shown.run(told) == shown.run("document.querySelector('.scales output').textContent")
    shown.press("Home")
    assert shown.run(PICTURE) == first
    assert shown.run("document.querySelector('.scales img').naturalWidth") > 0


@needs_browser
def test_all_scales_are_printed(shown: Page) -> None:
    shown.media("print")
    assert shown.run(VISIBLE) == ["w = 0", "w = 1", "w = 4"]
    shown.media("screen")
    assert len(shown.run(VISIBLE)) == 1
