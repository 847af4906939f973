"""Damaged records: one line names the file and the key, and says what to do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from records_fixture import CELLS, make_cell, write_run

from benchmark.core.errors import BenchmarkError
from benchmark.records.record import SCHEMA_VERSION, read_record, read_records
from benchmark.storage.paths import Run

CELL, OTHER = (make_cell(point).id for point in CELLS[:2])
REMEDY = ": remove it and run its command again"
DELETED = object()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A made-up run of two cells."""
    return write_run(tmp_path / "quick", cells=2)


def refusal(run: Run, path: Path) -> str:
    """What reading the run says, which names the file, and reading the file says too."""
    with pytest.raises(BenchmarkError) as caught:
        read_records(run.root)
    said = str(caught.value)
    assert said.startswith(f"{path}: ")
    assert "\n" not in said
    with pytest.raises(BenchmarkError) as alone:
        read_record(path)
    assert str(alone.value) == said
    return said.removeprefix(f"{path}: ")


def put(path: Path, place: str, value: object) -> None:
    """Set what stands at a place such as `timing.batch_seconds.0`, or delete it."""
    content = json.loads(path.read_text())
    at: Any = content
    *outer, last = [int(part) if part.isdecimal() else part for part in place.split(".")]
    for part in outer:
        at = at[part]
    if value is DELETED:
        del at[last]
    else:
        at[last] = value
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("amount", [0, -1.5, float("inf"), float("nan")])
@pytest.mark.parametrize(
    ("kind", "place"),
    [
        ("sample", "timing.batch_seconds.0"),
        ("sample", "timing.network_evaluations"),
        ("sample", "timing.batch_laps.0.0.0"),
        ("train", "step_laps.0.0"),
        ("train", "values.train_seconds.value"),
    ],
)
def test_times_are_above_zero_and_finite(run: Run, kind: str, place: str, amount: float) -> None:
    name = CELL if kind == "sample" else str(make_cell(CELLS[0]).trained_as)
    path = run.record(kind, name)
    put(path, "timing.batch_laps" if kind == "sample" else "step_laps", [[2.0, 50]] * 4)
    if kind == "sample":
        put(path, "timing.batch_laps", [[[2.0, 50]]] * 4)
    put(path, place, amount)
    said = refusal(run, path)
    assert said.startswith("not a record: ")
    assert f"{place}: " in said
    assert "0" in said if amount <= 0 else "finite number" in said
    assert said.endswith(REMEDY)


@pytest.mark.parametrize(("key", "values"), [("loss", [0.5]), ("lr", []), ("steps", [1, 2])])
def test_a_curve_has_a_loss_and_a_rate_for_each_step(
    run: Run, key: str, values: list[float]
) -> None:
    path = run.record("train", str(make_cell(CELLS[0]).trained_as))
    put(path, f"curve.{key}", values)
    expected = "steps, loss and lr need equally many numbers, at least one"
    assert refusal(run, path) == f"not a record: curve: {expected}{REMEDY}"


@pytest.mark.parametrize("count", [0, -3])
@pytest.mark.parametrize(
    ("kind", "place"),
    [
        ("sample", "timing.batch"),
        ("sample", "timing.batch_images.0"),
        ("sample", "timing.batch_laps.0.0.1"),
        ("sample", "provenance.threads"),
        ("train", "step_laps.0.1"),
    ],
)
def test_counts_are_above_zero(run: Run, kind: str, place: str, count: int) -> None:
    name = CELL if kind == "sample" else str(make_cell(CELLS[0]).trained_as)
    path = run.record(kind, name)
    if kind == "sample":
        put(path, "timing.batch_laps", [[[2.0, 50]]] * 4)
    else:
        put(path, "step_laps", [[2.0, 50]] * 4)
    put(path, place, count)
    expected = f"not a record: {place}: Input should be greater than 0, not {count}{REMEDY}"
    assert refusal(run, path) == expected


