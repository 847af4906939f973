from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from records_fixture import write_run
from typer.testing import CliRunner

from benchmark.cli.app import app
from benchmark.core.errors import BenchmarkError
from benchmark.core.values import Value
from benchmark.metrics import METRICS
from benchmark.records.record import SCHEMA_VERSION
from benchmark.report.bundle import pack
from benchmark.report.compare import Comparison, Figure, changed, compare_runs, judge_change, labels
from benchmark.report.measured import Measured
from benchmark.report.thresholds import Threshold
from benchmark.storage.paths import Run

CELL = "ddim-linear-ddim-50-s0"
OTHER = "ddim-cosine-ddim-50-s0"
Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Run, Run]:
    """Two runs of two cells with the same records."""
    return write_run(tmp_path / "a" / "quick", 2), write_run(tmp_path / "b" / "quick", 2)


def edit(run: Run, kind: str, name: str, change: Change) -> None:
    path = run.record(kind, name)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def give(run: Run, metric: str, value: float | None, half: float = 1, cell: str = CELL) -> None:
    """Set a metric of a cell, or remove it."""

    def change(record: dict[str, Any]) -> None:
        record["values"].pop(metric, None)
        if value is not None:
            ends = {"low": value - half, "high": value + half}
            record["values"][metric] = {"value": value, **ends}

    edit(run, "metrics", cell, change)


def put(*path: str, value: object) -> Change:
    """Return a change that sets what lies under a path of keys."""

    def change(record: dict[str, Any]) -> None:
        for key in path[:-1]:
            record = record.setdefault(key, {})
        record[path[-1]] = value

    return change


def compared(runs: tuple[Run, ...], metrics: str = "", thresholds: str = "") -> Comparison:
    return compare_runs([run.root for run in runs], metrics, thresholds)


def figure(comparison: Comparison, metric: str, cell: str = CELL) -> Figure:
    [found] = [f for f in comparison.pairs[-1].figures if (f.metric, f.cell) == (metric, cell)]
    return found


def test_a_run_and_its_copy_are_the_same(runs: tuple[Run, Run]) -> None:
    found = compared(runs)
    [pair] = found.pairs
    assert pair.counts == {"same": 6}  # two cells: distance, kernel, time
    assert (pair.environment, pair.specs, pair.missing, pair.new) == ([], {}, [], [])
    assert found.status == 0
    assert found.metrics == {"fd": "FD-EffNetLite0", "kid": "kid", "time": "seconds per image"}


@pytest.mark.parametrize(
    ("value", "mark", "status"),
    [(90.0, "better", 0), (101.0, "cannot tell", 0), (110.0, "worse", 1)],
)
def test_a_lower_distance_is_better(
    runs: tuple[Run, Run], value: float, mark: str, status: int
) -> None:
    give(runs[0], "fd", 100.0)
    give(runs[1], "fd", value)
    found = compared(runs)
    assert figure(found, "fd").mark == mark
    assert found.status == status


def test_a_higher_precision_is_better(runs: tuple[Run, Run]) -> None:
    for run, value in zip(runs, (0.5, 0.9), strict=True):
        give(run, "p", value, half=0.01)
        edit(
            run,
            "metrics",
            CELL,
            put("spec", "evaluation", "metrics", "p", value={"kind": "precision"}),
        )
    found = compared(runs, "p")
    assert figure(found, "p").mark == "better"
    assert found.higher == ["p"]
    assert figure(compared((runs[1], runs[0]), "p"), "p").mark == "worse"


def test_all_registered_metrics_have_their_better_end() -> None:
    higher = {"precision", "recall", "density", "coverage"}
    assert all(METRICS.get(name).higher_is_better for name in higher)
    lower = ("frechet", "frechet-infinity", "kernel")
    assert not any(METRICS.get(name).higher_is_better for name in lower)


def test_a_metric_that_is_not_known_here_is_not_called_better(runs: tuple[Run, Run]) -> None:
    for run, value in zip(runs, (0.5, 0.9), strict=True):
        give(run, "theirs", value, half=0.01)
        edit(
            run,
            "metrics",
            CELL,
            put("spec", "evaluation", "metrics", "theirs", value={"kind": "x"}),
        )
    found = figure(compared(runs, "theirs"), "theirs")
    assert found.mark == "cannot tell"
    assert "which end is better" in found.why


