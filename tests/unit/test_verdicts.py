from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from records_fixture import CELLS, make_cell, record, retrieval

from benchmark.core.errors import BenchmarkError
from benchmark.core.values import Value
from benchmark.metrics.uncertainty import proportion
from benchmark.records.published import key_of, read_published
from benchmark.records.record import Cell, Control, Protocol, Record, read_records
from benchmark.records.rows import Row, collect
from benchmark.records.timing import Timing
from benchmark.report.claims import _flat, read_claims
from benchmark.report.measures import (
    Lookup,
    Measurement,
    UndecidedError,
    Verdict,
    measured_time_ratio,
)
from benchmark.report.verdict_tables import figures
from benchmark.report.verdicts import ClaimVerdict, Finding, all_of, any_of, judge
from benchmark.storage.paths import CLAIMS, REFERENCE

PROJECT = Path(__file__).parents[2]
GOLDEN = PROJECT / "tests" / "golden" / "run"
SETTLED = {Verdict.REPRODUCED, Verdict.CONTRADICTED}
PROTOCOL = {
    "extractor": "inception-v3-fid",
    "label": "FID",
    "weights_sha256": "0" * 64,
    "preprocessing": "bilinear 299",
    "dimension": 2048,
    "n_real": 28000,
    "n_fake": 100,
    "real_sha256": "1" * 64,
}
NOISE_FID = 480.0
Change = Callable[[Cell], float]


def one(cell: Cell) -> float:
    return 1.0


def report_rows(
    half: float = 0.2,
    fid: Change = one,
    seconds: Change = one,
    batches: int = 4,
    copies: int = 0,
    resolution: int | None = None,
    noise: bool = True,
    planted: float = 1.0,
) -> list[Row]:
    """Return rows with the report's own figures, as if measured with intervals of ± `half`."""
    records: list[Record] = []
    published = read_published(REFERENCE)
    for point in CELLS:
        cell = make_cell(point).model_copy(update={"samples": 100})
        figures = published[key_of(cell)]
        cell = cell.model_copy(update={"resolution": resolution or int(figures.resolution)})
        minutes = float(figures.sample_minutes or 1200)  # 12 minutes an image
        took = minutes * 60 / batches * seconds(cell)
        records += [
            timed(cell, took, batches),
            judged(cell.id, float(figures.fid) * fid(cell), half, cell=cell),
            retrieval(cell.id, 1.0, cell=cell).model_copy(
                update={"values": {"accused": Value(value=copies)}}
            ),
        ]
    if noise:
        control = Control(kind="noise", dataset="faces", text="random pixels")
        records.append(judged("noise-faces", NOISE_FID, half, control=control))
    plants = Control(kind="copies", dataset="faces", text="copies")
    found = retrieval("copies-faces", 0.0, control=plants)
    retrieved = found.retrieved.model_copy(update={"accused_of": {"exact": planted}})
    return collect([*records, found.model_copy(update={"retrieved": retrieved})])


