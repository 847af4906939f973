"""The report page of a run: one file that needs nothing else, made of records and pictures."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from numpy.typing import NDArray
from PIL import Image

from benchmark.core.closure import TEMPLATES
from benchmark.core.reserved import COLUMNS
from benchmark.core.values import Value
from benchmark.records.published import read_published
from benchmark.records.record import SIZED, Cell, Record, read_records
from benchmark.records.rows import Row, collect, name_of, rank_of
from benchmark.report import charts, style
from benchmark.report.formats import Column, Marked, Table, TableEntry, significant
from benchmark.report.tables import all_tables
from benchmark.report.verdict_tables import evidence, interval, samples, verdicts_table
from benchmark.report.verdicts import Finding, Judged, Verdict, judge, read_claims
from benchmark.storage.atomic import atomic_path, write_text
from benchmark.storage.paths import CLAIMS, Run
from benchmark.storage.pictures import read_movie, save_film
from benchmark.storage.run_files import open_run

LARGEST_TILE = 80  # pixels of an image in the slider: 65 frames of three fit into a WebP
_QUALITY = 90  # of pictures that lose something
LOSSLESS = 200_000  # bytes; larger pictures lose something
WIDEST = 1600  # pixels
VIDEO_SCALE = 2
FRAME_MILLISECONDS = 80
REST = 25  # frames for which a video shows its end
# Columns that are shown on demand.
MORE = {
    "seed",
    "nearest_min",
    "nearest_mean",
    "kth_mean",
    "seconds_per_step",
    "sample_seconds",
    "images_per_second",
    "batch",
    "threads",
    "device",
    "report_resolution",
    "report_n_fake",
}
_IDENTITY = ("schedule", "sampler", "steps")  # on a phone they stand below the first column
# Published figures stand beside ours.
BESIDE = {"report_train_minutes": "train_minutes", "report_sample_minutes": "seconds_per_image"}


class _Pictures:
    """The pictures of a run, be it a folder or a bundle.

    Attributes:
        at: gives their paths.
    """

    def __init__(self, root: Path) -> None:
        self.at = Run(Path())
        self._files = open_run(root)

    def has(self, path: Path) -> bool:
        """Tell whether there is such a picture."""
        return bool(self._files.matching(path.as_posix()))

    def open(self, path: Path) -> io.BytesIO:
        """Return its content."""
        return io.BytesIO(self._files.read(path.as_posix()))


def write_site(
    run: Run, reference: Path | None, output: Run | None = None, claims: Path = CLAIMS
) -> list[Path]:
    """Write the page of a run, and the video beside it where a movie of 50 steps of DDIM exists.

    Args:
        run: the run, a folder or a bundle; its records are read, and its pictures as far as there
            are any.
        reference: CSV of published figures to set beside ours.
        output: what gets the page; by default the run's own folder.
        claims: what is judged.

    Returns:
        The files written.

    Raises:
        BenchmarkError: there are no records, or the figures or the claims cannot be read.
    """
    records = read_records(run.root)
    published = read_published(reference)
    stated = read_claims(claims)
    rows = collect(records)
    judged = judge(stated, rows)
    tables = {table.name: table for table in all_tables(records, published, stated)}
    pictures, to = _Pictures(run.root), output or run
    cell = _video_cell(pictures, rows)
    video = _write_video(pictures, cell, to) if cell else None
    page = _template("site.html.jinja").render(
        name=run.root.resolve().name,
        css=_asset("site.css"),
        js=_asset("site.js"),
        colours=style.COLOURS,
        width=charts.WIDTH,
        height=charts.HEIGHT,
        facts=_facts(records, rows),
        counts=[(v, sum(claim.verdict is v for claim in judged)) for v in Verdict],
        claims=_claims(judged, verdicts_table(judged, published)),
        results=[_shown(table) for name, table in tables.items() if name not in OWN_PLACE],
        trade_offs=charts.trade_offs(rows),
        grids=_grids(pictures, rows),
        movies=_movies(pictures, rows, cell),
        video=video,
        neighbours=_neighbours(pictures, rows),
        neighbours_table=_shown(tables["neighbours"]) if "neighbours" in tables else None,
        losses=charts.losses(records),
        stages=_shown(tables["stages"]),
        stage_bars=_stage_bars(tables["stages"]),
        cell_bars=_cell_bars(rows),
        findings=_shown(tables["findings"]),
        provenance=_provenance(records),
        sources=_sources(records),
    )
    write_text(to.site, page)
    return [to.site, *([to.video, to.video.with_suffix(".mp4")] if video else [])]


SOURCE_FACTS = (
    *("origin", "licence", "attribution", "train_sha256", "held_out_sha256"),
    *("skipped_images", "conversions", "ignored_files"),
)
OWN_PLACE = ("verdicts", "neighbours", "stages", "findings")


@dataclass(frozen=True)
class Head:
    """The head of a column."""

    text: str
    number: bool
    published: bool
    more: bool
    identity: bool

    @property
    def classes(self) -> str:
        """Its classes in the page."""
        return " ".join(name for name, is_so in vars(self).items() if is_so is True)


@dataclass(frozen=True)
class _Item:
    """An entry of a table: its text, what stands small below it, and what it is sorted by."""

    text: str
    small: str
    sort: str


@dataclass(frozen=True)
class Shown:
    """A table of the page."""

    name: str
    caption: list[str]
    heads: list[Head]
    rows: list[list[_Item]]

    def identity(self, row: list[_Item]) -> str:
        """Return what tells a row from others of its name."""
        found = [item.text for head, item in zip(self.heads, row, strict=True) if head.identity]
        return ", ".join(filter(None, found))

    @property
    def has_more(self) -> bool:
        """Whether some columns are shown on demand only."""
        return any(head.more for head in self.heads)


@dataclass(frozen=True)
class _Picture:
    """A picture inside the page."""

    name: str
    src: str
    width: int
    height: int
    text: str = ""


@dataclass(frozen=True)
class Video(_Picture):
    """A GIF, and the same as MP4."""

    mp4: str = ""


@dataclass(frozen=True)
class Movie:
    """The frames of a cell's generation, side by side in one picture."""

    name: str
    picture: _Picture
    frames: int
    steps: list[int]