def measured(value: float, below: float, above: float, higher: bool | None = False) -> Measured:
    return Measured(Value(value=value, low=value - below, high=value + above), "x", higher, {})


halves = st.floats(0.1, 10)


@given(st.floats(-50, 50), halves, halves, st.floats(-50, 50), halves, halves, st.floats(0, 30))
def test_the_marks_are_as_defined(
    a: float, a1: float, a2: float, b: float, b1: float, b2: float, limit: float
) -> None:
    assume(a != b)
    mark, delta, _ = judge_change(measured(a, a1, a2), measured(b, b1, b2), Threshold(limit))
    low, high = b - a - math.hypot(b1, a2), b - a + math.hypot(b2, a1)
    assert delta.value == b - a
    assert (delta.low, delta.high) == pytest.approx((low, high), abs=1e-9)
    within = -limit <= low and high <= limit
    apart = (low > 0 or high < 0) and abs(b - a) > limit
    assert not (within and apart)
    assert (mark == "same") == within
    assert (mark == "worse") == (apart and b > a)
    assert (mark == "better") == (apart and b < a)
    swapped, _, _ = judge_change(measured(b, b1, b2), measured(a, a1, a2), Threshold(limit))
    assert swapped == {"better": "worse", "worse": "better"}.get(mark, mark)
    upwards, _, _ = judge_change(measured(a, a1, a2, True), measured(b, b1, b2), Threshold(limit))
    assert upwards == {"better": "worse", "worse": "better"}.get(mark, mark)


def test_a_difference_that_is_sure_but_within_the_threshold_is_not_marked() -> None:
    # sure to be above 0, and its interval reaches beyond the threshold
    mark, _, _ = judge_change(measured(10, 1, 1), measured(13, 1, 1), Threshold(4))
    assert mark == "cannot tell"


def test_identical_figures_are_the_same_even_without_an_interval() -> None:
    bare = Measured(Value(value=3.0), "x", False, {})
    assert judge_change(bare, bare, Threshold(0))[0] == "same"
    mark, delta, why = judge_change(bare, Measured(Value(value=9.0), "x", False, {}), Threshold(0))
    assert (mark, delta) == ("cannot tell", Value(value=6.0))
    assert "without an interval" in why


def test_an_error_alone_makes_a_normal_interval(runs: tuple[Run, Run]) -> None:
    edit(runs[1], "metrics", CELL, put("values", "kid", "value", value=0.9))
    delta = figure(compared(runs), "kid").difference
    assert delta is not None
    assert delta.low is not None
    assert delta.value - delta.low == pytest.approx(1.959964 * math.hypot(0.0021, 0.0021))


def test_a_relative_threshold_is_of_the_first_value() -> None:
    assert Threshold(0.1, relative=True).of(Value(value=-20.0)) == 2
    assert Threshold(0.1).of(Value(value=-20.0)) == 0.1


PROTOCOL = {
    "extractor": "inception-v3-fid",
    "label": "FID",
    "weights_sha256": "9" * 64,
    "preprocessing": "bilinear 299",
    "dimension": 2048,
    "n_real": 700,
    "n_fake": 32,
    "real_sha256": "8" * 64,
}


@pytest.mark.parametrize("field", PROTOCOL)
def test_a_distance_compares_only_under_one_protocol(field: str, runs: tuple[Run, Run]) -> None:
    edit(runs[1], "metrics", CELL, put("protocol", field, value=PROTOCOL[field]))
    found = compared(runs, "fd")
    assert figure(found, "fd").mark == "not comparable"
    assert figure(found, "fd").why.startswith(f"{field}: ")
    assert str(PROTOCOL[field])[:12] in figure(found, "fd").why
    assert figure(found, "fd", OTHER).mark == "same"
    assert found.status == 2
    assert figure(compared(runs, "time"), "time").mark == "same"


