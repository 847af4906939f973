"""The table of the best sampler for each number of network evaluations."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from records_fixture import LABELS, interval, make_cell, metrics, record, timing, write_run

from benchmark.config.loading import load_config
from benchmark.core.errors import BenchmarkError
from benchmark.core.values import Value
from benchmark.metrics.uncertainty import across_seeds
from benchmark.records.networks import compares_samplers
from benchmark.records.record import Cell, Protocol, Record, read_record
from benchmark.records.rows import Row, collect, table_names
from benchmark.report import site
from benchmark.report.best_by_budget import Choice, best_by_budget_table, choices
from benchmark.report.planes import evaluations, planes
from benchmark.report.tables import write_tables
from benchmark.storage.paths import TABLE_FORMATS, Run

PROJECT = Path(__file__).parents[2]
REFERENCE = PROJECT / "benchmark" / "reference" / "report.csv"
LABEL = LABELS["efficientnet-lite0"]
PROTOCOL = Protocol(
    extractor="efficientnet-lite0",
    label=LABEL,
    weights_sha256="0" * 64,
    preprocessing="bicubic 224",
    dimension=1280,
    n_real=800,
    n_fake=64,
    real_sha256="1" * 64,
)
# Two distances of the fixture differ by more than this where one test is made: √(4.21² + 5.17²).
APART = 6.667
WIDER = 1.1436  # of two tests: the normal quantiles of 1 - 0.025 / 2 and 0.975

# The sampler, its steps, its evaluations and its distance; heun takes 2n - 1.
SWEEP = [
    *(("ddim", 5, 5, 90.0), ("ddim", 10, 10, 70.0), ("ddim", 20, 20, 50.0)),
    *(("unipc", 5, 5, 80.0), ("unipc", 10, 10, 60.0), ("unipc", 20, 20, 52.0)),
    *(("heun", 3, 5, 200.0), ("heun", 5, 9, 55.0), ("heun", 10, 19, 51.0)),
]
Setting = tuple[str, int, float, float]


def sampled(
    setting: Setting, family: str = "DDPM", seed: int = 0, **missing: str
) -> tuple[Record, Record]:
    """Return the records of the sampling and of the distance of one setting."""
    sampler, steps, network_evaluations, distance = setting
    made = make_cell((family, "linear", sampler, steps, "pretrained", 64, distance, 0.1))
    changes = {"seed": seed, "id": f"{made.id[:-1]}{seed}"}
    cell = made.model_copy(update=changes)
    spent = timing(cell, 0.1).model_copy(update={"network_evaluations": network_evaluations})
    judged = metrics(cell.id, distance, PROTOCOL, cell=cell)
    return record("sample", cell.id, 9.0, cell=cell, timing=spent), judged


def rows_of(*settings: Setting, family: str = "DDPM") -> list[Row]:
    return collect([found for each in settings for found in sampled(each, family)])


def chosen(rows: list[Row]) -> dict[int, Choice]:
    """Return the choices among the samplers of the only network of the only plane."""
    [plane] = planes(rows, evaluations)
    [lines] = plane.families.values()
    return {choice.budget: choice for choice in choices(lines)}


def named(choice: Choice) -> list[tuple[str | None, int | None]]:
    """Return sampler and steps of the best setting and of those that are like it."""
    return [(point.cell.sampler, point.cell.steps) for point in (choice.best, *choice.alike)]


def entries(rows: list[Row]) -> list[dict[str, object]]:
    return [dict(row) for row in best_by_budget_table(rows).rows]


def with_metrics(row: Row, **change: object) -> Row:
    assert row.metrics
    return Row(
        row.dataset, row.cell, sample=row.sample, metrics=row.metrics.model_copy(update=change)
    )


def test_a_sampler_counts_with_the_evaluations_that_it_takes() -> None:
    found = chosen(rows_of(*SWEEP))
    assert list(found) == [5, 10, 20]  # and not 9 and 19, which heun alone takes
    assert [named(choice)[0] for choice in found.values()] == [
        ("unipc", 5),
        ("heun", 5),
        ("ddim", 20),
    ]
    assert [choice.best.cost.value for choice in found.values()] == [5, 9, 20]


def test_the_largest_number_of_evaluations_is_a_budget_though_one_sampler_takes_it() -> None:
    found = chosen(rows_of(*SWEEP, ("ddpm", 1000, 1000, 30.0)))
    assert list(found) == [5, 10, 20, 1000]
    assert named(found[1000]) == [("ddpm", 1000)]
    assert [choice.compared for choice in found.values()] == [3, 3, 3, 4]


def test_the_mean_of_an_adaptive_solver_is_within_the_next_whole_number() -> None:
    rows = rows_of(("ddim", 10, 10, 70.0), ("probability-flow", 10, 26.4, 40.0))
    found = chosen(rows)
    assert list(found) == [10, 27]
    assert named(found[27]) == [("probability-flow", 10)]
    assert entries(rows)[1]["network_evaluations"] == 26.4


@pytest.mark.parametrize(
    ("gap", "alike"), [(APART - 0.01, True), (APART + 0.01, False), (WIDER * APART, False)]
)
def test_two_samplers_are_alike_where_the_interval_of_their_difference_holds_0(
    gap: float, alike: bool
) -> None:
    found = chosen(rows_of(("ddim", 10, 10, 70.0), ("unipc", 10, 10, 70.0 + gap)))
    assert named(found[10])[1:] == [("unipc", 10)] * alike


@pytest.mark.parametrize(
    ("gap", "alike"),
    [(APART + 0.01, True), (WIDER * APART - 0.01, True), (WIDER * APART + 0.01, False)],
)
def test_of_two_comparisons_with_the_best_each_interval_is_wider(gap: float, alike: bool) -> None:
    settings = [("ddim", 10, 10, 70.0), ("unipc", 10, 10, 70.0 + gap), ("heun", 10, 10, 300.0)]
    assert named(chosen(rows_of(*settings))[10])[1:] == [("unipc", 10)] * alike


def test_those_alike_are_named_best_first_and_each_by_its_best_setting() -> None:
    settings = [("ddim", 5, 5, 60.5), ("ddim", 10, 10, 61.0), ("unipc", 10, 10, 60.2)]
    rows = rows_of(*settings, ("heun", 5, 9, 60.0), ("heun", 3, 5, 400.0))
    assert named(chosen(rows)[10]) == [("heun", 5), ("unipc", 10), ("ddim", 5)]
    assert entries(rows)[-1]["alike"] == "unipc (10), ddim (5)"


def test_of_equal_distances_the_cheapest_is_the_best() -> None:
    rows = rows_of(("ddim", 10, 10, 60.0), ("ddim", 20, 20, 60.0), ("heun", 5, 9, 60.0))
    assert named(chosen(rows)[20]) == [("heun", 5), ("ddim", 10)]


def test_seeds_are_one_setting_with_the_scatter_between_them() -> None:
    records = [*sampled(("ddim", 10, 10, 60.0)), *sampled(("ddim", 10, 10, 64.0), seed=1)]
    rows = collect([*records, *sampled(("unipc", 10, 10, 61.0))])
    [choice] = chosen(rows).values()
    assert named(choice) == [("unipc", 10), ("ddim", 10)]
    assert choice.alike[0].distance == across_seeds([interval(60.0), interval(64.0)])
    assert choice.compared == 2


def test_each_network_with_several_samplers_has_its_own_lines() -> None:
    rows = [*rows_of(*SWEEP), *rows_of(*SWEEP[:6], family="DDIM")]
    rows += rows_of(*SWEEP[:3], family="SBGM-SDE")  # one sampler only
    table = best_by_budget_table(rows)
    assert [(row["label"], row["budget"], row["compared"]) for row in table.rows] == [
        *(("DDPM", budget, 3) for budget in (5, 10, 20)),
        *(("DDIM", budget, 2) for budget in (5, 10, 20)),
    ]
    assert {row["samples"] for row in table.rows} == {64}


def test_distances_are_compared_at_one_number_of_images() -> None:
    rows = rows_of(*SWEEP)
    at = next(n for n, row in enumerate(rows) if row.cell and row.cell.id.endswith("heun-3-s0"))
    of_48 = PROTOCOL.model_copy(update={"n_fake": 48})
    rows[at] = with_metrics(rows[at], protocol=of_48, sized={})
    table = best_by_budget_table(rows)
    assert [row["compared"] for row in table.rows] == [2, 3, 3]
    assert "Not compared: DDPM linear heun 3: not measured at n = 64." in table.legend


def test_what_has_no_distance_or_no_interval_is_named_and_not_compared() -> None:
    rows = rows_of(*SWEEP)
    by_name = {(row.cell.sampler, row.cell.steps): n for n, row in enumerate(rows) if row.cell}
    nothing, bare = by_name["heun", 5], by_name["ddim", 20]
    rows[nothing] = with_metrics(rows[nothing], values={}, sized={}, missing={"fd": "one image"})
    rows[bare] = with_metrics(rows[bare], values={"fd": Value(value=1.0)}, sized={})
    table = best_by_budget_table(rows)
    assert "Not compared: DDPM linear heun 5: one image." in table.legend
    assert "Not compared: DDPM linear ddim 20: no interval of the distance." in table.legend
    assert [row["sampler"] for row in table.rows] == ["unipc", "unipc", "heun"]


def test_a_run_without_distances_has_a_table_without_lines() -> None:
    rows = [
        with_metrics(row, values={}, sized={}, missing={"fd": "one image"})
        for row in rows_of(*SWEEP)
    ]
    table = best_by_budget_table(rows)
    assert table.rows == []
    assert sum("one image" in line for line in table.legend) == 1


def test_a_busy_machine_changes_nothing() -> None:
    rows = rows_of(*SWEEP)
    quiet = entries(rows)
    for row in rows:
        assert row.sample
        row.sample.__dict__["busy"] = "others took 3 cores"
    assert entries(rows) == quiet


def test_the_schedule_is_named_where_a_network_has_several() -> None:
    rows = rows_of(*SWEEP[:3])
    others = [
        Row(
            row.dataset,
            row.cell.model_copy(update={"schedule": "cosine", "id": f"c{n}"}),
            None,
            sample=row.sample,
            metrics=row.metrics,
        )
        for n, row in enumerate(rows)
        if row.cell
    ]
    first, *_ = entries([*rows, *others])
    assert (first["schedule"], first["alike"]) == ("linear", "cosine ddim (5)")


def cells(*settings: tuple[str, int], **change: str) -> list[Cell]:
    made = (make_cell(("DDPM", "linear", *s, "pretrained", 64, 1.0, 1.0)) for s in settings)
    return [cell.model_copy(update=change) for cell in made]


def test_only_two_samplers_of_one_network_at_two_numbers_of_steps_are_compared() -> None:
    ddim, unipc = cells(("ddim", 5), ("ddim", 10)), cells(("unipc", 5), ("unipc", 20))
    assert compares_samplers([*ddim, *unipc])
    assert not compares_samplers([])
    assert not compares_samplers(ddim)
    assert not compares_samplers([*ddim, *unipc[:1]])
    assert not compares_samplers([*ddim, *ddim, *unipc[:1], *unipc[:1]])  # seeds
    assert not compares_samplers([*ddim, *cells(("unipc", 5), ("unipc", 20), model="other")])


def test_the_shipped_sweep_has_the_table_and_the_quickstart_has_not() -> None:
    assert compares_samplers(load_config(PROJECT / "config" / "samplers.yaml").cells)
    assert not compares_samplers(load_config(PROJECT / "config" / "config.yaml").cells)


def write_sweep(root: Path) -> Run:
    """Write the records of a run that has the sweep, beside others."""
    run = write_run(root, cells=2)
    for setting in SWEEP:
        for found in sampled(setting):
            path = run.record(found.kind, found.id)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(found.model_dump_json())
    return run


def test_the_table_is_written_in_every_format(tmp_path: Path) -> None:
    run = write_sweep(tmp_path)
    write_tables(run, REFERENCE)
    paths = dict(zip(TABLE_FORMATS, run.tables("best-by-budget"), strict=True))
    lines = list(csv.DictReader(io.StringIO(paths["csv"].read_text(encoding="utf-8"))))
    facts = ("label", "budget", "sampler", "steps", "network_evaluations", "compared", "alike")
    assert [tuple(line[fact] for fact in facts) for line in lines] == [
        ("DDPM", "5", "unipc", "5", "5", "3", ""),
        ("DDPM", "10", "heun", "5", "9", "3", "unipc (10)"),
        ("DDPM", "20", "ddim", "20", "20", "3", "heun (10), unipc (20)"),
    ]
    assert [float(line[f"{LABEL}_low"]) for line in lines] == [75.79, 50.79, 45.79]
    assert [float(line["floor"]) for line in lines] == [41.27] * 3
    assert "heun (10), unipc (20)" in paths["md"].read_text(encoding="utf-8")
    assert r"heun (10), unipc (20) \\" in paths["tex"].read_text(encoding="utf-8")


def test_a_run_without_a_sweep_has_no_such_table(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    write_tables(run, REFERENCE)
    assert not any(path.exists() for path in run.tables("best-by-budget"))


def test_the_page_has_a_section_with_a_link_to_the_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("distance-against-evaluations", "distance-by-model")
    monkeypatch.setattr(site, "drawn", lambda *_: {name: Figure() for name in names})
    run = write_sweep(tmp_path)
    site.write_site(run, REFERENCE)
    page = run.site.read_text(encoding="utf-8")
    assert '<a href="#best-by-budget">' in page
    section = page.split('<section id="best-by-budget">')[1].split("</section>")[0]
    assert 'href="#distance-against-evaluations"' in section
    assert "heun (10), unipc (20)" in section
    assert page.count('id="distance-against-evaluations"') == 1


def test_no_table_of_a_grid_may_have_its_name(tmp_path: Path) -> None:
    run = write_run(tmp_path, cells=1)
    path = run.record("sample", "ddim-linear-ddim-50-s0")
    found = read_record(path)
    assert found.cell
    cell = found.cell.model_copy(update={"table": "best-by-budget"})
    path.write_text(found.model_copy(update={"cell": cell}).model_dump_json())
    with pytest.raises(BenchmarkError, match="'best-by-budget' is a table that every run has"):
        table_names(collect([read_record(path)]))