@pytest.mark.parametrize(
    ("kind", "place", "value", "expected"),
    [
        ("sample", "cell", DELETED, "not a record: cell: this key is missing"),
        ("metrics", "cell", DELETED, "not a record: cell, control: a metrics record has one of"),
        ("retrieval", "cell", DELETED, "not a record: cell, control: a retrieval record has one"),
        ("metrics", "protocol", DELETED, "not a record: protocol: this key is missing"),
        ("metrics", "values.fd.value", "low", "not a record: values.fd.value: a number is needed"),
        ("metrics", "values.fd.high", DELETED, "not a record: values.fd: low, high: an interval"),
        ("metrics", "spec.evaluation", "x", "not a record: spec.evaluation: a mapping of keys is"),
        ("metrics", "spec.evaluation.metrics", [], "not a record: spec.evaluation.metrics: a map"),
        ("metrics", "spec.evaluation.metrics.fd", 0, "not a record: spec.evaluation.metrics.fd: a"),
        ("retrieval", "retrieved.false_discovery_rate", [], "not a record: retrieved.false_disco"),
        ("sample", "kind", "metrics", "not a record: protocol: this key is missing"),
        ("sample", "timing.batch_seconds", [], "not a record: timing.batch_seconds: List should"),
        ("sample", "provenance.started", "noon", "not a record: provenance.started: Invalid iso"),
        ("sample", "schema_version", 0, "not a record: schema_version: Input should be greater"),
        ("sample", "schema_version", "3", "not a record: schema_version: a number is needed"),
    ],
)
def test_what_a_record_lacks_is_named(
    run: Run, kind: str, place: str, value: object, expected: str
) -> None:
    path = run.record(kind, CELL)
    put(path, place, value)
    said = refusal(run, path)
    assert said.startswith(expected)
    assert said.endswith(REMEDY)


def test_a_newer_schema_asks_for_a_newer_version(run: Run) -> None:
    path = run.record("metrics", CELL)
    put(path, "schema_version", SCHEMA_VERSION + 1)
    assert refusal(run, path).endswith(": update the benchmark")


@pytest.mark.parametrize("kind", ["sample", "features", "metrics", "retrieval"])
def test_records_of_two_cells_that_were_swapped_are_refused(run: Run, kind: str) -> None:
    one, other = run.record(kind, CELL), run.record(kind, OTHER)
    kept = one.read_bytes()
    shutil.copy(other, one)
    other.write_bytes(kept)
    first = min(one, other)
    holds = OTHER if first == one else CELL
    assert refusal(run, first) == f"holds the {kind} record of {holds}{REMEDY}"


@pytest.mark.parametrize("content", [b"", b'{"kind": "sam', b"[1]", b"null", b"\xff\xfe"])
def test_what_is_no_record_at_all_is_named(run: Run, content: bytes) -> None:
    path = run.record("sample", CELL)
    path.write_bytes(content)
    assert refusal(run, path).endswith(REMEDY)


EARLIER: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "sample",
        {"shard": 5},
        {"shard_images": 5},
    ),
    (
        "sample",
        {"code": "c", "sources": "a b"},
        {"shard_identity": {"code": "c", "sources": "a b"}},
    ),
    (
        "features",
        {"extractor": "e", "from_cache": False, "shard": 5},
        {"embedding": {"extractor": "e", "from_cache": False}, "shard_images": 5},
    ),
    ("metrics", {"dataset": "d", "few": 64}, {"judged": {"dataset": "d", "few": 64}}),
    ("metrics", {"few": 64}, {"judged": {"few": 64}}),
    (
        "retrieval",
        {
            "false_discovery_rate": 0.1,
            "accused": [1],
            "least_accused": None,
            "accused_of_exact": 1.0,
            "no_closest": "why",
        },
        {
            "retrieved": {
                "false_discovery_rate": 0.1,
                "accused": [1],
                "least_accused": None,
                "accused_of": {"exact": 1.0},
            },
            "missing": {"closest": "why"},
        },
    ),
]


@pytest.mark.parametrize(("kind", "facts", "sections"), EARLIER)
def test_facts_of_earlier_schemas_are_read_into_their_sections(
    run: Run, kind: str, facts: dict[str, Any], sections: dict[str, Any]
) -> None:
    path = run.record(kind, CELL)
    content = json.loads(path.read_text()) | {"schema_version": 3}
    for section in ("judged", "retrieved", "missing"):
        content.pop(section, None)
    path.write_text(json.dumps(content | sections))
    expected = read_record(path)
    path.write_text(json.dumps(content | {"facts": facts}))
    assert read_record(path) == expected
    assert expected.model_dump(include=set(sections), exclude_unset=True) == sections
    assert not hasattr(expected, "facts")


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ([], "facts: a mapping of keys is needed, not []"),
        ({"feww": 3}, "unknown key 'feww': did you mean 'few'?"),
        ({"few": "x"}, "few: a number is needed, not 'x'"),
    ],
)
def test_damaged_facts_of_earlier_schemas_are_named(run: Run, facts: object, expected: str) -> None:
    path = run.record("metrics", CELL)
    content = json.loads(path.read_text())
    del content["judged"]
    path.write_text(json.dumps(content | {"facts": facts}))
    assert refusal(run, path).startswith(f"not a record: {expected}")
