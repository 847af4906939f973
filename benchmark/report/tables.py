"""Tables: our figures beside the published ones, as CSV, Markdown and LaTeX.

Tables depend on the records alone: the same records give the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmark.records.networks import compares_samplers
from benchmark.records.published import Key, Published, read_published
from benchmark.records.record import Record, read_records
from benchmark.records.rows import collect, plain, table_names
from benchmark.report.answers_table import answers_table
from benchmark.report.best_by_budget import best_by_budget_table
from benchmark.report.claims import Claims, read_claims
from benchmark.report.classes_table import classes_table, has_classes
from benchmark.report.classifiers_table import classifiers_table
from benchmark.report.formats import FORMATS, Table
from benchmark.report.likelihood_table import likelihood_table
from benchmark.report.neighbours_table import neighbours_table
from benchmark.report.results_table import results_table
from benchmark.report.short_table import short_table
from benchmark.report.stages_table import stages_table
from benchmark.report.verdict_tables import findings_table, verdicts_table
from benchmark.report.verdicts import judge
from benchmark.storage.atomic import write_text
from benchmark.storage.paths import CLAIMS, TABLE_FORMATS, Run


def write_tables(
    run: Run, reference: Path | None, output: Run | None = None, claims: Path = CLAIMS
) -> list[Path]:
    """Write every table of a run in every format.

    Args:
        run: run folder or bundle, of which only the records are read.
        reference: CSV of published figures, which stand beside ours.
        output: folder that gets the tables; by default that of the run.
        claims: file of the claims that are judged.

    Returns:
        The files written.

    Raises:
        BenchmarkError: there are no records, or the figures or the claims cannot be read.
    """
    records = read_records(run.root)
    tables = all_tables(records, read_published(reference), read_claims(claims))
    return [path for table in tables for path in _write(output or run, table)]


def all_tables(
    records: Sequence[Record], published: dict[Key, Published], claims: Claims
) -> list[Table]:
    """Return all tables: the short one, verdicts, results, and those of single questions."""
    rows = collect(records)
    judged = judge(claims, plain(rows))
    tables = [short_table(rows, published), verdicts_table(judged, published, claims.report)]
    tables += [results_table(name, rows, published) for name in table_names(rows)]
    if compares_samplers(row.cell for row in rows if row.cell):
        tables.append(best_by_budget_table(rows))
    if has_classes(rows):
        tables.append(classes_table(rows))
    if any(record.classified for record in records):
        tables.append(classifiers_table(records))
    if any(row.retrieval for row in rows):
        tables.append(neighbours_table(rows))
    if any(record.likelihoods for record in records):
        tables.append(likelihood_table(records))
    if any(row.answers for row in rows):
        tables.append(answers_table(rows))
    return [*tables, stages_table(records), findings_table(judged)]


def _write(run: Run, table: Table) -> list[Path]:
    paths = run.tables(table.name)
    for path, suffix in zip(paths, TABLE_FORMATS, strict=True):
        write_text(path, FORMATS[suffix](table))
    return paths
