"""The short table of a run: its order, its columns, and where it is shown."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from checkout import PROJECT
from records_fixture import CELLS, FEW, write_run

from benchmark.config.loading import load_config
from benchmark.records.published import read_published
from benchmark.records.record import Record, read_records
from benchmark.records.rows import Row, collect
from benchmark.report.claims import read_claims
from benchmark.report.document import write_documents
from benchmark.report.ending import ending, text_lines
from benchmark.report.formats import Marked, Table, to_markdown
from benchmark.report.ranking import rankings
from benchmark.report.short_table import short_table
from benchmark.report.tables import all_tables
from benchmark.report.words import in_words
from benchmark.storage.paths import CLAIMS, REFERENCE, Run

Change = Callable[[Record], Record]


def rows_of(run: Run, change: Change = lambda record: record) -> list[Row]:
    return collect(map(change, read_records(run.root)))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return write_run(tmp_path_factory.mktemp("run"))


def table_of(rows: list[Row]) -> Table:
    return short_table(rows, read_published(REFERENCE))


def without(n: int, cell: str) -> Change:
    """Return a function that takes the distance of n images from one cell."""

    def change(record: Record) -> Record:
        if record.kind != "metrics" or record.id != cell:
            return record
        sized = {size: value for size, value in record.sized.items() if size != n}
        return record.model_copy(update={"sized": sized})

    return change


def test_settings_are_ordered_by_the_distance_of_equally_many_images(run: Run) -> None:
    rows = table_of(rows_of(run)).rows
    assert {row["samples"] for row in rows} == {16}
    expected = sorted(d + 400 / 16 * (n > 16) for *_, n, d, _ in CELLS)
    found = [row["distance"].value.value for row in rows if isinstance(row["distance"], Marked)]
    assert found == pytest.approx(expected)


def test_times_the_floor_is_over_as_many_held_out_images(run: Run) -> None:
    [first, *_] = table_of(rows_of(run)).rows
    assert first["model"] == "sde-zoo"
    assert first["times_floor"] == pytest.approx(63.5 / (41.27 + 400 / 16))


def test_what_is_not_measured_at_the_common_number_comes_last(run: Run) -> None:
    rows = rows_of(run, without(16, "ddpm-zoo-linear-ddpm-1000-s0"))
    last = table_of(rows).rows[-1]
    assert (last["model"], last["samples"]) == ("sde-zoo", 16)  # nine are measured at 32 images
    [ranking] = rankings(rows)
    assert "1 setting was not measured at n = 32" in in_words(ranking)[-1]
    assert any("not measured at it" in line for line in table_of(rows).legend)


def test_a_schedule_is_told_only_where_it_tells_rows_apart(run: Run) -> None:
    def keys(rows: list[Row]) -> set[str]:
        return {column.key for column in table_of(rows).columns}

    rows = rows_of(run)
    linear = [row for row in rows if not row.cell or row.cell.schedule != "cosine"]
    assert "schedule" in keys(rows)
    assert "schedule" not in keys(linear)
    assert "data" not in keys(rows)


def test_the_words_name_the_best_and_what_cannot_be_told_from_it(run: Run) -> None:
    [ranking] = rankings(rows_of(run))
    first, others, cost, caution = in_words(ranking)
    assert "sde-zoo (ve, predictor-corrector, 2000 steps) has the lowest FD-EffNetLite0" in first
    assert "of 10 settings" in first
    assert "at n = 16 images" in first
    assert "0.958 times the floor" in first
    assert others == "Every other setting is farther from the real images."
    assert cost == "An image of it costs 4,000 network evaluations and 14.2 s."
    assert str(FEW) in caution


def test_settings_whose_difference_holds_zero_cannot_be_told_apart(run: Run) -> None:
    rows = [row for row in rows_of(run) if not row.cell or row.cell.weights == "from-scratch"]
    [ranking] = rankings(rows)
    # 99.8 and 103.3 with half widths of about 5 overlap; 113.4 and 115.7 do not.
    assert [entry.cell.sampler for entry in ranking.alike] == ["ddim"]
    text = " ".join(in_words(ranking))
    assert "1 of the others cannot be told from it: ddim (linear, ddim, 50 steps)." in text
    assert "The cheapest of those is ddim (linear, ddim, 50 steps): 50 network" in text


def test_seeds_of_a_setting_are_one_line(run: Run, tmp_path: Path) -> None:
    again = write_run(tmp_path, cells=1)
    rows = rows_of(again)
    [cell] = [row for row in rows if row.cell]
    assert cell.cell
    assert cell.metrics
    other = cell.cell.model_copy(update={"id": "other", "seed": 1})
    metrics = cell.metrics.model_copy(update={"id": "other", "cell": other})
    seeds = [*rows, Row(dataset="faces", cell=other, metrics=metrics, sample=cell.sample)]
    assert len(table_of(seeds).rows) == 1


def test_a_run_without_distances_says_so(run: Run) -> None:
    rows = [row for row in rows_of(run) if row.cell]
    bare = [Row(dataset=row.dataset, cell=row.cell, sample=row.sample) for row in rows]
    [ranking] = rankings(bare)
    assert in_words(ranking) == ["No distance of faces at 32×32 is measured yet."]
    assert len(table_of(bare).rows) == len(CELLS)


@pytest.mark.parametrize("width", [80, 160])
def test_no_line_of_the_table_is_wider_than_the_terminal(width: int, run: Run) -> None:
    lines = text_lines(table_of(rows_of(run)), width)
    assert max(map(len, lines)) <= width
    assert ("(no room for" in lines[-1]) == (width == 80)


def test_a_run_ends_with_its_words_its_table_and_where_to_look(run: Run) -> None:
    lines = ending(run, REFERENCE, width=160, most=3)
    assert lines[0].startswith("On faces at 32×32, sde-zoo")
    assert [line for line in lines if line.startswith(f"and {len(CELLS) - 3} more:")]
    assert lines[-2].startswith("The report's claims: ")
    assert "not run" not in lines[-2]
    assert lines[-1].endswith("report/index.html")
    assert len(lines) <= 10


def test_a_narrow_terminal_gets_the_same_in_a_few_lines_more(run: Run) -> None:
    lines = ending(run, REFERENCE, width=80, most=3)
    assert max(map(len, [line for line in lines if str(run.root) not in line])) <= 80
    assert all(line.startswith("/") or " " not in line or len(line) <= 80 for line in lines)


def test_claims_are_counted_only_where_one_was_tried(run: Run, tmp_path: Path) -> None:
    claims = yaml.safe_load(CLAIMS.read_text())
    claims["cells"] |= {"ddpm": claims["cells"]["ddpm"] | {"steps": 7}}
    claims["claims"] = [claims["claims"][0] | {"tests": [claims["claims"][0]["tests"][0]]}]
    (tmp_path / "claims.yaml").write_text(yaml.safe_dump(claims))
    other = ending(run, REFERENCE, 80, claims=tmp_path / "claims.yaml")
    assert "The report's claims" in "\n".join(ending(run, REFERENCE, 80))
    assert "The report's claims" not in "\n".join(other)


@pytest.mark.parametrize("sets", [1, 2, 30])
def test_every_caption_has_at_most_three_short_lines(sets: int, run: Run) -> None:
    names = [f"photographs-of-the-{i}th-folder" for i in range(sets)]
    records = [on_data(record, name) for name in names for record in read_records(run.root)]
    for table in all_tables(records, read_published(REFERENCE), read_claims(CLAIMS)):
        assert 1 <= len(table.caption) <= 3, table.name
        assert max(map(len, table.caption)) <= 160, table.name
        named = [name for name in names if any(name in line for line in table.caption)]
        left = f"; {sets - len(named)} more in the CSV."
        assert any(left in line for line in table.caption) == (0 < len(named) < sets)
        for column in {"data", "dataset"} & {column.key for column in table.columns}:
            found = {str(row.get(column)).removesuffix(" at 32×32") for row in table.rows}
            assert not named or found == {*names}


def on_data(record: Record, name: str) -> Record:
    """Return a record as of another data set."""
    parts: dict[str, Any] = {"id": f"{record.id}-{name}"}
    if record.cell:
        cell = {"id": f"{record.cell.id}-{name}", "dataset": name}
        parts["cell"] = record.cell.model_copy(update=cell)
    if record.control:
        parts["control"] = record.control.model_copy(update={"dataset": name})
    if record.protocol:
        parts["protocol"] = record.protocol.model_copy(update={"real_sha256": name})
    return record.model_copy(update=parts)


def test_verdicts_have_a_line_for_each_claim_that_was_tried_and_their_tests_below(run: Run) -> None:
    claims = read_claims(CLAIMS)
    tables = all_tables(read_records(run.root), read_published(REFERENCE), claims)
    verdicts = next(table for table in tables if table.name == "verdicts")
    text, tried = to_markdown(verdicts), [row["verdict"] != "not run" for row in verdicts.rows]
    lines = [line for line in text.splitlines() if re.match(r"\| +\d", line)]
    assert len(tried) == len(claims.claims)
    assert len(lines) == sum(tried)
    assert max(map(len, lines)) <= 160
    assert len(re.findall(r"^- \d: ", text, re.M)) >= len(claims.claims)
    assert str(claims.report) in text


def test_the_report_is_named_alike_in_the_claims_and_in_the_docs() -> None:
    report = read_claims(CLAIMS).report
    assert report
    for page in ("README.md", "docs/claims.md"):
        text = (PROJECT / page).read_text(encoding="utf-8")
        assert all(part in text for part in [*report.authors, report.title, report.year]), page


def test_the_short_table_of_the_readme_has_the_shape_of_one_that_is_made(
    run: Run, tmp_path: Path
) -> None:
    page = tmp_path / "page.md"
    page.write_text((PROJECT / "README.md").read_text(encoding="utf-8"))
    shutil.copytree(run.root, tmp_path / "quickstart")
    write_documents(Run(tmp_path / "quickstart"), [page], REFERENCE)
    tables = [
        [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
        for text in (
            "\n".join(line for line in _between_marks(file).splitlines() if line)
            for file in (PROJECT / "README.md", page)
        )
    ]
    ours, expected = tables
    assert ours[0] == expected[0]  # the same columns
    assert {len(row) for row in ours} == {len(expected[0])}
    cells = load_config(PROJECT / "config" / "config.yaml").cells
    names = {(cell.model, *map(str, cell.sampling)) for cell in cells}
    assert {tuple(row[:4]) for row in ours[2:]} <= names


def _between_marks(file: Path) -> str:
    text = file.read_text(encoding="utf-8")
    return (
        text.partition("<!-- results/quickstart: table summary")[2]
        .partition("-->")[2]
        .partition("<!--")[0]
    )