def test_a_distance_compares_only_with_the_same_options(runs: tuple[Run, Run]) -> None:
    edit(runs[1], "metrics", CELL, put("spec", "evaluation", "metrics", "kid", "subsets", value=10))
    found = figure(compared(runs), "kid")
    assert (found.mark, found.why) == ("not comparable", "subsets: none against 10")


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        (("provenance", "cpu"), "Other CPU", "cpu: Example CPU against Other CPU"),
        (("provenance", "gpu"), "H100", "gpu: none against H100"),
        (("provenance", "device"), "cuda", "device: cpu against cuda"),
        (("provenance", "cores"), 4, "cores: 2 against 4"),
        (("provenance", "threads"), 1, "threads: 2 against 1"),
        (("provenance", "precision"), "bfloat16", "precision: float32 against bfloat16"),
        (("provenance", "compiled"), True, "compiled: False against True"),
        (("timing", "batch"), 8, "batch: 16 against 8"),
        (("timing", "batch_images"), [16, 16, 16, 8], "samples: 64 against 56"),
        (("cell", "resolution"), 64, "resolution: 32 against 64"),
    ],
)
def test_a_time_compares_only_under_the_same_conditions(
    path: tuple[str, ...], value: object, why: str, runs: tuple[Run, Run]
) -> None:
    for kind in ("sample", "metrics", "features", "retrieval"):
        if kind == "sample" or path[0] == "cell":
            edit(runs[1], kind, CELL, put(*path, value=value))
    found = figure(compared(runs), "time")
    assert (found.mark, found.why) == ("not comparable", why)
    assert figure(compared(runs), "fd").mark == "same"


def train(run: Run, seconds: float, **provenance: object) -> None:
    """Give the training of the cell a time per step, and facts of its machine."""
    [name] = [
        path.stem for path in (run.root / "records" / "train").iterdir() if "linear" in path.stem
    ]
    step = {"value": seconds, "low": 0.99 * seconds, "high": 1.01 * seconds}
    edit(run, "train", name, put("values", "train_seconds_per_step", value=step))
    for field, value in provenance.items():
        edit(run, "train", name, put("provenance", field, value=value))


@pytest.mark.parametrize(
    ("seconds", "mark"), [(0.2, "same"), (0.201, "same"), (0.25, "worse"), (0.1, "better")]
)
def test_a_step_of_training_has_a_time_that_compares(
    runs: tuple[Run, Run], seconds: float, mark: str
) -> None:
    train(runs[0], 0.2)
    train(runs[1], seconds)
    found = compared(runs)
    assert figure(found, "training").mark == mark
    assert found.metrics["training"] == "seconds per training step"
    assert list(found.metrics)[-1] == "training"
    assert found.status == (1 if mark == "worse" else 0)


def test_a_step_of_several_processes_does_not_compare_with_that_of_one(
    runs: tuple[Run, Run],
) -> None:
    train(runs[0], 0.2)
    train(runs[1], 0.1, processes=2)
    found = figure(compared(runs, "training"), "training")
    assert (found.mark, found.why) == ("not comparable", "processes: 1 against 2")
    assert figure(compared(runs), "time").mark == "same"


@pytest.mark.parametrize("field", ["driver", "system", "python", "memory_bytes", "git_commit"])
def test_what_time_may_depend_on_but_is_compared_for_is_listed(
    field: str, runs: tuple[Run, Run]
) -> None:
    value = 7 if field == "memory_bytes" else "a" * 40
    edit(runs[1], "sample", CELL, put("provenance", field, value=value))
    found = compared(runs)
    assert figure(found, "time").mark == "same"
    [change] = found.pairs[0].environment
    assert change.field == field
    assert str(value)[:12] in change.other


def test_settings_of_jobs_are_compared_by_kind(runs: tuple[Run, Run]) -> None:
    for run, threads in zip(
        runs, ({"sample": 2, "train": 1}, {"sample": 1, "train": 2}), strict=True
    ):
        for kind, number in threads.items():
            for path in (run.root / "records" / kind).iterdir():
                edit(run, kind, path.stem, put("provenance", "threads", value=number))
    changes = compared(runs).pairs[0].environment
    assert {(c.field, c.base, c.other) for c in changes} == {
        ("threads of sample jobs", "2", "1"),
        ("threads of train jobs", "1", "2"),
    }


@pytest.mark.parametrize("field", ["started", "wall_seconds", "startup_seconds"])
def test_when_a_job_ran_and_for_how_long_is_no_difference_of_machines(
    field: str, runs: tuple[Run, Run]
) -> None:
    value = "2030-01-01T00:00:00+00:00" if field == "started" else 99.0
    edit(runs[1], "sample", CELL, put("provenance", field, value=value))
    assert compared(runs).pairs[0].environment == []


def test_libraries_are_compared_one_by_one(runs: tuple[Run, Run]) -> None:
    libraries = {"numpy": "2.2.0", "torch": "2.11.0"}
    edit(runs[1], "sample", CELL, put("provenance", "libraries", value=libraries))
    [change] = compared(runs).pairs[0].environment
    assert (change.field, change.base, change.other) == ("torch", "none", "2.11.0")


