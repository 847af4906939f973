"""A clock that is set back while a training runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import CONFIG, copy_run, digest, succeed

from benchmark.records.record import read_record
from benchmark.storage.paths import Run

NAME = "DDPM-linear"
LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
# Tells the time of a file, which changes while the job runs.
SET_BACK = 'echo +0 >$0; (sleep 5; echo -1d >$0) & exec "$@"'


@pytest.mark.slow
@pytest.mark.skipif(LIBRARY is None, reason="faketime is not installed")
@pytest.mark.faults(
    "the clock jumps back by a day",
    "train, sample",
    "times in the records stay positive, the results are the same",
)
@pytest.mark.parametrize("verb", ["train", "sample"])
def test_a_clock_that_jumps_back_changes_nothing(
    undisturbed: Path, cold: None, tmp_path: Path, verb: str
) -> None:
    run = copy_run(undisturbed, tmp_path / "results")
    before = Run(undisturbed / CONFIG.run)
    cell = next(cell.id for cell in CONFIG.cells if cell.trained_as == NAME)
    name = NAME if verb == "train" else cell
    made = run.weights(NAME) if verb == "train" else run.samples(cell)
    made.unlink()
    run.record(verb, name).unlink()
    told = tmp_path / "time"
    settings = [f"LD_PRELOAD={LIBRARY}", f"FAKETIME_TIMESTAMP_FILE={told}", "FAKETIME_NO_CACHE=1"]
    fake = ["env", "FAKETIME_DONT_FAKE_MONOTONIC=1", *settings]
    succeed(tmp_path / "results", verb, name, prefix=("bash", "-c", SET_BACK, str(told), *fake))
    record = read_record(run.record(verb, name))
    assert record.provenance.wall_seconds > 0
    assert (record.provenance.startup_seconds or 0) >= 0
    assert all(value.value >= 0 for key, value in record.values.items() if "seconds" in key)
    other = before.weights(NAME) if verb == "train" else before.samples(cell)
    assert digest(made) == digest(other)
