"""Figures as files and as parts of a page."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from matplotlib.figure import Figure

from benchmark.report import style
from benchmark.report.saving import page_svg, save_figure, tell

NASTY = 'a <b> & "c" url(#d) #0072b2 $x_1$'
SVG = "{http://www.w3.org/2000/svg}"


def figure() -> Figure:
    """A figure with a mark that tells something, and names that are no markup."""
    with style.applied():
        drawn = Figure(figsize=(2, 1.5))
        axes = drawn.subplots()
        [mark] = axes.plot([1, 2], [3, 4], "o", color=style.COLOURS[0])
        tell(mark, f"{NASTY}\nsecond line")
        axes.set_title(NASTY)
    return drawn


def page(name: str) -> ElementTree.Element:
    with style.applied():
        return ElementTree.fromstring(page_svg(figure(), name))


def test_ids_of_two_figures_in_one_page_differ_and_lead_to_what_they_name() -> None:
    found = []
    for name in ("one", "two"):
        text = ElementTree.tostring(page(name), encoding="unicode").replace("d) #", "")
        ids = re.findall(r' id="([^"]+)"', text)
        links = re.findall(r'href="#([^"]+)"|"url\(#([^)]+)\)"', text)
        assert ids
        assert {a or b for a, b in links} == set(ids)
        found += ids
    assert len(found) == len(set(found))


def test_what_tells_something_has_a_title_and_takes_the_focus() -> None:
    [mark] = [part for part in page("one").iter() if part.get("class") == "told"]
    title = mark.find(f"{SVG}title")
    assert title is not None
    assert title.text == mark.get("aria-label") == f"{NASTY}\nsecond line"
    assert mark.get("tabindex") == "0"


def test_colours_and_font_are_those_of_the_page_and_names_stay() -> None:
    root = page("one")
    styles = " ".join(part.get("style", "") + part.get("fill", "") for part in root.iter())
    assert "var(--s0)" in styles
    assert "var(--font)" in styles
    assert not re.search("#[0-9a-f]{6}|DejaVu", styles)
    assert NASTY in {text.text for text in root.iter(f"{SVG}text")}
    assert root.find(f".//{SVG}style") is None  # it would hold for the whole page


def test_a_file_has_texts_with_another_font_where_ours_is_missing(tmp_path: Path) -> None:
    with style.applied():
        save_figure(figure(), tmp_path / "plot.png")
    text = (tmp_path / "plot.svg").read_text()
    assert "'DejaVu Sans', sans-serif" in text
    assert "<title>" in text
    assert "#0072b2" in text