def timed(cell: Cell, seconds: float, batches: int) -> Record:
    timing = Timing(
        warmup_batches=1,
        batch=100 // batches,
        batch_seconds=[seconds * (1 + 0.001 * i) for i in range(batches)],
        batch_images=[100 // batches] * batches,
        network_evaluations=cell.steps,
        peak_memory_bytes=1,
        peak_memory_of="process",
    )
    return record("sample", cell.id, seconds, cell=cell, timing=timing)


def judged(name: str, fid: float, half: float, **subject: object) -> Record:
    value = Value(value=fid, low=fid - half, high=fid + half)
    protocol = Protocol.model_validate(PROTOCOL)
    return record("metrics", name, 1.0, values={"fd": value}, protocol=protocol, **subject)


def verdicts(rows: list[Row]) -> list[Verdict]:
    return [claim.verdict for claim in judge(read_claims(CLAIMS), rows)]


def claim(number: int, rows: list[Row]) -> ClaimVerdict:
    return judge(read_claims(CLAIMS), rows)[number - 1]


def is_(name: str, factor: float) -> Change:
    """Multiply the figure of the cells whose id starts so."""
    return lambda cell: factor if cell.id.startswith(name) else 1.0


def test_the_reports_own_figures_reproduce_every_claim_when_intervals_are_narrow() -> None:
    assert verdicts(report_rows())[:9] == [Verdict.REPRODUCED] * 9


def test_intervals_of_a_hundred_samples_settle_little() -> None:
    found = verdicts(report_rows(half=30.0))
    told = [number for number, verdict in enumerate(found, start=1) if verdict in SETTLED]
    assert told == [3, 4, 9]


def test_a_run_without_the_reports_cells_has_run_no_claim() -> None:
    assert set(verdicts([])) == {Verdict.NOT_RUN}


@pytest.mark.parametrize(
    ("number", "fid"),
    [
        (1, is_("ddim-cosine", 0.8)),
        (2, is_("ddim-linear", 1.3)),
        (4, is_("ddpm-zoo-linear-ddpm-50", 0.2)),
        (4, is_("ddim-zoo-linear-ddim-50", 4.0)),
        (5, is_("ddim-zoo-linear-ddim-1000", 0.7)),
        (6, is_("ncsn", 0.6)),
        (7, is_("sde", 1.5)),
        (8, is_("ddim-zoo-linear-ddim-50", 2.0)),
    ],
)
def test_each_claim_about_distances_is_contradicted_by_other_distances(
    number: int, fid: Change
) -> None:
    assert claim(number, report_rows(fid=fid)).verdict is Verdict.CONTRADICTED


@pytest.mark.parametrize(
    ("number", "seconds"),
    [
        (3, is_("ddim", 2.0)),
        (6, is_("ncsn", 1000.0)),
        (6, is_("ncsn", 0.001)),
        (7, is_("sde", 0.25)),
        (8, is_("ddpm-zoo-linear-ddpm-1000", 0.04)),
    ],
)
def test_each_claim_about_times_is_contradicted_by_other_times(
    number: int, seconds: Change
) -> None:
    assert claim(number, report_rows(seconds=seconds)).verdict is Verdict.CONTRADICTED


def test_many_accused_contradict_that_samples_are_no_copies() -> None:
    assert claim(9, report_rows(copies=40)).verdict is Verdict.CONTRADICTED


def test_a_few_accused_leave_open_whether_samples_are_copies() -> None:
    found = claim(9, report_rows(copies=1))
    assert found.verdict is Verdict.CANNOT_TELL
    assert found.findings[0].why == "4 of 400 samples are accused: look at their panels"


def test_no_accused_say_nothing_where_planted_copies_are_not_found() -> None:
    found = claim(9, report_rows(planted=0.5))
    assert found.verdict is Verdict.CANNOT_TELL
    assert "planted" in found.findings[0].why


def test_copies_are_looked_for_on_every_data_set() -> None:
    rows = report_rows()
    moved = [
        Row(**{**vars(row), "dataset": "others"})
        if row.cell and row.cell.weights == "from-scratch"
        else row
        for row in rows
    ]
    found = claim(9, moved)
    assert found.verdict is Verdict.CANNOT_TELL
    assert "the control 'copies' is missing" in found.findings[0].why
    [control] = [r for r in rows if r.control and r.control.kind == "copies"]
    with_control = [*moved, Row(**{**vars(control), "dataset": "others"})]
    assert claim(9, with_control).verdict is Verdict.REPRODUCED


def test_collapse_is_not_told_without_the_control_of_noise() -> None:
    found = claim(4, report_rows(noise=False))
    assert found.verdict is Verdict.CANNOT_TELL
    assert "evaluation.controls" in found.findings[0].why


def test_low_cost_is_not_put_down_to_size_where_all_sizes_are_equal() -> None:
    found = claim(6, report_rows(resolution=32))
    assert found.verdict is Verdict.CANNOT_TELL
    assert found.findings[2].why == "the images of both have the same size here"


def test_times_of_one_batch_have_no_interval() -> None:
    found = claim(3, report_rows(batches=1))
    assert found.verdict is Verdict.CANNOT_TELL
    assert "one timed batch" in found.findings[0].why


@pytest.mark.parametrize(
    ("field", "value"), [("threads", 1), ("precision", "bfloat16"), ("cpu", "Another CPU")]
)
def test_times_of_unlike_machines_are_not_compared(field: str, value: object) -> None:
    rows = report_rows()
    changed = [
        Row(
            **{
                **vars(row),
                "sample": row.sample.model_copy(
                    update={"provenance": row.sample.provenance.model_copy(update={field: value})}
                ),
            }
        )
        if row.sample and row.cell and row.cell.family == "DDIM"
        else row
        for row in rows
    ]
    found = claim(3, changed)
    assert found.verdict is Verdict.CANNOT_TELL
    assert found.findings[0].why.startswith("not comparable: ")
    assert str(value) in found.findings[0].why


def test_times_of_unlike_batches_are_not_compared() -> None:
    rows = {row.cell.id: row for row in report_rows() if row.cell}
    others = {row.cell.id: row for row in report_rows(batches=2) if row.cell}
    mixed = [row if row.cell.family == "DDPM" else others[name] for name, row in rows.items()]
    assert claim(3, mixed).findings[0].why == "not comparable: batch is 25 and 50"


def test_distances_to_other_images_are_not_compared() -> None:
    rows = report_rows()
    [ncsn] = [row for row in rows if row.cell and row.cell.family == "NCSN"]
    assert ncsn.metrics
    assert ncsn.protocol
    other = ncsn.protocol.model_copy(update={"real_sha256": "2" * 64})
    metrics = ncsn.metrics.model_copy(update={"protocol": other})
    rows[rows.index(ncsn)] = Row(**{**vars(ncsn), "metrics": metrics})
    found = claim(6, rows)
    assert found.verdict is Verdict.CANNOT_TELL
    assert found.findings[0].why == "not comparable: real_sha256 is 111111111111 and 222222222222"


def test_distances_are_compared_at_the_number_of_images_that_both_have() -> None:
    rows = collect(read_records(GOLDEN))
    for row in rows:
        if row.cell and row.cell.family == "DDPM" and row.metrics and row.protocol:
            half = row.protocol.model_copy(update={"n_fake": 32})
            sized = {16: row.metrics.sized[16]}
            rows[rows.index(row)] = Row(
                **{
                    **vars(row),
                    "metrics": row.metrics.model_copy(update={"protocol": half, "sized": sized}),
                }
            )
    found = claim(2, rows).findings[0]
    assert found.n == 32  # the 64 images of DDIM are not compared with the 32 of DDPM
    assert found.value
    assert found.value.value == pytest.approx((103.3 + 400 / 32) / 99.8)


def test_seeds_of_a_cell_are_judged_together() -> None:
    rows = report_rows()
    [first] = [r for r in rows if r.cell and r.cell.id == "ddim-linear-ddim-50-s0"]
    assert first.cell
    assert first.metrics
    cell = first.cell.model_copy(update={"id": "again", "seed": 1})
    value = {"fd": Value(value=123.322, low=123.0, high=124.0)}
    metrics = first.metrics.model_copy(update={"cell": cell, "id": "again", "values": value})
    rows.append(Row(dataset="faces", cell=cell, metrics=metrics))
    found = claim(1, rows).findings[1]
    assert found.value
    assert found.value.value == pytest.approx(113.322 - 113.433)
    assert found.verdict is Verdict.CANNOT_TELL


def test_several_models_of_a_cell_are_not_mixed() -> None:
    rows = report_rows()
    twin = next(row for row in rows if row.cell and row.cell.id == "ddim-linear-ddim-50-s0")
    assert twin.cell
    other = twin.cell.model_copy(update={"model": "larger", "id": "larger"})
    found = claim(1, [*rows, Row(**{**vars(twin), "cell": other})])
    assert found.findings[1].why == ("several fit DDIM linear 50: ddim on faces, larger on faces")


def test_a_claim_may_name_the_model_of_a_cell() -> None:
    rows = report_rows()
    twin = next(row for row in rows if row.cell and row.cell.id == "ddim-linear-ddim-50-s0")
    assert twin.cell
    other = twin.cell.model_copy(update={"model": "larger", "id": "larger"})
    both = [*rows, Row(**{**vars(twin), "cell": other})]
    reported = read_claims(CLAIMS).cells["ddim"].model_copy(update={"model": "larger"})
    lookup = Lookup(both, {"larger": reported})
    assert [row.cell for row in lookup.cells("larger")] == [other]
    assert lookup.text("larger") == "larger linear 50"


def test_a_better_rival_that_is_slow_does_not_end_the_best_trade_off_but_a_quick_one_does() -> None:
    good = is_("ncsn", 0.6)  # 66 against the 81 of DDIM
    assert claim(8, report_rows(fid=good)).verdict is Verdict.CONTRADICTED
    slow = report_rows(fid=good, seconds=is_("ncsn", 100.0))
    assert claim(8, slow).verdict is Verdict.REPRODUCED


def test_as_many_samples_as_said_would_settle_it() -> None:
    value = Value(value=-2.0, low=-7.0, high=4.0)
    measured = Measurement(value, None, 0.0, (), samples=100)
    assert measured.verdict(1) is Verdict.CANNOT_TELL
    assert measured.settle(1) == pytest.approx(900)  # the upper half of 6 has to shrink to 2
    third = Value(value=-2.0, low=-2 - 5 / 3, high=0.0)
    assert Measurement(third, None, 0.0, (), samples=900).verdict(1) is Verdict.REPRODUCED


def test_as_many_samples_as_said_would_settle_a_ratio() -> None:
    value = Value(value=1.02, low=0.8, high=1.3)
    needed = Measurement(value, 0.9, 1.1, (), 100, relative=True).settle(1)
    assert needed
    shrink = math.sqrt(100 / needed)
    low = 1.02 * (0.8 / 1.02) ** shrink
    high = 1.02 * (1.3 / 1.02) ** shrink
    assert high == pytest.approx(1.1)
    assert low >= 0.9


def test_as_many_samples_as_said_would_settle_that_none_is_a_copy() -> None:
    found = claim(9, [r for r in report_rows() if not r.cell or r.cell.family != "DDPM"])
    assert found.findings[0].verdict is Verdict.NOT_RUN
    few = [
        Row(**{**vars(r), "cell": r.cell.model_copy(update={"samples": 20})}) if r.cell else r
        for r in report_rows()
    ]
    needed = claim(9, few).findings[2].settle
    assert needed
    n = math.ceil(needed)
    assert proportion(_none(n)).high == pytest.approx(0.05, abs=5e-4)


def _none(n: int):  # type: ignore[no-untyped-def]
    import numpy as np

    return np.zeros(n, bool)


def test_a_claim_of_several_tests_is_contradicted_by_a_wider_interval_only() -> None:
    measured = Measurement(Value(value=2.0, low=0.1, high=3.9), None, 0.0, (), samples=100)
    assert measured.verdict(1) is Verdict.CONTRADICTED
    assert measured.verdict(4) is Verdict.CANNOT_TELL  # 2 − 1.9 · 2.498 / 1.960 < 0
    needed = measured.settle(4)
    assert needed == pytest.approx(100 * (1.9 * 2.4977 / 1.95996 / 2) ** 2, rel=1e-4)
    good = Measurement(Value(value=-2.0, low=-3.9, high=-0.1), None, 0.0, (), samples=100)
    assert good.verdict(4) is Verdict.REPRODUCED


def test_the_figures_of_a_claim_in_short_are_those_of_its_tests_by_quantity() -> None:
    def found(quantity: str, value: float, half: float) -> Finding:
        measured = Value(value=value, low=value - half, high=value + half)
        return Finding("m", "w", Verdict.REPRODUCED, measured, quantity=quantity)

    ratios = [found("ratio of distances", value, 0.05) for value in (1.04, 1.19)]
    either = Finding("one", "w", Verdict.REPRODUCED, parts=(found("ratio of times", 234, 20),))
    untold = Finding("m", "w", Verdict.NOT_RUN, why="it was not run", quantity="share")
    tests = [ratios[0], untold, found("ratio of evaluations", 0.15, 0.0), ratios[1], either]
    assert figures(tests) == [
        "ratio of distances 1.04 [0.99, 1.09], 1.19 [1.14, 1.24]",
        "ratio of evaluations 0.150",
        "ratio of times 234 [214, 254]",
    ]


def test_every_test_of_the_claims_names_its_quantity() -> None:
    findings = [f for claim in judge(read_claims(CLAIMS), []) for f in claim.findings]
    assert all(part.quantity for finding in findings for part in finding.parts or [finding])


def test_equal_cells_are_never_settled() -> None:
    measured = Measurement(Value(value=0.0, low=-1.0, high=1.0), None, 0.0, (), samples=10)
    assert measured.settle(1) == math.inf


def test_one_test_contradicts_a_claim_and_all_are_needed_to_reproduce_it() -> None:
    r, c, t, n = Verdict
    assert [all_of(v) for v in ([r, r], [r, c, n], [r, t], [r, n], [n, n])] == [r, c, t, t, n]
    assert [any_of(v) for v in ([r, c], [c, c], [c, t], [c, n], [n, n])] == [r, c, t, t, n]


def test_time_is_that_of_full_batches_alone() -> None:
    rows = report_rows()
    [a] = [r for r in rows if r.cell and r.cell.id == "ddpm-linear-ddpm-1000-s0"]
    [b] = [r for r in rows if r.cell and r.cell.id == "ddim-linear-ddim-50-s0"]
    before = measured_time_ratio([a], [b], 1.0, None).value.value
    assert before == pytest.approx(20)
    assert b.sample
    assert b.sample.timing
    timing = b.sample.timing.model_copy(
        update={
            "batch_seconds": [*b.sample.timing.batch_seconds, 1e6],
            "batch_images": [*b.sample.timing.batch_images, 3],
        }
    )
    sample = b.sample.model_copy(update={"timing": timing})
    after = measured_time_ratio([a], [Row(**{**vars(b), "sample": sample})], 1.0, None).value.value
    assert after == before


def test_one_batch_has_an_interval_where_its_laps_are_told() -> None:
    rows = report_rows(batches=1)
    [a] = [r for r in rows if r.cell and r.cell.id == "ddpm-linear-ddpm-1000-s0"]
    [b] = [r for r in rows if r.cell and r.cell.id == "ddim-linear-ddim-50-s0"]
    with pytest.raises(UndecidedError, match="one timed batch has no interval"):
        measured_time_ratio([a], [b], 16, 25)
    found = measured_time_ratio([_in_laps(a)], [_in_laps(b)], 16, 25)
    assert found.value.value == pytest.approx(20)
    assert found.value.low is not None
    assert 19 < found.value.low < 20
    assert found.verdict(1) is Verdict.REPRODUCED


def _in_laps(row: Row) -> Row:
    """Return the row with its only batch divided into eight parts, some a little slower."""
    assert row.sample
    assert row.sample.timing
    [seconds] = row.sample.timing.batch_seconds
    laps = [(seconds / 8 * (1 + 0.01 * (-1) ** i), 5) for i in range(8)]
    timing = row.sample.timing.model_copy(update={"batch_laps": [laps]})
    return Row(**{**vars(row), "sample": row.sample.model_copy(update={"timing": timing})})


def test_every_cell_of_the_first_claims_is_a_row_of_the_report() -> None:
    claims = read_claims(CLAIMS)
    named = {
        name
        for claim in claims.claims[:9]
        for test in _flat(claim.tests)
        for name in (getattr(test, "cell", None), getattr(test, "other", None))
        if name
    }
    assert {claims.cells[name].key for name in named} == set(read_published(REFERENCE))


def test_every_claim_has_the_words_of_no_other_and_tests() -> None:
    claims = read_claims(CLAIMS).claims
    assert len({c.text for c in claims}) == len(claims)
    assert all(c.tests for c in claims)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c["claims"][0]["tests"][0].update(cell="dppm"), "did you mean 'ddpm'"),
        (lambda c: c["claims"][0]["tests"][0].pop("cell"), r"claims\.0\.tests\.0.*cell: .*missing"),
        (lambda c: c["claims"][0]["tests"][0].update(test="closest"), "claims"),
        (lambda c: c["claims"][1]["tests"][0].pop("at_least") and None, None),
        (lambda c: c["claims"].clear(), "claims"),
    ],
)
def test_a_mistake_in_the_claims_is_one_line(
    change: Callable[[dict[str, object]], object], said: str | None, tmp_path: Path
) -> None:
    content = yaml.safe_load(CLAIMS.read_text(encoding="utf-8"))
    change(content)
    path = tmp_path / "claims.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    if said is None:
        read_claims(path)
        return
    with pytest.raises(BenchmarkError, match=said) as caught:
        read_claims(path)
    assert "\n" not in str(caught.value)


def test_claims_that_cannot_be_read_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="cannot be read"):
        read_claims(tmp_path / "none.yaml")


def test_a_lookup_names_a_cell_that_was_not_run() -> None:
    lookup = Lookup([], read_claims(CLAIMS).cells)
    assert lookup.text("ready-ddpm-50") == "pretrained DDPM linear 50"