def test_times_differ_beyond_the_scatter_and_a_tenth(runs: tuple[Run, Run]) -> None:
    def batches(run: Run, *seconds: float) -> None:
        edit(run, "sample", CELL, put("timing", "batch_seconds", value=list(seconds)))

    batches(runs[0], 1.6, 1.6, 1.601, 1.6)
    batches(runs[1], 1.7, 1.7, 1.701, 1.7)
    assert figure(compared(runs), "time").mark == "same"
    assert figure(compared(runs, thresholds="time=0"), "time").mark == "worse"
    batches(runs[1], 1.9, 1.9, 1.901, 1.9)
    assert figure(compared(runs), "time").mark == "worse"
    batches(runs[1], 1.2, 1.2, 1.201, 1.2)
    assert figure(compared(runs), "time").mark == "better"
    batches(runs[1], 0.5, 2.9, 1.9, 2.6)
    assert figure(compared(runs), "time").mark == "cannot tell"


@pytest.mark.parametrize(
    ("laps", "said"),
    [
        ([[[1.0, 5]]], "batch_seconds, batch_images and batch_laps do not fit each other"),
        ([[]] * 4, "batch_laps: a batch without laps"),
        ([[[1.0, 0]]] * 4, r"timing\.batch_laps\.0\.0\.1: Input should be greater than 0, not 0"),
        ([[[0.0, 5]]] * 4, r"timing\.batch_laps\.0\.0\.0: Input should be greater than 0, not 0"),
    ],
)
def test_laps_that_do_not_fit_their_batches_are_one_line(
    runs: tuple[Run, Run], laps: list[object], said: str
) -> None:
    edit(runs[1], "sample", CELL, put("timing", "batch_laps", value=laps))
    with pytest.raises(BenchmarkError, match=said) as caught:
        compared(runs)
    assert "\n" not in str(caught.value)


def test_one_timed_batch_tells_nothing(runs: tuple[Run, Run]) -> None:
    for run, seconds in zip(runs, (10.0, 30.0), strict=True):
        edit(run, "sample", CELL, put("timing", "batch_seconds", value=[seconds]))
        edit(run, "sample", CELL, put("timing", "batch_images", value=[64]))
    found = figure(compared(runs), "time")
    assert (found.mark, found.why) == ("cannot tell", "a figure without an interval")


def test_the_distance_is_one_metric_whatever_its_column_is_called(runs: tuple[Run, Run]) -> None:
    for path in (runs[1].root / "records" / "metrics").iterdir():
        path.write_text(path.read_text().replace('"fd"', '"distance"'))
    for metrics in ("", "fd", "FD-EffNetLite0", "fd-effnetlite0"):
        assert figure(compared(runs, metrics), "fd").mark == "same"


def test_fid_is_asked_for_by_its_name_only_where_it_is_one(tmp_path: Path) -> None:
    runs = tuple(write_run(tmp_path / n, 1, extractor="inception-v3-fid") for n in "ab")
    assert compared(runs, "FID", "fid=0.5").metrics == {"fd": "FID"}
    with pytest.raises(BenchmarkError, match="no metric 'fid': did you mean 'fd'"):
        compared((write_run(tmp_path / "c", 1), write_run(tmp_path / "d", 1)), "fid")


def test_shares_of_copies_are_compared_where_they_were_measured(runs: tuple[Run, Run]) -> None:
    protocol = json.loads(runs[0].record("metrics", CELL).read_text())["protocol"]
    for run, share in zip(runs, (0.0, 0.5), strict=True):
        edit(run, "retrieval", CELL, put("protocol", value=protocol))
        value = {"value": share, "low": share - 0.01, "high": share + 0.01}
        edit(run, "retrieval", CELL, put("values", "closer_share", value=value))
    found = compared(runs)
    assert figure(found, "closer_share").mark == "worse"
    assert figure(found, "accused_share").mark == "same"
    edit(runs[1], "retrieval", CELL, put("retrieved", "false_discovery_rate", value=0.2))
    assert "false_discovery_rate: 0.1 against 0.2" in figure(compared(runs), "closer_share").why