@dataclass(frozen=True)
class StatedTest:
    """A test of a claim as the page shows it; its parts stand for each other."""

    verdict: Verdict
    found: str
    wanted: str
    parts: list[StatedTest]


@dataclass(frozen=True)
class StatedClaim:
    """A claim as the page shows it."""

    number: int
    text: str
    verdict: Verdict
    data: str
    report_data: str
    settle: str
    found: str
    tests: list[StatedTest]


def _template(name: str) -> Template:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template(name)


def _asset(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _facts(records: Sequence[Record], rows: Sequence[Row]) -> list[tuple[str, str]]:
    cells = [row.cell for row in rows if row.cell]
    data = dict.fromkeys(f"{cell.dataset} at {cell.resolution}×{cell.resolution}" for cell in cells)
    machines = dict.fromkeys(
        r.provenance.gpu or f"{r.provenance.cores} cores of {r.provenance.cpu}" for r in records
    )
    labels = dict.fromkeys(row.protocol.label for row in rows if row.protocol)
    return [
        ("Cells", str(len(cells))),
        ("Images drawn", f"{sum(cell.samples for cell in cells):,}"),
        ("Data", "; ".join(data)),
        ("Distance", "; ".join(labels)),
        ("Machine", "; ".join(machines)),
        ("Begun", min(r.provenance.started for r in records)[:10]),
    ]


def _claims(judged: Sequence[Judged], table: Table) -> list[StatedClaim]:
    return [
        StatedClaim(
            number=claim.number,
            text=claim.text,
            verdict=claim.verdict,
            data=str(row["data"] or ""),
            report_data=str(row["report_data"] or ""),
            settle=samples(claim.settle) or "",
            found=_decisive(claim),
            tests=[_stated(finding) for finding in claim.findings],
        )
        for claim, row in zip(judged, table.rows, strict=True)
    ]


def _stated(finding: Finding) -> StatedTest:
    found = "" if finding.parts else evidence(finding)
    return StatedTest(finding.verdict, found, finding.wanted, list(map(_stated, finding.parts)))


def _decisive(claim: Judged) -> str:
    """Return what the first test found that has the verdict of the claim."""
    tests = [part for finding in claim.findings for part in finding.parts or [finding]]
    same = [test for test in tests if test.verdict is claim.verdict] or tests
    return evidence(next((test for test in same if test.value), same[0]))


def _shown(table: Table) -> Shown:
    """Return a table with the published figures beside ours, and the less read columns marked."""
    order = _beside(table.shown)
    aside = {c.key for c in order if table.frame[c.key].isin([None, ""]).all()}
    if any(column.key == "letters" for column in order):  # the metrics besides the distance
        aside |= {c.key for c in order if c.key not in COLUMNS and not _is_distance(c.key)}
    heads = [
        Head(
            f"{column.group} {column.heading}".strip().replace("/", "/\N{ZERO WIDTH SPACE}"),
            column.number,
            bool(column.group),
            column.key in MORE | aside,
            column.key in _IDENTITY,
        )
        for column in order
    ]
    texts = table.texts()
    items = [map(_item, texts[column.key], table.frame[column.key]) for column in order]
    return Shown(table.name, table.caption, heads, list(map(list, zip(*items, strict=True))))


def _beside(columns: Sequence[Column]) -> list[Column]:
    """Put each published figure behind the column of ours that it belongs to."""
    ours = [column for column in columns if not column.group]
    keys = [column.key for column in ours]
    distance = next(filter(_is_distance, keys), "")
    behind = {**BESIDE, "report_fid": distance}
    published = [column for column in columns if column.group]
    order = []
    for column in ours:
        order += [column, *(p for p in published if behind.get(p.key) == column.key)]
    return [*order, *(p for p in published if behind.get(p.key) not in keys)]


def _is_distance(key: str) -> bool:
    """Tell whether a column holds a Fréchet distance: FID, another FD, or one of fewer images."""
    return key.startswith(("FID", "FD-", SIZED))


def _item(text: str, entry: TableEntry) -> _Item:
    value = entry.value if isinstance(entry, Marked) else entry
    number = value.value if isinstance(value, Value) else value
    main, opening, rest = text.partition(" [") if isinstance(value, Value) else (text, "", "")
    return _Item(main, f"[{rest}" if opening else "", "" if number is None else str(number))


def _grids(pictures: _Pictures, rows: Iterable[Row]) -> list[_Picture]:
    cells = [row.cell for row in rows if row.cell and pictures.has(pictures.at.grid(row.cell.id))]
    return [
        _picture(pictures, pictures.at.grid(cell.id), charts.title_of(cell), _drawn(cell))
        for cell in cells
    ]


def _drawn(cell: Cell) -> str:
    return f"{cell.samples} samples of {cell.model}, seed {cell.seed}"


def _movies(pictures: _Pictures, rows: Iterable[Row], first: Cell | None) -> list[Movie]:
    """Return the generation of every cell."""
    cells = [row.cell for row in rows if row.cell and pictures.has(pictures.at.movie(row.cell.id))]
    cells.sort(key=lambda cell: cell != first)
    return [_movie(pictures, cell) for cell in cells]


def _movie(pictures: _Pictures, cell: Cell) -> Movie:
    frames = _smaller(read_movie(pictures.open(pictures.at.movie(cell.id)), cell.resolution))
    sprite = Image.fromarray(np.concatenate([_panel(images) for images in frames], axis=1))
    count = len(frames)
    steps = [round(k * cell.sampling.steps / (count - 1)) for k in range(count)]
    name = charts.title_of(cell)
    return Movie(name, _encoded(sprite, name, lossy=True), count, steps)


def _smaller(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return frames whose images are at most LARGEST_TILE wide: every so many pixels' mean."""
    factor = -(-frames.shape[3] // LARGEST_TILE)
    side = frames.shape[3] // factor
    cut = frames[:, :, : side * factor, : side * factor]
    blocks = cut.reshape(*frames.shape[:2], side, factor, side, factor, 3)
    mean: NDArray[np.uint8] = blocks.mean(axis=(3, 5)).round().astype(np.uint8)
    return mean


def _panel(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay out n×H×W×3 images in rows of three."""
    count = len(images) - len(images) % 3 or len(images)
    columns = min(3, count)
    rows = [np.concatenate(list(images[i : i + columns]), axis=1) for i in range(0, count, columns)]
    return np.concatenate(rows, axis=0)


def _video_cell(pictures: _Pictures, rows: Iterable[Row]) -> Cell | None:
    """Return the cell of 50 steps of DDIM, of pretrained weights where there are any."""
    cells = [row.cell for row in rows if row.cell and pictures.has(pictures.at.movie(row.cell.id))]
    found = [cell for cell in cells if (cell.family, cell.steps) == ("DDIM", 50)]
    return max(found, key=lambda cell: cell.weights == "pretrained", default=None)


def _write_video(pictures: _Pictures, cell: Cell, run: Run) -> Video:
    """Write the movie of a cell as GIF and as MP4 (H.264), which rest at their end."""
    frames = _smaller(read_movie(pictures.open(pictures.at.movie(cell.id)), cell.resolution))
    images = [Image.fromarray(_panel(images)) for images in frames]
    size = (images[0].width * VIDEO_SCALE, images[0].height * VIDEO_SCALE)
    enlarged = [image.resize(size, Image.Resampling.NEAREST) for image in images]
    durations = [FRAME_MILLISECONDS] * (len(images) - 1) + [REST * FRAME_MILLISECONDS]
    with atomic_path(run.video) as temporary:
        enlarged[0].save(
            temporary, "GIF", save_all=True, append_images=enlarged[1:], duration=durations, loop=0
        )
    mp4 = run.video.with_suffix(".mp4")
    save_film([*enlarged, *[enlarged[-1]] * (REST - 1)], FRAME_MILLISECONDS, mp4)
    gif = _data("image/gif", run.video.read_bytes())
    return Video(name_of(cell), gif, *size, mp4=_data("video/mp4", mp4.read_bytes()))


def _neighbours(pictures: _Pictures, rows: Iterable[Row]) -> list[_Picture]:
    """Return the panels of nearest neighbours, the most suspicious first; controls come last."""
    found = [(_subject(row), row) for row in rows if row.retrieval]
    found = [(name, row) for name, row in found if pictures.has(pictures.at.neighbours(name))]
    found.sort(key=lambda pair: _suspicion(pair[1]))
    return [
        _picture(pictures, pictures.at.neighbours(name), _title(row), _suspected(row))
        for name, row in found
    ]


def _subject(row: Row) -> str:
    assert row.retrieval
    return row.retrieval.id


def _title(row: Row) -> str:
    if row.cell:
        return charts.title_of(row.cell)
    assert row.control
    return f"control: {row.control.kind.replace('-', ' ')}"


def _suspicion(row: Row) -> tuple[bool, float, float]:
    assert row.retrieval
    values = row.retrieval.values
    share, ratio = values.get("accused_share"), values.get("distance_ratio")
    accused, far = share.value if share else 0.0, ratio.value if ratio else math.inf
    return row.cell is None, -accused, far


def _suspected(row: Row) -> str:
    assert row.retrieval
    values = row.retrieval.values
    parts = [row.control.text] if row.control else []
    if "accused" in values:
        parts.append(f"{int(values['accused'].value)} accused of being copies")
    if "distance_ratio" in values:
        parts.append(f"distance {interval(values['distance_ratio'])} times that of held-out images")
    return "; ".join(parts)


def _picture(pictures: _Pictures, path: Path, name: str, text: str) -> _Picture:
    with Image.open(pictures.open(path)) as image:
        return _encoded(image.convert("RGB"), name, text)


def _encoded(image: Image.Image, name: str, text: str = "", *, lossy: bool = False) -> _Picture:
    """Return a picture as WebP: without loss while it is small."""
    if not lossy:
        image.thumbnail((WIDEST, 10 * WIDEST))
    data = b"" if lossy else _webp(image, lossless=True)
    if not data or len(data) > LOSSLESS:
        data = _webp(image, lossless=False)
    return _Picture(name, _data("image/webp", data), image.width, image.height, text)


def _data(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _webp(image: Image.Image, *, lossless: bool) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", lossless=lossless, quality=_QUALITY)
    return buffer.getvalue()


def _stage_bars(stages: Table) -> list[charts.ChartBar]:
    return charts.bars(
        [
            (str(row["stage"]), Value(value=float(str(row["seconds"]))), bool(row["busy_jobs"]), 0)
            for row in stages.rows
        ]
    )


def _cell_bars(rows: Iterable[Row]) -> list[charts.ChartBar]:
    timed = [
        (charts.title_of(row.cell), row.seconds, bool(row.busy), rank_of(row.cell))
        for row in rows
        if row.cell and row.seconds
    ]
    return charts.bars(sorted(timed, key=lambda item: item[1].value))


def _provenance(records: Sequence[Record]) -> list[tuple[str, list[str]]]:
    """Return what ran the jobs: each field with its different values."""
    machines = [record.provenance for record in records]
    fields: dict[str, list[str]] = {
        "CPU": [f"{m.cpu}, {m.cores} cores" for m in machines],
        "GPU": [m.gpu for m in machines if m.gpu],
        "Driver": [m.driver for m in machines if m.driver],
        "Memory": [f"{m.memory_bytes / 2**30:.0f} GiB" for m in machines],
        "Precision": [m.precision for m in machines],
        "System": [m.system for m in machines],
        "Python": [m.python for m in machines],
        "Libraries": [f"{name} {v}" for m in machines for name, v in m.libraries.items()],
        "Commit": [f"{m.git_commit}{' (changed)' * bool(m.git_dirty)}" for m in machines],
        "Lock file": [m.lock_sha256 for m in machines if m.lock_sha256],
        "Begun": [min(m.started for m in machines)],
        "Last job begun": [max(m.started for m in machines)],
        "Jobs": [f"{len(machines)}, {significant(sum(m.wall_seconds for m in machines))} s in all"],
    }
    return [(name, list(dict.fromkeys(values))) for name, values in fields.items() if values]


def _sources(records: Iterable[Record]) -> list[tuple[str, str]]:
    """Return where data and ready weights come from."""
    lines: dict[tuple[str, str], None] = {}
    for record in records:
        if record.kind in {"data", "sample"}:
            for fact in SOURCE_FACTS:
                if found := record.facts.get(fact):
                    text = "; ".join(map(str, found)) if isinstance(found, list) else str(found)
                    lines[f"{record.id}, {fact.replace('_', ' ')}", text] = None
        if record.checkpoint and record.cell:
            name, sha = record.checkpoint.name, record.checkpoint.sha256
            lines[f"weights of {record.cell.model}", f"{name}, SHA-256 {sha}"] = None
        if record.protocol:
            p = record.protocol
            text = f"{p.extractor}, {p.preprocessing}, {p.n_real} real images, weights SHA-256 "
            text += p.weights_sha256
            lines[p.label, text] = None
    return list(lines)
