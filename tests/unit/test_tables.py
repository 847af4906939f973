from __future__ import annotations

import csv
import io
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from records_fixture import write_run

from benchmark.core.errors import BenchmarkError
from benchmark.core.values import Value
from benchmark.records.published import read_published
from benchmark.records.record import Cell, read_record, read_records
from benchmark.records.rows import collect, table_names
from benchmark.report.formats import (
    Column,
    Table,
    TableEntry,
    latex_escape,
    significant,
    to_csv,
    to_latex,
    to_markdown,
)
from benchmark.report.tables import write_tables
from benchmark.storage.paths import Run

PROJECT = Path(__file__).parents[2]
GOLDEN = PROJECT / "tests" / "golden" / "run"
REFERENCE = PROJECT / "benchmark" / "reference" / "report.csv"


def table(run: Run, name: str) -> list[dict[str, str]]:
    write_tables(run, REFERENCE)
    return list(csv.DictReader(io.StringIO(run.tables(name)[0].read_text(encoding="utf-8"))))


def markdown(run: Run, name: str) -> str:
    write_tables(run, REFERENCE)
    return run.tables(name)[1].read_text(encoding="utf-8")


def rewrite(run: Run, name: str, **change: object) -> None:
    """Change the cell of one sampling record, as another config would."""
    path = run.record("sample", name)
    [old] = [r for r in read_records(run.root) if r.kind == "sample" and r.id == name]
    assert old.cell
    cell = Cell.model_validate({**old.cell.model_dump(), **change})
    path.write_text(old.model_copy(update={"cell": cell}).model_dump_json())


@pytest.mark.parametrize("path", sorted((GOLDEN / "tables").iterdir()), ids=lambda p: p.name)
def test_tables_equal_the_golden_ones(path: Path, tmp_path: Path) -> None:
    # To accept a change: write_tables(Run(GOLDEN), REFERENCE), and read the difference.
    shutil.copytree(GOLDEN / "records", tmp_path / "records")
    write_tables(Run(tmp_path), REFERENCE)
    assert (tmp_path / "tables" / path.name).read_bytes() == path.read_bytes()


def test_golden_tables_are_all_that_is_written(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "records", tmp_path / "records")
    written = {path.name for path in write_tables(Run(tmp_path), REFERENCE)}
    assert written == {path.name for path in (GOLDEN / "tables").iterdir()}


@pytest.mark.parametrize("name", ["verdicts", "findings"])
def test_claims_that_were_not_run_are_one_line_in_all(name: str, tmp_path: Path) -> None:
    run = write_run(tmp_path, cells=4)
    states = {int(row["claim"]): row["verdict"] for row in table(run, "verdicts")}
    tried = {number for number, verdict in states.items() if verdict != "not run"}
    assert {int(row["claim"]) for row in table(run, name)} == {*states}
    text = markdown(run, name)
    lines = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("|")]
    assert {int(claim) for claim in lines[2:]} == tried
    [told] = [line for line in text.splitlines() if line.startswith("Not run: ")]
    numbers = told.removeprefix("Not run: claims ").partition(";")[0].split(", ")
    spans = [[int(end) for end in span.split(" to ")] for span in numbers]
    assert [n for span in spans for n in range(span[0], span[-1] + 1)] == [
        number for number in states if number not in tried
    ]


def test_a_run_that_no_claim_is_about_has_no_table_of_them(tmp_path: Path) -> None:
    text = markdown(write_run(tmp_path, cells=0), "verdicts")
    assert not [line for line in text.splitlines() if line.startswith("|")]
    assert "Not run: claims 1 to 19; verdicts.csv has them too." in text


