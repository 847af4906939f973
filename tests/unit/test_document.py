"""Tables and pictures of a run in documents."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from records_fixture import CELLS, write_run

from benchmark.core.errors import BenchmarkError
from benchmark.report.document import write_documents
from benchmark.storage.paths import REFERENCE, Run

MARK, END = "<!-- results/run: table summary -->", "<!-- end -->"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return write_run(tmp_path_factory.mktemp("runs") / "run")


def written(run: Run, file: Path, text: str) -> list[str]:
    """Return the lines of a document after its tables are written twice."""
    file.write_text(text)
    for _ in range(2):
        write_documents(run, [file], REFERENCE)
    return file.read_text().splitlines()


def cells_of(lines: list[str]) -> list[list[str]]:
    """Return the entries of all rows of tables, with their heads."""
    rows = [line for line in lines if line.startswith("|") and not line.startswith("| --")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_a_table_is_written_between_its_marks_and_nowhere_else(run: Run, tmp_path: Path) -> None:
    lines = written(run, tmp_path / "page.md", f"before\n{MARK}\nold\n{END}\nafter\n")
    assert lines[:2] == ["before", MARK]
    assert lines[-2:] == [END, "after"]
    assert len(cells_of(lines)) == len(CELLS) + 1
    assert "old" not in lines


def test_marks_of_other_runs_are_left_alone(run: Run, tmp_path: Path) -> None:
    other = "<!-- results/other: table summary -->\nkept\n<!-- end -->\n"
    lines = written(run, tmp_path / "page.md", f"{other}{MARK}\n{END}\n{other}")
    assert lines.count("kept") == 2
    assert len(cells_of(lines)) == len(CELLS) + 1


def test_several_tables_have_the_columns_and_rows_that_they_ask_for(
    run: Run, tmp_path: Path
) -> None:
    of_ddim = "<!-- results/run: table summary, columns steps model cell, where model ddim -->"
    lines = written(run, tmp_path / "page.md", f"{MARK}\n{END}\n{of_ddim}\n{END}\n")
    tables = cells_of(lines[lines.index(of_ddim) :])
    assert tables[0] == ["steps", "model", "cell"]
    assert {row[1] for row in tables[1:]} == {"ddim"}
    whole = cells_of(lines[: lines.index(of_ddim)])
    assert len(tables) - 1 == sum(row[0] == "ddim" for row in whole)


def test_rows_are_left_out(run: Run, tmp_path: Path) -> None:
    mark = "<!-- results/run: table summary, columns model, {} model ddim -->"
    kept, left_out = (
        cells_of(written(run, tmp_path / "page.md", f"{mark.format(rule)}\n{END}\n"))[1:]
        for rule in ("where", "without")
    )
    assert {row[0] for row in kept} == {"ddim"}
    assert "ddim" not in {row[0] for row in left_out}
    assert len(kept) + len(left_out) == len(CELLS)


def test_a_mark_that_a_document_shows_as_code_is_none(run: Run, tmp_path: Path) -> None:
    shown = f"```markdown\n{MARK}\n{END}\n```\n"
    lines = written(run, tmp_path / "page.md", f"{shown}{MARK}\n{END}\n{shown}")
    assert len(cells_of(lines)) == len(CELLS) + 1
    assert lines[:4] == lines[-4:] == shown.splitlines()


def test_the_first_rows_alone_are_written(run: Run, tmp_path: Path) -> None:
    mark = "<!-- results/run: table summary, columns model, first 2 -->"
    lines = written(run, tmp_path / "page.md", f"{mark}\n{END}\n")
    assert len(cells_of(lines)) == 3


def test_a_picture_is_written_beside_the_document(run: Run, tmp_path: Path) -> None:
    run.plot("time-by-model").parent.mkdir(exist_ok=True)
    Image.new("RGB", (3, 2)).save(run.plot("time-by-model"))
    (tmp_path / "docs").mkdir()
    mark = "<!-- results/run: picture plots/time-by-model.png as times.png -->"
    lines = written(run, tmp_path / "docs" / "page.md", f"{mark}\n![times](times.png)\n")
    assert lines == [mark, "![times](times.png)"]
    assert (tmp_path / "docs" / "times.png").read_bytes() == run.plot("time-by-model").read_bytes()


def test_a_png_can_have_few_colours(run: Run, tmp_path: Path) -> None:
    run.plot("timeline").parent.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(run.plot("timeline"))
    mark = "<!-- results/run: picture plots/timeline.png as few.png, 4 colours -->"
    written(run, tmp_path / "page.md", mark)
    with Image.open(tmp_path / "few.png") as few:
        assert len(few.convert("RGB").getcolors() or ()) == 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", r"page\.md: nothing asks for results/run: write a line"),
        (f"{MARK}\n", r"page\.md, line 1: nothing says where the table ends"),
        (f"{MARK}\n{MARK}\n{END}\n", r"page\.md, line 1: nothing says where the table ends"),
        (f"\n<!-- results/run: tbl x -->\n{END}", r"page\.md, line 2: 'tbl x' is no request"),
        (f"<!-- results/run: table summery_ -->\n{END}", "no table summery_: .*summary"),
        (
            f"<!-- results/run: table summary, columns stepps -->\n{END}",
            "no column stepps: .*steps",
        ),
        (f"<!-- results/run: table summary, where model dim -->\n{END}", "no model is dim: .*ddim"),
        (
            "<!-- results/run: picture plots/timeline.png as x.png, 1 colours -->",
            "1 colours: 2 to 256 would be right",
        ),
        (
            "<!-- results/run: picture records/data/faces.json as x.png, 4 colours -->",
            "colours: only a PNG can have fewer",
        ),
        ("<!-- results/run: picture plots/x.png as x.png -->", r"the run has no plots/x\.png"),
    ],
)
def test_what_cannot_be_written_is_refused_and_nothing_is_changed(
    text: str, expected: str, run: Run, tmp_path: Path
) -> None:
    good, page = tmp_path / "good.md", tmp_path / "page.md"
    good.write_text(f"{MARK}\n{END}\n")
    page.write_text(text)
    with pytest.raises(BenchmarkError, match=expected):
        write_documents(run, [good, page], REFERENCE)
    assert page.read_text() == text
    assert good.read_text() == f"{MARK}\n{END}\n"


def test_a_document_that_is_missing_is_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"page\.md: cannot be read"):
        write_documents(run, [tmp_path / "page.md"], REFERENCE)


def test_a_copy_under_another_name_goes_by_that_name(run: Run, tmp_path: Path) -> None:
    shutil.copytree(run.root, tmp_path / "renamed")
    with pytest.raises(BenchmarkError, match="nothing asks for results/renamed"):
        written(Run(tmp_path / "renamed"), tmp_path / "page.md", f"{MARK}\n{END}\n")