def test_missing_and_new_cells_are_listed_and_do_not_count(tmp_path: Path) -> None:
    runs = (write_run(tmp_path / "a", 2), write_run(tmp_path / "b", 1))
    [pair] = compared(runs).pairs
    assert (pair.missing, pair.new) == ([OTHER], [])
    [pair] = compared((runs[1], runs[0])).pairs
    assert (pair.missing, pair.new) == ([], [OTHER])
    assert pair.counts == {"same": 3}
    assert compared(runs).status == 0


def test_runs_without_a_common_cell_do_not_compare(runs: tuple[Run, Run]) -> None:
    for path in (runs[1].root / "records").rglob("*.json"):
        content = path.read_text().replace("-s0", "-s1")
        path.unlink()
        path.with_name(path.name.replace("-s0", "-s1")).write_text(content)
    found = compared(runs)
    assert found.pairs[0].counts == {}
    assert found.status == 2


def test_a_metric_of_one_run_alone_is_missing_or_new(runs: tuple[Run, Run]) -> None:
    for cell in (CELL, OTHER):
        give(runs[1], "kid", None, cell=cell)
    assert figure(compared(runs), "kid").mark == "missing"
    assert figure(compared((runs[1], runs[0])), "kid").mark == "new"
    assert compared(runs).status == 0
    assert compared(runs, "fd,kid").status == 2  # it was asked for and compared nowhere


def test_what_is_worse_outweighs_what_is_not_comparable(runs: tuple[Run, Run]) -> None:
    edit(runs[1], "sample", CELL, put("provenance", "threads", value=1))
    assert compared(runs).status == 2
    give(runs[1], "fd", 900.0)
    assert compared(runs).status == 1
    assert compared(runs, "kid").status == 0


def test_each_run_is_compared_with_the_first(tmp_path: Path) -> None:
    runs = tuple(write_run(tmp_path / name, 1) for name in "abc")
    for run, value in zip(runs, (10.0, 20.0, 15.0), strict=True):
        give(run, "fd", value)
    found = compared(runs, "fd")
    assert [(pair.base, pair.other) for pair in found.pairs] == [("a", "b"), ("a", "c")]
    assert [pair.figures[0].mark for pair in found.pairs] == ["worse", "worse"]
    assert compared((runs[1], runs[0], runs[2]), "fd").pairs[1].figures[0].mark == "better"


def test_a_bundle_compares_as_its_folder(runs: tuple[Run, Run]) -> None:
    give(runs[1], "fd", 900.0)
    folder = compared(runs)
    bundled = compare_runs([runs[0].root, pack(runs[1].root)])
    assert bundled.pairs[0].figures == folder.pairs[0].figures
    assert bundled.pairs[0].other == "quick.zip"


def test_runs_of_one_name_are_told_apart_by_their_paths(runs: tuple[Run, Run]) -> None:
    assert labels([run.root for run in runs]) == [str(run.root) for run in runs]
    assert labels([runs[0].root, runs[0].root.parent]) == ["quick", "a"]


def test_a_run_is_not_compared_with_itself(runs: tuple[Run, Run], tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(runs[0].root)
    same = [runs[0].root, runs[0].root.parent / "x" / ".." / "quick", tmp_path / "link"]
    for other in same:
        with pytest.raises(BenchmarkError, match="the same run as"):
            labels([runs[0].root, other])
    with pytest.raises(BenchmarkError, match="give two or more"):
        labels([runs[0].root])


def test_other_specifications_are_counted(runs: tuple[Run, Run]) -> None:
    edit(runs[1], "sample", CELL, put("spec_hash", value="f" * 64))
    assert compared(runs).pairs[0].specs == {"sample": (1, 2)}


def test_what_was_specified_otherwise_is_told(runs: tuple[Run, Run]) -> None:
    spec = {"sampler": {"kind": "ddim", "eta": 0.0}, "steps": 50, "weights": "f" * 64}
    other = {**spec, "sampler": {"kind": "ddim", "eta": 1.0, "clip": True}}
    for run, content, sha in ((runs[0], spec, "a"), (runs[1], other, "b")):
        edit(run, "sample", CELL, put("spec", value=content))
        edit(run, "sample", CELL, put("spec_hash", value=sha * 64))
    assert compared(runs).pairs[0].specified == [
        "sampler.eta 0.0 → 1.0 (1 of sample)",
        "sampler.clip none → True (1 of sample)",
    ]


def test_runs_whose_models_are_named_differently_are_joined(runs: tuple[Run, Run]) -> None:
    model = CELL.partition("-")[0]
    for path in list((runs[1].root / "records").glob("*/*.json")):
        text = path.read_text().replace(f'"{model}-', '"mine-')
        path.unlink()
        path.with_name(path.name.replace(f"{model}-", "mine-", 1)).write_text(
            text.replace(f'"model": "{model}"', '"model": "mine"')
        )
    paths = [run.root for run in runs]
    assert set(compare_runs(paths).pairs[0].missing) == {CELL, OTHER}
    joined = compare_runs(paths, renames=f"{model}=mine").pairs[0]
    assert (joined.missing, joined.new) == ([], [])
    assert joined.counts == {"same": 6}
    options = ["--rename", f"{model}=mine", "--format", "json"]
    done = CliRunner().invoke(app, ["compare", *map(str, paths), *options])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["pairs"][0]["missing"] == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a", "'a' is malformed: give OLD=NEW"),
        ("a=", "malformed"),
        ("a=b,", "malformed"),
        ("a=b,a=c", "a name stands twice"),
        ("a=b,c=b", "a name stands twice"),
        ("DDIN=mine", "no model 'DDIN': "),
    ],
)
def test_names_that_cannot_be_given_are_refused(
    text: str, message: str, runs: tuple[Run, Run]
) -> None:
    with pytest.raises(BenchmarkError, match=message):
        compare_runs([run.root for run in runs], renames=text)