def test_skipped_images_are_counted_below_the_tables(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    assert "unreadable" not in markdown(run, "pretrained")
    path = run.record("data", "faces")
    record = read_record(path)
    bad = record.values | {"bad_images": Value(value=3)}
    path.write_text(record.model_copy(update={"values": bad}).model_dump_json())
    assert "Of faces, 3 unreadable images left out." in markdown(run, "pretrained")


def test_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    first = [p.read_bytes() for p in write_tables(write_run(tmp_path / "a"), REFERENCE)]
    second = [p.read_bytes() for p in write_tables(write_run(tmp_path / "b"), REFERENCE)]
    assert first == second


def test_order_of_records_does_not_matter(tmp_path: Path) -> None:
    records = read_records(write_run(tmp_path).root)
    assert collect(records) == collect(reversed(records))


def test_rows_are_ordered_by_family_schedule_sampler_steps(tmp_path: Path) -> None:
    rows = table(write_run(tmp_path), "pretrained")
    assert [(row["family"], row["steps"]) for row in rows if row["cell"]] == [
        ("DDPM", "50"),
        ("DDPM", "1000"),
        ("DDIM", "50"),
        ("DDIM", "1000"),
        ("NCSN", "1000"),
        ("SBGM-SDE", "2000"),
    ]


def test_tables_trained_from_scratch_come_first(tmp_path: Path) -> None:
    rows = collect(read_records(write_run(tmp_path).root))
    assert table_names(rows) == ["trained", "pretrained"]


def test_published_figures_stand_in_the_row_they_belong_to(tmp_path: Path) -> None:
    rows = {row["cell"]: row for row in table(write_run(tmp_path), "pretrained")}
    row = rows["ddim-zoo-linear-ddim-1000-s0"]
    assert (row["report_fid"], row["report_sample_minutes"]) == ("94.843", "213")
    assert row["report_train_minutes"] == ""
    assert rows["sde-zoo-ve-predictor-corrector-2000-s0"]["report_note"] == "12 minutes per image"


def test_every_published_row_is_found_by_its_cell(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    found = {r["report_fid"] for name in ("trained", "pretrained") for r in table(run, name)}
    assert {figures.fid for figures in read_published(REFERENCE).values()} == found - {""}


def test_a_cell_with_other_steps_has_no_published_figures(tmp_path: Path) -> None:
    run = write_run(tmp_path, cells=1)
    for path in (run.root / "records").glob("*/ddim-linear-ddim-50-s0.json"):
        path.write_text(path.read_text().replace('"steps": 50', '"steps": 49'))
    assert "report_fid" not in table(run, "trained")[0]
    assert "Report: the published row" not in markdown(run, "trained")


def test_times_follow_from_the_timed_batches(tmp_path: Path) -> None:
    row = table(write_run(tmp_path), "pretrained")[5]
    assert float(row["sample_seconds"]) == pytest.approx(16 * 14.2)
    assert float(row["seconds_per_image"]) == pytest.approx(14.2)
    assert float(row["images_per_second"]) == pytest.approx(1 / 14.2)
    assert row["network_evaluations"] == "4000"


def test_training_time_is_that_of_the_network_sampled(tmp_path: Path) -> None:
    rows = {row["cell"]: row for row in table(write_run(tmp_path), "trained")}
    assert float(rows["ddim-cosine-ddim-50-s0"]["train_minutes"]) == pytest.approx(66.4 / 60)


@pytest.mark.parametrize(
    ("extractor", "label"),
    [("efficientnet-lite0", "FD-EffNetLite0"), ("inception-v3-fid", "FID")],
)
def test_distance_has_the_label_of_its_extractor(
    extractor: str, label: str, tmp_path: Path
) -> None:
    run = write_run(tmp_path, extractor=extractor)
    header = table(run, "trained")[0]
    assert header[label] == "115.7"
    assert ("FID" in header) == (label == "FID")
    assert ("not an FID" in markdown(run, "trained")) == (label != "FID")


def test_the_label_does_not_hang_on_the_name_of_the_column(tmp_path: Path) -> None:
    run = write_run(tmp_path, cells=1)
    for path in (run.root / "records" / "metrics").iterdir():
        path.write_text(path.read_text().replace('"fd"', '"FID"'))
    header = table(run, "trained")[0]
    assert "FD-EffNetLite0" in header
    assert "FID" not in header


def test_an_added_metric_appears_by_itself(tmp_path: Path) -> None:
    run = write_run(tmp_path, cells=1)
    for path in (run.root / "records" / "metrics").iterdir():
        path.write_text(path.read_text().replace('"kid"', '"near_recall"'))
    assert table(run, "trained")[0]["near_recall"] == "0.0633"
    assert " near recall " in markdown(run, "trained")


def test_controls_are_the_last_rows_of_every_table_of_their_data(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    for name in ("trained", "pretrained", "neighbours"):
        last = [row["label"] for row in table(run, name)[-3:]]
        assert last == ["held-out images", "blur", "copies"]
    rewrite(run, "ddim-linear-ddim-50-s0", table="other", dataset="cats")
    for kind in ("metrics", "features", "retrieval"):
        run.record(kind, "ddim-linear-ddim-50-s0").unlink()
    assert [row["label"] for row in table(run, "other")] == ["DDIM"]


def test_a_run_with_samples_only_has_rows_without_distances(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    for kind in ("metrics", "retrieval", "features", "train"):
        shutil.rmtree(tmp_path / "records" / kind)
    rows = table(run, "trained")
    assert [row["seconds_per_image"] != "" for row in rows] == [True] * 4
    assert "FD-EffNetLite0" not in rows[0]
    assert not run.tables("neighbours")[0].exists()


def test_a_missing_cell_is_absent(tmp_path: Path) -> None:
    rows = table(write_run(tmp_path, cells=3), "trained")
    assert len(rows) == 3 + 3


def test_models_that_share_a_network_are_named(tmp_path: Path) -> None:
    shared = markdown(write_run(tmp_path / "a", share_training=True), "trained")
    assert "ddpm and ddim share the network ddim+ddpm-linear" in shared
    assert "share the network" not in markdown(write_run(tmp_path / "b"), "trained")


def test_a_family_with_two_models_names_both(tmp_path: Path) -> None:
    rows = table(write_run(tmp_path), "neighbours")
    assert {row["label"] for row in rows if row["family"] == "DDPM"} == {
        "DDPM",  # whose model is called ddpm
        "DDPM (ddpm-zoo)",
    }


def test_stages_sum_the_wall_time_of_their_jobs(tmp_path: Path) -> None:
    rows = {row["stage"]: row for row in table(write_run(tmp_path), "stages")}
    assert list(rows) == ["prepare", "train", "sample", "features", "evaluate", "retrieve"]
    assert (rows["sample"]["jobs"], float(rows["sample"]["seconds"])) == ("10", 300.0)
    assert rows["sample"]["peak_memory_mb"] == "734"
    assert rows["train"]["peak_memory_mb"] == ""


def test_a_table_with_a_reserved_name_is_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path, cells=1)
    rewrite(run, "ddim-linear-ddim-50-s0", table="stages")
    for kind in ("metrics", "features", "retrieval"):
        run.record(kind, "ddim-linear-ddim-50-s0").unlink()
    with pytest.raises(BenchmarkError, match="'stages' is a table that every run has"):
        write_tables(run, None)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("pretrained,faces,64", "column 'model' is missing"),
        (
            "a,b,8,pretrained,DDPM,linear,ddpm,50,9,1,2,3,note,more",
            "has more fields than the first",
        ),
    ],
)
def test_a_line_of_published_figures_with_other_fields_is_refused(
    line: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "report.csv"
    path.write_text(REFERENCE.read_text(encoding="utf-8").splitlines()[0] + f"\n{line}\n")
    with pytest.raises(BenchmarkError, match=message):
        read_published(path)


def test_published_figures_without_a_column_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "report.csv"
    path.write_text("model,schedule,sampler,steps,weights\nDDPM,linear,ddpm,50,pretrained\n")
    with pytest.raises(BenchmarkError, match=r"report\.csv: column 'dataset' is missing"):
        read_published(path)


def test_published_figures_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="cannot be read"):
        read_published(tmp_path / "nothing.csv")


def test_an_empty_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="no records"):
        write_tables(Run(tmp_path), None)


