"""How a figure becomes files, and a part of a page."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from matplotlib.artist import Artist
from matplotlib.figure import Figure

from benchmark.report import style
from benchmark.storage.atomic import atomic_path

# Without dates and versions the same figure gives the same bytes.
METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": dict.fromkeys(("Date", "Creator", "Format", "Type")),
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
# What stands for a colour in a page, which may be dark.
_VARIABLES = {
    colour.lower(): f"var({name})"
    for colour, name in {
        **{colour: f"--s{number}" for number, colour in enumerate(style.COLOURS)},
        style.INK: "--ink",
        style.PAPER: "--paper",
        style.MUTED: "--soft",
        style.GRID: "--line",
        style.BAND: "--band",
    }.items()
}
_SVG, _LINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
ElementTree.register_namespace("", _SVG)
ElementTree.register_namespace("xlink", _LINK)
_COLOUR = re.compile(r"#[0-9a-f]{6}")
_TOLD = "told: "  # begins the id of what has a title
_BREAK = "\u2028"  # between lines of a title, as XML makes a space of a line break in an attribute
_FONT = "'DejaVu Sans'"


def tell(artist: Artist, text: str) -> None:
    """Let an artist show a text in a browser where it is hovered or has the focus."""
    artist.set_gid(_TOLD + text.replace("\n", _BREAK))


def _freeze(figure: Figure) -> None:
    """Lay a figure out once and for all, so that no format does it again."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")


def save_figure(figure: Figure, path: Path) -> list[Path]:
    """Write a figure as PNG, SVG and PDF beside each other; return the three paths."""
    _freeze(figure)
    paths = [path.with_suffix(f".{kind}") for kind in METADATA]
    for target, (kind, metadata) in zip(paths, METADATA.items(), strict=True):
        with atomic_path(target) as temporary:
            if kind == "svg":
                text = ElementTree.tostring(_svg(figure), encoding="unicode")
                temporary.write_text(text.replace(_FONT, f"{_FONT}, sans-serif"), "utf-8")
            else:
                figure.savefig(temporary, format=kind, metadata=metadata)
    return paths


def save_as_drawn(figure: Figure, path: Path) -> None:
    """Write a figure to one file of the format that its suffix names, without marks to hover."""
    kind = path.suffix.lower().removeprefix(".")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format=kind, metadata=METADATA[kind])


def page_svg(figure: Figure, name: str) -> str:
    """Return a figure as SVG for a page, with its font and colours; its ids begin with `name`."""
    _freeze(figure)
    root = _svg(figure)
    root.remove(root[0])  # the style of the file, which would be that of the whole page
    for element in root.iter():
        for key, value in element.items():
            if key in ("style", "fill"):
                value = value.replace(_FONT, "var(--font)")
                value = _COLOUR.sub(lambda found: _VARIABLES.get(found[0], found[0]), value)
            if key == "id":
                value = f"{name}-{value}"
            if key != "aria-label":
                value = value.replace("url(#", f"url(#{name}-")
            if key == f"{{{_LINK}}}href":
                value = f"#{name}-{value[1:]}"
            element.set(key, value)
    return ElementTree.tostring(root, encoding="unicode")


def _svg(figure: Figure) -> ElementTree.Element:
    """Return a figure as SVG: what tells something has a title, and no id stands without use."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata=METADATA["svg"])
    root = ElementTree.fromstring(re.sub(r">\s+<", "><", buffer.getvalue()))
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', buffer.getvalue()))
    for element in root.iter():
        name = element.get("id", "")
        if name.startswith(_TOLD):
            text = name.removeprefix(_TOLD).replace(_BREAK, "\n")
            element.attrib |= {"class": "told", "tabindex": "0", "role": "img", "aria-label": text}
            title = ElementTree.Element(f"{{{_SVG}}}title")
            title.text = text
            element.insert(0, title)
        if name not in used:
            element.attrib.pop("id", None)
    return root
