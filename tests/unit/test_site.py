from __future__ import annotations

import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import imageio_ffmpeg
import numpy as np
import pytest
from browser import Page, browser, find_browser
from PIL import Image
from records_fixture import write_run

from benchmark.core.errors import BenchmarkError
from benchmark.records.record import read_record, read_records
from benchmark.records.sections import Prepared
from benchmark.report.claims import read_claims
from benchmark.report.measures import Verdict
from benchmark.report.site import write_site
from benchmark.storage.paths import CLAIMS, REFERENCE, Run
from benchmark.storage.pictures import contact_sheet, read_movie, save_movie, save_png

PROJECT = Path(__file__).parents[2]
GOLDEN = PROJECT / "tests" / "golden" / "run"
MOVIE_STEPS = 64  # as in benchmark.stages.chain, which imports torch
NASTY = '<img src=x onerror="alert(1)">&\'"'
VOID = {"meta", "link", "img", "br", "input", "path", "line", "circle"}


class Reader(HTMLParser):
    """Reads a page: its tags with their attributes, its text, and whether tags are closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def named(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


def with_pictures(run: Run) -> Run:
    """Add pictures to a run of records: grids, movies, panels."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    for record in read_records(run.root):
        if record.kind == "sample":
            save_png(contact_sheet(images, 2), run.grid(record.id))
            frames = rng.integers(0, 256, (11, 4, 32, 32, 3), dtype=np.uint8)
            save_movie(frames, run.movie(record.id))
        if record.kind == "retrieval":
            save_png(contact_sheet(images, 2), run.neighbours(record.id))
    return run


def page(run: Run) -> str:
    write_site(run, REFERENCE)
    return run.site.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("golden")
    shutil.copytree(GOLDEN / "records", folder / "records")
    run = with_pictures(Run(folder))
    write_site(run, REFERENCE)
    return run


@pytest.fixture(scope="module")
def text(golden: Run) -> str:
    return golden.site.read_text(encoding="utf-8")


def test_every_claim_that_was_tried_has_a_verdict(text: str) -> None:
    table = text.split('<table class="sortable claims">')[1].split("</table>")[0]
    verdicts = re.findall(r'<td class="verdict" data-sort="([^"]+)">', table)
    assert len(verdicts) == 4  # of all, the others were not run
    assert set(verdicts) <= set(Verdict)
    assert verdicts[0] == "reproduced"
    assert "not run" not in verdicts
    others = len(read_claims(CLAIMS).claims) - 4
    assert f"{others} of its claims are about settings that this run does not have" in text


def test_the_report_is_named_where_it_is_judged(text: str) -> None:
    section = text.split('<section id="verdicts">')[1].split("</section>")[0]
    assert "<cite>Diffusion Models</cite> by Raffaele Cerizza" in section


def test_a_run_without_any_cell_of_the_report_has_no_claims(tmp_path: Path) -> None:
    run = write_run(tmp_path, cells=2)
    for path in (run.root / "records").glob("*/*.json"):
        text = path.read_text().replace('"family": "DDIM"', '"family": "Mine"')
        path.write_text(text.replace('"family":"DDIM"', '"family":"Mine"'))
    sections = [attributes["id"] for attributes in Reader(page(run)).named("section")]
    assert sections[:2] == ["run", "results"]


def test_a_run_without_a_sweep_of_samplers_has_no_section_of_it(text: str) -> None:
    assert "best-by-budget" not in text