def test_latex_escapes_what_latex_reads_as_commands() -> None:
    assert latex_escape(r"a_b%c&d#e$f{g}~^\ ±") == (
        r"a\_b\%c\&d\#e\$f\{g\}\textasciitilde{}\textasciicircum{}\textbackslash{} $\pm$"
    )


AWKWARD = Table(
    "awkward",
    ["50 % of a|b_c."],
    [Column("name", "name", number=False), Column("x", "x", group="ours"), Column("hidden", None)],
    [
        {"name": "a|b_c & d", "x": Value(value=-0.00123, std_error=0.0004), "hidden": 1 / 3},
        {"name": 'say "x", y', "x": Value(value=0.5, low=-0.5, high=1.5)},
    ],
)


def test_csv_keeps_full_precision_and_separates_the_uncertainty() -> None:
    assert to_csv(AWKWARD).splitlines() == [
        "name,x,x_std_error,x_low,x_high,hidden",
        "a|b_c & d,-0.00123,0.0004,,,0.3333333333333333",
        '"say ""x"", y",0.5,,-0.5,1.5,',
    ]


def test_markdown_escapes_pipes_and_has_as_many_cells_as_columns() -> None:
    caption, _, *lines = to_markdown(AWKWARD).splitlines()
    assert caption == r"**awkward.** 50 % of a\|b\_c."
    assert lines[2].startswith(r"| a\|b\_c & d | ")
    assert {line.replace(r"\|", "").count("|") for line in lines} == {3}


