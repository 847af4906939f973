from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from benchmark.core.values import Value
from benchmark.report.compare import ComparedPair, Comparison, Figure
from benchmark.report.compare_formats import COMPARISON_FORMATS
from benchmark.report.environment import Change
from benchmark.report.thresholds import Threshold

NASTY = "<script>alert(1)</script> & [b]x[/b] | `y` \"z'"


def value(number: float) -> Value:
    return Value(value=number, low=number - 1, high=number + 2)


FIGURES = [
    Figure("ddim-50", "fd", value(100), value(110), "worse", value(10)),
    Figure("ddpm-50", "fd", value(100), value(90), "not comparable", why="n_fake: 64 against 32"),
    Figure("ddim-50", "time", Value(value=2.0), None, "missing"),
]
PAIR = ComparedPair(
    base="old",
    other="new",
    environment=[Change("gpu", "none", "H100")],
    specs={"sample": (1, 2)},
    specified=["sampler.eta 0.0 → 1.0 (1 of sample)"],
    missing=["gone"],
    new=["come"],
    untold=["old"],
    figures=FIGURES,
    counts={"worse": 1, "same": 7, "not comparable": 1, "missing": 1},
)
FOUND = Comparison(
    pairs=[PAIR, replace(PAIR, other="newer", environment=[])],
    metrics={"fd": "FD-EffNetLite0", "time": "seconds per image"},
    higher=[],
    thresholds={"time": Threshold(0.1, relative=True)},
    status=1,
)


class Page(HTMLParser):
    """Collects tags, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [name for name, _ in attrs if name in ("src", "href", "style", "onclick")]
        if tag not in ("meta", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.mark.parametrize("name", ["table", "md", "html"])
def test_every_format_for_people_says_all(name: str) -> None:
    text = COMPARISON_FORMATS[name](FOUND)
    text = Page(text).words if name == "html" else text.replace("\\", "")
    for expected in (
        "new against old",
        "newer against old",
        "Figures: 1 worse, 7 same, 1 not comparable, 1 missing.",
        "Cells only in old: gone.",
        "Cells only in new: come.",
        "Jobs that were specified otherwise: 1 of 2 of sample.",
        "Specified otherwise: sampler.eta 0.0 → 1.0 (1 of sample).",
        "H100",
        "Machine and code: the same.",
        "100.0 [99.0, 102.0]",
        "10.00 [9.00, 12.00]",
        "n_fake: 64 against 32",
        "Lower is better. Threshold: 10%.",
        "seconds per image",
    ):
        assert expected in text, expected
    assert text.index("H100") < text.index("ddim-50")  # the environment comes first


def test_a_row_of_a_pipe_is_one_line() -> None:
    long = replace(FIGURES[1], cell="c" * 90, why="; ".join(["weights: a against b"] * 20))
    pair = replace(PAIR, figures=[long])
    [line] = [
        each
        for each in COMPARISON_FORMATS["table"](replace(FOUND, pairs=[pair])).splitlines()
        if "c" * 90 in each
    ]
    assert line.count("weights") == 20


def test_the_page_needs_nothing_else_and_escapes_what_it_shows() -> None:
    figure = replace(FIGURES[1], cell=NASTY, why=NASTY)
    pair = replace(PAIR, base=NASTY, other=NASTY, figures=[figure], missing=[NASTY])
    pair = replace(pair, environment=[Change(NASTY, NASTY, NASTY)])
    text = COMPARISON_FORMATS["html"](replace(FOUND, pairs=[pair], metrics={"fd": NASTY}))
    page = Page(text)
    assert page.open == []
    assert "script" not in page.tags
    assert page.links == []
    assert not re.search(r"https?:|url\(|@import", text)
    # title twice, heading, cells, environment, names of columns twice over, metric, cell, why
    assert page.words.count(NASTY) >= 12


def test_markdown_and_terminal_show_what_looks_like_markup_as_it_is() -> None:
    figure = replace(FIGURES[1], cell=NASTY)
    found = replace(FOUND, pairs=[replace(PAIR, figures=[figure])])
    assert NASTY in COMPARISON_FORMATS["table"](found)
    [row] = [line for line in COMPARISON_FORMATS["md"](found).splitlines() if "script" in line]
    assert len(re.findall(r"(?<!\\)\|", row)) == 7
    assert "\\<script>" in row


def test_json_holds_all_at_full_precision() -> None:
    content = json.loads(COMPARISON_FORMATS["json"](FOUND))
    assert content["status"] == 1
    assert content["thresholds"] == {"time": {"amount": 0.1, "relative": True}}
    first = content["pairs"][0]
    assert first["counts"]["not comparable"] == 1
    delta = first["figures"][0]["difference"]
    assert delta == {"value": 10.0, "std_error": None, "low": 9.0, "high": 12.0}
    assert first["figures"][2]["other"] is None
    assert (first["missing"], first["new"]) == (["gone"], ["come"])
