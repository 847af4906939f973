"""The report page of a run: one file that needs no others, made of records and pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from benchmark.core.closure import TEMPLATES
from benchmark.core.reserved import TABLES
from benchmark.records.published import Key, Published, read_published
from benchmark.records.record import Record, read_records
from benchmark.records.rows import Row, collect, plain
from benchmark.report import style
from benchmark.report.best_by_budget import NAME as BEST_BY_BUDGET
from benchmark.report.claims import Claims, read_claims
from benchmark.report.classes_table import NAME as CLASSES
from benchmark.report.classifiers_table import NAME as CLASSIFIERS
from benchmark.report.figures import drawn
from benchmark.report.formats import FEW, Table, significant
from benchmark.report.likelihood_table import NAME as LIKELIHOOD
from benchmark.report.loss_curves import curves_of
from benchmark.report.measures import Verdict
from benchmark.report.ranking import Ranking, rankings
from benchmark.report.saving import page_svg
from benchmark.report.short_table import NAME as SUMMARY
from benchmark.report.site_pictures import (
    Picture,
    Pictures,
    answers_of,
    grids_of,
    movies_of,
    neighbours_of,
    scales_of,
    video_cell,
    write_video,
)
from benchmark.report.site_tables import Shown, shown_table, stated_claims
from benchmark.report.tables import all_tables
from benchmark.report.verdict_tables import findings_table, verdicts_table
from benchmark.report.verdicts import judge
from benchmark.report.words import in_words
from benchmark.storage.atomic import write_text
from benchmark.storage.paths import CLAIMS, Run


def write_site(
    run: Run, reference: Path | None, output: Run | None = None, claims: Path = CLAIMS
) -> list[Path]:
    """Write the page of a run, and the video beside it where a movie of 50 steps of DDIM exists.

    Args:
        run: run folder or bundle, of which the records and any pictures are read.
        reference: CSV of published figures, which stand beside ours.
        output: folder that gets the page; by default that of the run.
        claims: file of the claims that are judged.

    Returns:
        The files written.

    Raises:
        BenchmarkError: there are no records, or the figures or the claims cannot be read.
    """
    records = read_records(run.root)
    rows = collect(records)
    published = read_published(reference)
    pictures, to = Pictures(run.root), output or run
    cell, grids, ranked = video_cell(pictures, rows), grids_of(pictures, rows), rankings(rows)
    video = write_video(pictures, cell, to) if cell else None
    figures = _figures(records, rows, published)
    page = _template("site.html.jinja").render(
        name=run.root.resolve().name,
        css=_asset("site.css"),
        js=_asset("site.js") + _asset("site.tables.js") + _asset("site.compare.js"),
        colours=style.COLOURS,
        facts=_facts(records, rows),
        figures=figures,
        first_chart=next(filter(figures.get, FIRST_CHARTS), ""),
        trained_as={row.cell.id: row.cell.trained_as or "" for row in rows if row.cell},
        words=_paragraphs(ranked),
        grids=grids,
        scales=scales_of(grids.pictures, rows),
        best=_best(ranked, grids.pictures),
        curves=curves_of(records),
        movies=movies_of(pictures, rows, cell),
        video=video,
        neighbours=neighbours_of(pictures, rows),
        answers=answers_of(pictures, rows),
        provenance=_provenance(records),
        sources=_sources(records),
        **_tables(records, rows, published, read_claims(claims)),
    )
    write_text(to.site, page)
    return [to.site, *([to.video, to.video.with_suffix(".mp4")] if video else [])]


def _paragraphs(ranked: Sequence[Ranking]) -> list[list[str]]:
    """Return the sentences on each data set; a warning that several share is given once."""
    paragraphs: list[list[str]] = []
    for ranking in ranked:
        told = {line for lines in paragraphs for line in lines if line.startswith(FEW)}
        paragraphs.append([line for line in in_words(ranking) if line not in told])
    return paragraphs


def _best(ranked: Sequence[Ranking], grids: Sequence[Picture]) -> list[Picture]:
    """Return the samples of the best settings of each data set, the best first."""
    by_cell = {grid.cell: grid for grid in grids}
    best = [entry.cell.id for ranking in ranked for entry in ranking.ranked[:BEST]]
    return [by_cell[cell] for cell in best if cell in by_cell]


def _figures(
    records: Sequence[Record], rows: Sequence[Row], published: dict[Key, Published]
) -> dict[str, str]:
    """Return every figure of the records as SVG, by its name."""
    with style.applied():
        figures = drawn(records, rows, published)
        return {name: page_svg(figure, name) for name, figure in figures.items()}


def _tables(
    records: Sequence[Record], rows: Sequence[Row], published: dict[Key, Published], claims: Claims
) -> dict[str, object]:
    """Return what the page shows of the tables and the verdicts, by the names in its template."""
    judged = judge(claims, plain(rows))
    tried = [claim for claim in judged if claim.verdict is not Verdict.NOT_RUN]
    tables = {table.name: table for table in all_tables(records, published, claims)}
    return {
        "summary": shown_table(tables[SUMMARY]),
        "report": claims.report,
        "counts": [(v, sum(claim.verdict is v for claim in judged)) for v in Verdict],
        "claims": stated_claims(tried, verdicts_table(tried, published)),
        "results": [shown_table(table) for name, table in tables.items() if name not in TABLES],
        "best_by_budget": _shown(tables.get(BEST_BY_BUDGET)),
        "classes": _shown(tables.get(CLASSES)),
        "classifiers": _shown(tables.get(CLASSIFIERS)),
        "likelihood": _shown(tables.get(LIKELIHOOD)),
        "neighbours_table": _shown(tables.get("neighbours")),
        "answers_table": _shown(tables.get("answers")),
        "stages": shown_table(tables["stages"]),
        "findings": shown_table(findings_table(tried)),
    }


def _shown(table: Table | None) -> Shown | None:
    """Return a table of the page; None for one that the run has not, or that has no rows."""
    return shown_table(table) if table and table.rows else None


FIRST_CHARTS = ("distance-against-evaluations", "distance-by-model")  # one stands at the beginning
BEST = 3  # settings of each data set whose samples stand at the beginning

# Fields of a record that say where data come from.
SOURCE_FACTS = (
    *("origin", "licence", "attribution", "train_sha256", "held_out_sha256"),
    *("skipped_images", "conversions", "ignored_files"),
)


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
    drawn_here = [cell for cell in cells if cell.weights != "elsewhere"]
    elsewhere = sum(cell.samples for cell in cells) - sum(cell.samples for cell in drawn_here)
    data = dict.fromkeys(f"{cell.dataset} at {cell.resolution}×{cell.resolution}" for cell in cells)
    machines = dict.fromkeys(
        r.provenance.gpu or f"{r.provenance.cores} cores of {r.provenance.cpu}" for r in records
    )
    labels = dict.fromkeys(row.protocol.label for row in rows if row.protocol)
    return [
        ("Cells", str(len(cells))),
        ("Images drawn", f"{sum(cell.samples for cell in drawn_here):,}"),
        *([("Images made elsewhere", f"{elsewhere:,}")] if elsewhere else []),
        ("Data", "; ".join(data)),
        ("Distance", "; ".join(labels)),
        ("Machine", "; ".join(machines)),
        ("Begun", min(r.provenance.started for r in records)[:10]),
    ]


def _provenance(records: Sequence[Record]) -> list[tuple[str, list[str]]]:
    """Return the machines and the code of the jobs: all values of each field, each once."""
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
        for fact in SOURCE_FACTS:
            if found := getattr(record.prepared or record.gathered, fact, None):
                text = "; ".join(found) if isinstance(found, list) else str(found)
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