def test_long_texts_are_broken_into_lines_in_latex() -> None:
    columns = [Column("a", "a"), Column("b", "b", number=False, width="5cm")]
    text = to_latex(Table("t", [], columns, [{"a": 1, "b": "long"}]))
    assert r"\begin{tabular}{rp{5cm}}" in text


def test_latex_has_no_letters_that_pdflatex_does_not_know(tmp_path: Path) -> None:
    write_tables(write_run(tmp_path), REFERENCE)
    text = "".join(path.read_text(encoding="utf-8") for path in tmp_path.glob("tables/*.tex"))
    assert {letter for letter in text if ord(letter) > 127} <= {"é"}


PAPER = r"""\documentclass{article}
\usepackage{booktabs,graphicx,longtable,lscape,rotating}
\begin{document}
%s
\end{document}
"""


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_tables_compile_and_none_is_wider_than_its_page(tmp_path: Path) -> None:
    write_tables(write_run(tmp_path), REFERENCE)
    long = Table("long", ["Title.", "A note."], AWKWARD.columns, 40 * AWKWARD.rows)
    wide = Table(
        "wide",
        ["Title."],
        [Column(str(i), f"a heading {i}") for i in range(20)],
        [{str(i): 1 / 3 for i in range(20)}],
    )
    for table in (AWKWARD, long, wide):
        (tmp_path / "tables" / f"{table.name}.tex").write_text(to_latex(table), encoding="utf-8")
    found = sorted(path.stem for path in tmp_path.glob("tables/*.tex"))
    inputs = "\n".join(rf"\input{{tables/{name}}}\clearpage" for name in found)
    (tmp_path / "paper.tex").write_text(PAPER % inputs)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    for _ in range(2):  # a long table learns its widths in the first
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout
    assert "too large for page" not in done.stdout


def test_latex_lines_have_as_many_cells_as_columns() -> None:
    text = to_latex(AWKWARD)
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
    assert {line.replace(r"\&", "").count("&") for line in body} == {1}
    assert text.count("{") == text.count("}")
    assert r"a|b\_c \& d & $-$0.0012 $\pm$ 0.0004 \\" in text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.0, "0"), (1234.5, "1234"), (12.345, "12.3"), (0.00123456, "0.00123"), (-2.0, "-2.00")],
)
def test_significant_digits(number: float, text: str) -> None:
    assert significant(number) == text


def test_tables_import_no_torch() -> None:
    code = "import sys, benchmark.report.tables; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT).returncode == 0


def evaluated(run: Run, name: str, **change: object) -> None:
    """Change one record of metrics."""
    path = run.record("metrics", name)
    path.write_text(read_record(path).model_copy(update=change).model_dump_json())


def test_the_floor_is_of_as_many_held_out_images(tmp_path: Path) -> None:
    rows = {row["cell"]: row for row in table(write_run(tmp_path), "pretrained")}
    assert rows["ddpm-zoo-linear-ddpm-50-s0"]["floor"] == "41.27"  # of 64
    floor = rows["ncsn-zoo-geometric-annealed-langevin-1000-s0"]["floor"]
    assert float(floor) == pytest.approx(41.27 + 400 / 32)