def test_only_what_changed_is_kept_and_the_rest_is_still_counted(runs: tuple[Run, Run]) -> None:
    give(runs[1], "fd", 900.0)
    edit(runs[1], "sample", OTHER, put("timing", "batch", value=8))
    found = compared(runs)
    short = changed(found)
    assert {f.mark for f in short.pairs[0].figures} == {"worse", "not comparable"}
    assert short.pairs[0].counts == found.pairs[0].counts
    assert short.status == found.status == 1


@pytest.mark.parametrize(
    ("metrics", "thresholds", "expected"),
    [
        ("kdi", "", "--metric: no metric 'kdi': did you mean 'kid'"),
        ("fd,,kid", "", "has an empty part"),
        ("", "timee=10%", "--threshold: no metric 'timee': did you mean 'time'"),
        ("fd", "time=1", "--threshold: no metric 'time'"),
        ("", "fd", "'fd' is no threshold"),
        ("", "fd=", "'fd=' is no threshold"),
        ("", "fd=-1", "is no threshold"),
        ("", "fd=nan", "is no threshold"),
        ("", "fd=inf", "is no threshold"),
        ("", "fd=1e999", "is no threshold"),
        ("", "fd=1%%", "is no threshold"),
        ("", "fd=1,fd=2", "fd has two"),
        ("", "fd=1,", "has an empty part"),
    ],
)
def test_a_wrong_option_is_one_line(
    metrics: str, thresholds: str, expected: str, runs: tuple[Run, Run]
) -> None:
    with pytest.raises(BenchmarkError) as error:
        compared(runs, metrics, thresholds)
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "limit"), [("fd=.5", 0.5), ("FD = 5e-1", 0.5), ("fd=10%", 10.0), ("fd=1.5e1%", 15.0)]
)
def test_thresholds_are_amounts_or_shares(text: str, limit: float, runs: tuple[Run, Run]) -> None:
    found = compared(runs, thresholds=text).thresholds["fd"]
    assert found.of(Value(value=100.0)) == pytest.approx(limit)


def test_a_run_that_cannot_be_read_is_one_line(runs: tuple[Run, Run], tmp_path: Path) -> None:
    newer, empty = tmp_path / "newer", tmp_path / "empty"
    shutil.copytree(runs[0].root, newer)
    edit(Run(newer), "sample", CELL, put("schema_version", value=SCHEMA_VERSION + 1))
    (empty / "records").mkdir(parents=True)
    broken = pack(runs[0].root)
    broken.write_bytes(broken.read_bytes()[:-30])
    for path, expected in (
        (newer, f"record schema {SCHEMA_VERSION + 1} is newer"),
        (empty, "no records in it"),
        (tmp_path, "no run: it has no records folder"),
        (tmp_path / "none", "no such run"),
        (broken, "broken bundle"),
    ):
        with pytest.raises(BenchmarkError) as error:
            compare_runs([runs[1].root, path])
        assert expected in str(error.value)
        assert str(error.value).startswith(str(path))
        assert "\n" not in str(error.value)