def test_the_page_names_skipped_images_conversions_and_ignored_files(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    path = run.record("data", "faces")
    record = read_record(path)
    said = {
        "skipped_images": ["a.png: damaged", "b.png: damaged"],
        "conversions": ["greyscale: 3"],
        "ignored_files": ["hidden file: 2"],
    }
    prepared = Prepared(origin="here", licence="MIT", attribution="us", **said)
    path.write_text(record.model_copy(update={"prepared": prepared}).model_dump_json())
    shown = page(run)
    for name, value in (
        ("skipped images", "a.png: damaged; b.png: damaged"),
        ("conversions", "greyscale: 3"),
        ("ignored files", "hidden file: 2"),
    ):
        assert f'<th scope="row">faces, {name}</th><td>{value}</td>' in shown


def test_the_run_comes_first_and_then_the_report(text: str) -> None:
    sections = [attributes["id"] for attributes in Reader(text).named("section")]
    assert sections == [
        "run",
        "verdicts",
        "results",
        "trade-off",
        "samples",
        "generation",
        "neighbours",
        "training",
        "time",
        "provenance",
    ]


def test_the_page_is_well_formed_and_its_ids_are_used_once(text: str) -> None:
    reader = Reader(text)
    assert reader.open == []
    ids = [attributes["id"] for _, attributes in reader.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [a["href"] for a in reader.named("a")]
    assert {link for link in links if link.startswith("#")} <= {f"#{name}" for name in ids}


def test_the_page_needs_no_other_file(text: str) -> None:
    reader = Reader(text)
    loaded = [a[name] for _, a in reader.tags for name in ("src", "srcset", "poster") if name in a]
    loaded += [a["href"] for a in reader.named("link")]
    assert loaded
    assert all(source.startswith("data:") for source in loaded)
    assert not re.search(r"url\((?!#)|@import|fetch\(|XMLHttp", text)
    policy = next(a for a in reader.named("meta") if "http-equiv" in a)
    assert policy["content"].startswith("default-src 'none'")


def test_every_picture_has_a_text(text: str) -> None:
    pictures = [a for a in Reader(text).named("img") if "src" in a]
    assert len(pictures) == 3 + 4 + 4 + 1 + 7  # best grids, all, movies, the video, panels
    assert all(len(picture["alt"]) > 10 for picture in pictures)


def test_published_figures_stand_beside_ours(text: str) -> None:
    heads = re.findall(r'<th scope="col" class="([^"]*)"><button type="button">([^<]+)', text)
    names = [name.replace("\u200b", "") for _, name in heads]
    assert names[names.index("report FID") - 1] == "FD-EffNetLite0"
    assert names[names.index("report training min") - 1] == "training min"
    assert names[names.index("report sampling min") - 1] == "s/image"
    assert all(("published" in c) == n.startswith("report") for c, n in heads)


def test_names_are_escaped(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", cells=4)
    for path in (run.root / "records").glob("*/*.json"):
        nasty = NASTY.replace("\\", "\\\\").replace('"', '\\"')
        path.write_text(re.sub(r'"family": "[^"]+"', f'"family": "{nasty}"', path.read_text()))
    found = page(with_pictures(run))
    assert "<img src=x" not in found
    assert "onerror" not in {name for _, a in Reader(found).tags for name in a}
    assert any(NASTY in text for text in Reader(found).texts)  # and shown as it is


def test_a_run_without_pictures_has_no_empty_sections(tmp_path: Path) -> None:
    run = write_run(tmp_path, cells=4)
    reader = Reader(page(run))
    sections = [attributes["id"] for attributes in reader.named("section")]
    assert {"samples", "generation"}.isdisjoint(sections)
    links = [a["href"][1:] for a in reader.named("a")]
    assert set(links) == set(sections)
    assert not run.video.exists()


def test_the_same_records_give_the_same_bytes(golden: Run, text: str) -> None:
    assert page(golden) == text


def test_panels_are_ordered_by_suspicion_and_controls_come_last(text: str) -> None:
    section = text.split('<section id="neighbours">')[1].split("</section>")[0]
    names = re.findall(r"<figcaption><strong>([^<]+)", section)
    assert names == [
        "DDIM linear 50",  # the smallest distance ratio
        "DDIM cosine 50",
        "DDPM linear 1000",
        "DDPM cosine 1000",
        "control: copies",  # accused
        "control: held out",
        "control: blur",
    ]


def test_the_video_shows_every_step_and_rests_at_the_end(golden: Run) -> None:
    with Image.open(golden.video) as video:
        assert video.n_frames == 11
        durations = []
        for number in range(video.n_frames):
            video.seek(number)
            durations.append(video.info["duration"])
    assert durations == [80] * 10 + [2000]
    frames, seconds = imageio_ffmpeg.count_frames_and_secs(golden.video.with_suffix(".mp4"))
    assert (frames, seconds) == (35, pytest.approx(35 * 0.08, abs=0.1))


@pytest.mark.faults(
    "ffmpeg fails in the middle of the film of a run",
    "site",
    "one line with what ffmpeg said; page and film of before stay; run again, it makes them",
)
def test_an_encoder_that_fails_in_the_middle_leaves_page_and_film_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = with_pictures(write_run(tmp_path / "run", cells=1))
    whole = page(run)
    film = run.video.with_suffix(".mp4")
    before = {path: path.read_bytes() for path in (run.site, run.video, film)}
    program = tmp_path / "ffmpeg"  # writes a part of the film, reads half of its input, and fails
    program.write_text(
        '#!/bin/sh\nfor file; do :; done\nhead -c 9999 >> "$file"\n'
        "echo 'out of\n paper' >&2\nexit 1\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(program))
    with pytest.raises(BenchmarkError, match=r"ddim\.mp4: ffmpeg failed with status 1: out of pap"):
        write_site(run, REFERENCE)
    assert {path: path.read_bytes() for path in run.site.parent.iterdir()} == before
    monkeypatch.delenv("IMAGEIO_FFMPEG_EXE")
    film.unlink()
    assert page(run) == whole
    assert film.read_bytes() == before[film]


@pytest.mark.parametrize("side", [80, 81, 256])
def test_the_longest_movie_of_large_images_fits_into_the_page(side: int, tmp_path: Path) -> None:
    run = write_run(tmp_path, cells=1)
    [cell] = [record.cell for record in read_records(run.root) if record.kind == "sample"]
    assert cell
    frames = np.zeros((MOVIE_STEPS + 1, 3, side, side, 3), np.uint8)
    save_movie(frames, run.movie(cell.id))
    for record in read_records(run.root):
        if record.cell:
            path = run.record(record.kind, record.id)
            path.write_text(path.read_text().replace('"resolution": 32', f'"resolution": {side}'))
    assert f'data-frames="{MOVIE_STEPS + 1}"' in page(run)


def test_a_run_that_has_just_begun_has_a_page(tmp_path: Path) -> None:
    run = write_run(tmp_path, cells=0)
    for path in (run.root / "records").glob("*/*.json"):
        if path.parent.name != "data":
            path.unlink()
    text = page(run)
    assert 'id="verdicts"' not in text
    assert 'id="run"' in text


def test_a_movie_is_read_as_it_was_written(tmp_path: Path) -> None:
    frames = np.random.default_rng(1).integers(0, 256, (5, 3, 8, 8, 3), dtype=np.uint8)
    save_movie(frames, tmp_path / "movie.png")
    np.testing.assert_array_equal(read_movie(tmp_path / "movie.png", 8), frames)


def test_the_page_imports_no_torch(golden: Run) -> None:
    code = "import sys; import benchmark.report.site; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True)


BROWSER = find_browser()
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium here: install chromium")


@pytest.fixture(scope="module")
def shown(golden: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    assert BROWSER
    with browser(BROWSER, tmp_path_factory.mktemp("profile")) as found:
        found.size(1200)
        found.prefer("light")
        found.open(golden.site)
        yield found


@needs_browser
def test_nothing_is_complained_about_or_loaded(shown: Page) -> None:
    assert shown.problems == []


@needs_browser
def test_the_browser_reports_what_is_wrong(tmp_path: Path) -> None:
    assert BROWSER
    bad = tmp_path / "bad.html"
    bad.write_text("<img src='none.png'><script>throw Error('x')</script>")
    with browser(BROWSER, tmp_path / "profile") as found:
        found.open(bad)
        assert any("none.png" in problem for problem in found.problems)
        assert any("Error: x" in problem for problem in found.problems)


@needs_browser
def test_every_picture_loads(shown: Page) -> None:
    count, loaded = shown.run(
        "(() => { const all = [...document.querySelectorAll('main img')];"
        "return [all.length, all.filter((i) => i.complete && i.naturalWidth > 0).length]; })()"
    )
    assert count == loaded == 19


@needs_browser
def test_the_slider_moves_the_frames_by_mouse_and_keyboard(shown: Page) -> None:
    place = "getComputedStyle(document.querySelector('.screen:not([hidden]) img')).transform"
    last = shown.run(place)
    shown.run("document.getElementById('frame').focus()")
    shown.press("Home")
    first = shown.run(place)
    assert first != last
    assert shown.run("document.getElementById('step').textContent") == "step 0 of 50"
    shown.press("ArrowRight")
    assert shown.run(place) not in (first, last)
    assert shown.run("document.getElementById('step').textContent") == "step 5 of 50"


@needs_browser
def test_another_sampler_can_be_chosen(shown: Page) -> None:
    shown.run(
        "(() => { const s = document.getElementById('movie'); s.selectedIndex = 1;"
        "s.dispatchEvent(new Event('change')); })()"
    )
    visible = "[...document.querySelectorAll('.screen')].map((s) => s.offsetHeight > 0)"
    assert shown.run(visible) == [False, True, False, False]


@needs_browser
def test_tables_sort_by_number_up_and_down_with_empty_entries_last(shown: Page) -> None:
    found = shown.run(
        "(() => { const table = document.querySelector('#results table');"
        "const heads = [...table.tHead.rows[0].cells];"
        "const at = heads.findIndex((h) => h.textContent.includes('report FID'));"
        "const read = () => [heads[at].ariaSort,"
        " ...[...table.tBodies[0].rows].map((r) => r.cells[at].textContent.trim())];"
        "const button = heads[at].querySelector('button');"
        "button.click(); const up = read(); button.click(); return [up, read()]; })()"
    )
    up = ["99.802", "103.322", "113.433", "115.659"]
    assert found[0] == ["ascending", *up, "–", "–", "–"]
    assert found[1] == ["descending", *reversed(up), "–", "–", "–"]


@needs_browser
def test_a_head_is_sorted_by_the_keyboard(shown: Page) -> None:
    shown.run("document.querySelectorAll('.claims thead button')[2].focus()")
    shown.press("Enter")
    verdicts = shown.run(
        "[...document.querySelectorAll('.claims .verdict')].map((v) => v.innerText)"
    )
    assert verdicts == sorted(verdicts)
    assert len(set(verdicts)) > 1


@needs_browser
def test_pictures_grow_in_a_dialog_that_escape_closes(shown: Page) -> None:
    shown.run("document.querySelector('.enlarge').focus()")
    shown.press("Enter")
    assert shown.run("document.getElementById('zoom').open")
    assert shown.run("document.querySelector('#zoom img').naturalWidth > 0")
    shown.press("Escape")
    assert not shown.run("document.getElementById('zoom').open")


@needs_browser
def test_points_tell_their_values_on_focus(shown: Page) -> None:
    shown.run("document.querySelector('.told').focus()")
    tip = shown.run("document.getElementById('tip').innerText")
    assert tip.startswith("DDPM cosine 1000")
    assert "distance 116 [111, 121]" in tip.splitlines()


@needs_browser
def test_curves_tell_their_names_and_last_values_on_focus(shown: Page) -> None:
    shown.run("document.querySelector('#training .told').focus()")
    tip = shown.run("document.getElementById('tip').innerText")
    assert re.match(r"ddim\+ddpm-cosine\nloss [\d.]+ at step \d+", tip)


@needs_browser
def test_columns_are_shown_on_demand(shown: Page) -> None:
    hidden = "document.querySelector('#results th.more').offsetWidth === 0"
    assert shown.run(hidden)
    shown.run("document.querySelector('#results .all input').click()")
    assert not shown.run(hidden)


SUMMARY = "document.querySelector('#run .scroll table')"
ROWS = (
    f"[...{SUMMARY}.tBodies[0].rows].filter((r) => r.offsetHeight).map((r) => r.cells[0].innerText)"
)
HEADS = (
    f"[...{SUMMARY}.tHead.rows[0].cells].filter((h) => h.offsetWidth)"
    ".map((h) => h.textContent.trim().replaceAll('\\u200b', ''))"
)
COPIED = """
(async () => {
  const taken = [];
  Object.defineProperty(navigator, "clipboard", { configurable: true,
    value: { writeText: async (text) => { taken.push(text); } } });
  document.querySelector("#run [data-copy=FORMAT]").click();
  await new Promise((done) => setTimeout(done, 50));
  return taken[0];
})()
"""


@needs_browser
def test_rows_are_filtered(shown: Page) -> None:
    assert len(shown.run(ROWS)) == 4
    type_in = (
        "(() => { const box = document.querySelector('#run input[type=search]');"
        "box.value = '%s'; box.dispatchEvent(new Event('input')); })()"
    )
    shown.run(type_in % "ddim COSINE")
    assert [name.split()[0] for name in shown.run(ROWS)] == ["ddim"]
    shown.run(type_in % "")
    assert len(shown.run(ROWS)) == 4


@needs_browser
def test_columns_are_hidden_and_moved_and_the_first_stays(shown: Page) -> None:
    before = shown.run(HEADS)
    assert before[:4] == ["model", "schedule", "sampler", "steps"]
    item = "document.querySelectorAll('#run .columns li')[%d]"
    shown.run(f"{item % 0}.querySelector('input').click()")
    assert shown.run(HEADS) == [before[0], *before[2:]]
    shown.run(f"{item % 0}.querySelector('input').click()")
    shown.run(f"{item % 0}.querySelectorAll('button')[1].click()")  # schedule to the right
    assert shown.run(HEADS) == ["model", "sampler", "schedule", *before[3:]]
    shown.run(f"{item % 0}.querySelectorAll('button')[0].click()")  # sampler cannot pass the first
    assert shown.run(HEADS)[0] == "model"
    shown.run(f"{item % 1}.querySelectorAll('button')[0].click()")
    assert shown.run(HEADS) == before


@needs_browser
@pytest.mark.parametrize(
    ("kind", "head", "line"),
    [
        ("markdown", "| model | schedule | sampler |", "| ddpm | linear | ddpm | 1000 | 64 |"),
        ("csv", "model,schedule,sampler,steps", 'ddpm,linear,ddpm,1000,64,"99.8† [95.6, 105.0]"'),
        (
            "latex",
            "\\begin{tabular}{lllllllll}",
            r"ddpm & linear & ddpm & 1000 & 64 & 99.8$\dagger$",
        ),
    ],
)
def test_a_table_is_copied_as_it_is_seen(kind: str, head: str, line: str, shown: Page) -> None:
    lines = shown.run(COPIED.replace("FORMAT", kind)).splitlines()
    assert lines[0].startswith(head)
    assert any(found.startswith(line) for found in lines)


@needs_browser
@pytest.mark.parametrize("width", [390, 1200])
def test_claims_are_filtered_copied_and_have_columns_as_other_tables(
    width: int, shown: Page
) -> None:
    shown.size(width)
    copied = COPIED.replace("#run", "#verdicts").replace("FORMAT", "markdown")
    seen = "[...document.querySelectorAll('.claims tbody tr')].filter((r) => r.offsetHeight).length"
    count = shown.run(seen)
    lines = shown.run(copied).splitlines()
    assert len(lines) == count + 2
    assert all(line.startswith("|") and "wanted:" not in line for line in lines)
    box = "document.querySelector('#verdicts .columns li:nth-child(2) input').click()"
    verdicts = "document.querySelector('.claims .verdict').offsetHeight > 0"
    assert [shown.run(verdicts), shown.run(box), shown.run(verdicts)][::2] == [True, False]
    shown.run(box)
    ask = (
        "(() => { const box = document.querySelector('#verdicts input[type=search]');"
        "box.value = '%s'; box.dispatchEvent(new Event('input')); })()"
    )
    shown.run(ask % "times faster")
    assert shown.run(seen) == 1
    shown.run(ask % "")
    assert shown.run(seen) == count
    shown.size(1200)


@needs_browser
def test_picked_rows_stand_side_by_side_with_samples_neighbours_and_loss(shown: Page) -> None:
    button = "document.getElementById('compare-picked')"
    assert shown.run(f"{button}.disabled")
    shown.run("[...document.querySelectorAll('.pick')].slice(0, 2).forEach((p) => p.click())")
    shown.run(f"{button}.click()")
    articles = shown.run(
        "[...document.querySelectorAll('#compare article')].map((a) => [a.querySelectorAll('img')"
        ".length, a.querySelectorAll('.curve').length, a.querySelector('dd').innerText])"
    )
    assert articles == [[2, 1, "ddpm"], [2, 1, "ddim"]]
    sources = shown.run("[...document.querySelectorAll('#compare img')].map((i) => i.alt)")
    assert sources[0].startswith("Samples of DDPM linear 1000")
    assert sources[1].startswith("Nearest training images of DDPM linear 1000")
    shown.press("Escape")
    assert not shown.run("document.getElementById('compare').open")
    shown.size(390)
    shown.run("[...document.querySelectorAll('.pick')].slice(2, 5).forEach((p) => p.click())")
    shown.run(f"{button}.click()")
    side = "document.querySelector('#compare .side')"
    shown.run("new Promise((done) => setTimeout(done, 100))")
    assert shown.run(f"{side}.scrollWidth > {side}.clientWidth && {side}.classList.contains('cut')")
    shown.press("Escape")
    shown.size(1200)
    shown.run("document.querySelectorAll('.pick:checked').forEach((p) => p.click())")


@needs_browser
def test_charts_and_pictures_are_saved(shown: Page) -> None:
    link = "document.querySelector('#run .save-chart')"
    still = f"{link}.addEventListener('click', (e) => e.preventDefault(), {{once: true}})"
    shown.run(f"{still}; {link}.click()")
    saved = unquote(shown.run(f"{link}.href"))
    assert saved.startswith("data:image/svg+xml")
    assert "var(--" not in saved
    xml.etree.ElementTree.fromstring(saved.partition(",")[2])
    shown.run("document.querySelector('#run .enlarge').click()")
    save = "document.querySelector('#zoom a')"
    assert shown.run(f"{save}.href === document.querySelector('#zoom img').src")
    assert shown.run(f"{save}.download").endswith(".webp")
    shown.press("Escape")


@needs_browser
@pytest.mark.parametrize("width", [390, 820, 1400])
def test_nothing_is_cut_without_a_sign(width: int, shown: Page) -> None:
    shown.size(width)
    shown.run("new Promise((done) => setTimeout(done, 100))")
    silent = shown.run(
        "[...document.querySelectorAll('.scroll, .chart, .panels figure')].filter((s) => "
        "!s.closest('details:not([open])') && "
        "(s.scrollWidth - s.clientWidth > 2) !== s.classList.contains('cut')).length"
    )
    assert silent == 0
    cut = shown.run(
        "[...document.querySelectorAll('.enlarge')].filter((b) => "
        "b.querySelector('img').offsetHeight > b.clientHeight + 1).length"
    )
    assert cut == 0
    stays = shown.run(
        "[...document.querySelectorAll('.scroll tbody th')].every((th) => "
        "getComputedStyle(th).position === 'sticky')"
    )
    assert stays
    shown.size(1200)


@needs_browser
def test_metrics_that_were_asked_for_are_visible_and_printed(shown: Page) -> None:
    column = (
        "[...document.querySelectorAll('#results th')].find((h) => h.innerText.startsWith('KID'))"
    )
    assert shown.run(f"{column}.offsetWidth > 0")
    assert not shown.run(f"{column}.classList.contains('more')")
    shown.media("print")
    assert shown.run(f"{column}.offsetWidth > 0")
    shown.media("screen")


@needs_browser
def test_paper_has_all_tables_and_no_signs_of_the_screen(shown: Page) -> None:
    opened = "[...document.querySelectorAll('details[open]')].length"
    before = shown.run(opened)
    shown.size(500)
    shown.run("dispatchEvent(new Event('beforeprint'))")
    shown.media("print")
    inner = "document.querySelector('#provenance details:not(.columns) table')"
    assert shown.run(f"{inner}.offsetHeight > 0")
    assert not shown.run("document.querySelectorAll('.columns[open]').length")
    signs = (
        "[...document.querySelectorAll('.cut')].map((s) => getComputedStyle(s, '::after').content)"
    )
    assert set(shown.run(signs)) <= {"none"}
    shown.media("screen")
    shown.run("dispatchEvent(new Event('afterprint'))")
    assert shown.run(opened) == before
    shown.size(1200)


@needs_browser
def test_the_generation_plays_and_pauses(shown: Page) -> None:
    shown.run("document.getElementById('movie').dispatchEvent(new Event('change'))")
    play, frame = (
        "document.getElementById('play')",
        "Number(document.getElementById('frame').value)",
    )
    shown.run(f"{play}.click()")
    assert shown.run(f"{play}.textContent") == "Pause"
    moved = f"new Promise((done) => setInterval(() => {frame} > 0 && done({frame}), 20))"
    assert shown.run(moved) > 0
    shown.run(f"{play}.click()")
    assert shown.run(f"{play}.textContent") == "Play"
    still = shown.run(frame)
    shown.run("new Promise((done) => setTimeout(done, 900))")  # two frames would have passed
    assert shown.run(frame) == still


@needs_browser
def test_the_video_is_saved_as_it_is_shown(shown: Page) -> None:
    for link, made, kind in (
        ("save", ".video img", "data:image/gif"),
        ("save-mp4", ".video video", "data:video/mp4"),
    ):
        href = shown.run(f"document.getElementById('{link}').href")
        assert href == shown.run(f"document.querySelector('{made}').src")
        assert href.startswith(kind)


@needs_browser
@pytest.mark.parametrize("dialog", ["zoom", "compare"])
def test_a_dialog_is_closed_by_its_button_and_by_a_click_beside_it(
    dialog: str, shown: Page
) -> None:
    is_open = f"document.getElementById('{dialog}').open"
    for close in (
        f"document.querySelector('#{dialog} button')",
        f"document.getElementById('{dialog}')",
    ):
        shown.run(f"document.getElementById('{dialog}').showModal()")
        assert shown.run(is_open)
        shown.run(f"{close}.click()")
        assert not shown.run(is_open)


@needs_browser
def test_the_keyboard_skips_to_the_results(shown: Page) -> None:
    shown.run("document.activeElement.blur(); scrollTo(0, 0)")
    shown.run("document.querySelector('.skip').focus()")
    shown.press("Enter")
    assert shown.run("location.hash") == "#run"


@needs_browser
def test_each_table_is_filtered_and_has_columns_of_its_own(shown: Page) -> None:
    found = shown.run(
        "[...document.querySelectorAll('.tools')].filter((t) => t.offsetHeight).map((tools) => {"
        "const rows = [...tools.nextElementSibling.querySelector('table').tBodies[0].rows];"
        "const search = tools.querySelector('input[type=search]');"
        "const ask = (words) => { search.value = words; search.dispatchEvent(new Event('input'));"
        " return rows.filter((row) => !row.hidden).length; };"
        "return [ask('no such words'), ask(''), rows.length,"
        " tools.querySelectorAll('.columns input').length > 1]; })"
    )
    assert len(found) > 3
    for none, all_rows, count, has_columns in found:
        assert (none, all_rows) == (0, count)
        assert has_columns


@needs_browser
def test_light_and_dark_follow_the_system_until_one_is_chosen(shown: Page) -> None:
    theme = "document.documentElement.dataset.theme"
    assert shown.run(theme) == "light"
    shown.prefer("dark")
    assert shown.run(theme) == "dark"
    shown.run("document.getElementById('theme').click()")
    assert shown.run(theme) == "light"
    shown.prefer("light")


CONTRAST = """
(() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const poor = new Set();
  for (const e of document.querySelectorAll('main *, header *, nav *')) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || e.closest('svg') || !e.offsetWidth) continue;
    const two = [light(parse(getComputedStyle(e).color)), light(ground(e))];
    const contrast = (Math.max(...two) + 0.05) / (Math.min(...two) + 0.05);
    if (contrast < 4.5) poor.add(`${e.tagName}.${e.className}`);
  }
  return [...poor];
})()
"""


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(scheme: str, golden: Run, tmp_path: Path) -> None:
    assert BROWSER
    with browser(BROWSER, tmp_path) as found:
        found.prefer(scheme)
        found.open(golden.site)
        assert found.run(CONTRAST) == []


@needs_browser
@pytest.mark.parametrize("width", [390, 820, 1400])
def test_the_page_is_as_wide_as_the_window(width: int, shown: Page) -> None:
    shown.size(width)
    assert shown.run("document.documentElement.scrollWidth") <= width


@needs_browser
def test_panels_of_neighbours_stay_legible_on_a_phone(shown: Page) -> None:
    shown.size(390)
    widths = shown.run(
        "[...document.querySelectorAll('.panels img')].map((i) => i.getBoundingClientRect().width)"
    )
    assert widths
    assert min(widths) > 500
    shown.size(1200)


@needs_browser
@pytest.mark.parametrize(("width", "is_cut"), [(390, True), (1400, False)])
def test_a_chart_that_is_cut_off_has_a_sign(width: int, is_cut: bool, shown: Page) -> None:
    shown.size(width)
    shown.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    cut = "[...document.querySelectorAll('.chart')].map((c) => c.classList.contains('cut'))"
    found = shown.run(cut)
    assert found
    assert all(found) if is_cut else not any(found)


def test_images_made_elsewhere_are_not_counted_as_drawn(tmp_path: Path) -> None:
    run = write_run(tmp_path, cells=2)
    first, *_ = sorted(run.root.glob("records/metrics/ddim*.json"))
    content = first.read_text()
    assert content.count('"weights": "from-scratch"') == 1
    first.write_text(content.replace('"weights": "from-scratch"', '"weights": "elsewhere"'))
    facts = dict(re.findall(r"<dt>(.*?)</dt>\s*<dd>(.*?)</dd>", page(run)))
    assert (facts["Images drawn"], facts["Images made elsewhere"]) == ("64", "64")