def test_a_floor_that_was_not_measured_is_left_empty(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    evaluated(run, "held-out-faces", sized={})
    rows = {row["cell"]: row for row in table(run, "pretrained")}
    assert rows["ddpm-zoo-linear-ddpm-50-s0"]["floor"] == "41.27"
    assert rows["ncsn-zoo-geometric-annealed-langevin-1000-s0"]["floor"] == ""
    assert "empty where there are fewer" in markdown(run, "pretrained")


def test_distances_of_fewer_images_stand_beside_those_of_all(tmp_path: Path) -> None:
    rows = {row["cell"]: row for row in table(write_run(tmp_path), "pretrained")}
    row = rows["ddpm-zoo-linear-ddpm-50-s0"]
    assert (row["distance_at_16"], row["distance_at_32"]) == ("484.2", "471.7")
    only = rows["sde-zoo-ve-predictor-corrector-2000-s0"]  # of 16
    assert (only["distance_at_16"], only["distance_at_32"]) == ("63.5", "")


def test_letters_are_compared_at_the_size_that_most_rows_have(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    rows = {row["cell"] or row["label"]: row["letters"] for row in table(run, "pretrained")}
    assert "difference of their distances at n = 16 holds 0" in markdown(run, "pretrained")
    assert all(rows.values())
    assert "at n = 64 holds 0" in markdown(run, "trained")


def test_a_row_that_was_not_measured_at_the_common_size_has_no_letter(tmp_path: Path) -> None:
    run = write_run(tmp_path, cells=3)
    path = "ddpm-linear-ddpm-1000-s0"
    protocol = read_record(run.record("metrics", path)).protocol
    assert protocol
    evaluated(run, path, sized={}, protocol=protocol.model_copy(update={"n_fake": 48}))
    rows = {row["cell"]: row["letters"] for row in table(run, "trained") if row["cell"]}
    assert [name for name, shown in rows.items() if not shown] == [path]


def test_distances_to_other_images_are_not_compared(tmp_path: Path) -> None:
    run = write_run(tmp_path, cells=2)
    name = "ddim-linear-ddim-50-s0"
    protocol = read_record(run.record("metrics", name)).protocol
    assert protocol
    evaluated(run, name, protocol=protocol.model_copy(update={"real_sha256": "2" * 64}))
    row = next(row for row in table(run, "trained") if row["cell"] == name)
    assert (row["letters"], row["floor"]) == ("", "")


def test_few_images_are_marked_beside_the_number_but_not_in_the_csv(tmp_path: Path) -> None:
    run = write_run(tmp_path, cells=1)
    assert "103.30† " in markdown(run, "trained")
    assert "†: of fewer than 1281 images" in markdown(run, "trained")
    assert r"103.30$\dagger$ " in run.tables("trained")[2].read_text()
    assert table(run, "trained")[0]["FD-EffNetLite0"] == "103.3"
    for path in (run.root / "records" / "metrics").iterdir():
        evaluated(run, path.stem, judged={"few": 64})
    text = markdown(run, "trained")
    assert "103.30 [" in text.replace("\\", "")  # 64 are not fewer than 64
    assert "†" in text  # of the first 16 and 32


def test_seeds_of_a_cell_are_summed_up(tmp_path: Path) -> None:
    run = write_run(tmp_path, cells=2)
    assert "over_seeds" not in table(run, "trained")[0]
    first = read_record(run.record("metrics", "ddim-linear-ddim-50-s0"))
    assert first.cell
    value = first.values["fd"].model_copy(update={"value": 107.3})
    cell = first.cell.model_copy(update={"id": "other", "seed": 1})
    again = first.model_copy(
        update={"id": "other", "cell": cell, "values": {**first.values, "fd": value}}
    )
    again.write(run.record("metrics", "other"))
    rows = {row["cell"]: row for row in table(run, "trained")}
    assert float(rows["other"]["over_seeds"]) == pytest.approx(105.3)
    assert rows["other"]["over_seeds"] == rows["ddim-linear-ddim-50-s0"]["over_seeds"]
    assert rows["ddim-cosine-ddim-50-s0"]["over_seeds"] == ""
    half = 12.706 * 2  # Student's t of one degree, times the error of the mean of 103.3 and 107.3
    assert float(rows["other"]["over_seeds_high"]) == pytest.approx(105.3 + half, abs=0.01)


def test_the_accused_are_counted_and_what_is_missing_is_said(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    rows = {row["label"]: row for row in table(run, "neighbours")}
    assert (rows["copies"]["accused"], rows["held-out images"]["accused"]) == ("64", "0")
    text = markdown(run, "neighbours").replace("\\", "")
    assert "Accused of the planted copies: exact 100%, mirrored 97%." in text
    assert "No C_T for " in text
    assert "no cell holds 20 of 64 samples" in text


def test_the_interval_of_a_share_of_nothing_is_seen() -> None:
    rows: list[dict[str, TableEntry]] = [{"p": Value(value=0, low=0, high=0.3244)}]
    table = Table("t", [], [Column("p", "precision")], rows)
    assert table.texts().to_numpy().tolist() == [["0.000 [0.000, 0.324]"]]
