"""Claims about trainings, solvers and randomness, judged on planted records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from records_fixture import record

from benchmark.config.loading import load_config
from benchmark.core.values import Value
from benchmark.records.contention import Activity, Contention
from benchmark.records.record import Cell, Protocol
from benchmark.records.rows import Row
from benchmark.records.sections import Trained
from benchmark.records.sketch import sketch_of
from benchmark.records.timing import Timing
from benchmark.report.claims import Claims, read_claims
from benchmark.report.measures import Reported, Verdict
from benchmark.report.verdicts import judge
from benchmark.storage.paths import CLAIMS

PROJECT = Path(__file__).parents[2]
R, C, T, N = Verdict.REPRODUCED, Verdict.CONTRADICTED, Verdict.CANNOT_TELL, Verdict.NOT_RUN
PROTOCOL = Protocol(
    extractor="efficientnet-lite0",
    label="FD-EffNetLite0",
    weights_sha256="0" * 64,
    preprocessing="bicubic",
    dimension=1280,
    n_real=2000,
    n_fake=300,
    real_sha256="1" * 64,
)


def reported(model: str) -> Reported:
    return Reported(
        weights="from-scratch", family="X", schedule="s", sampler="x", steps=10, model=model
    )


def verdict(rows: Sequence[Row], **test: Any) -> tuple[Verdict, str]:
    """Return the verdict of one test on the cells `a` and `b`, and why it is none."""
    content = {
        "cells": {name: reported(name).model_dump() for name in "ab"},
        "claims": [{"text": "a", "tests": [{"cell": "a", "other": "b", **test}]}],
    }
    [claim] = judge(Claims.model_validate(content), rows)
    return claim.verdict, claim.findings[0].why


def row(model: str, **parts: Any) -> Row:
    cell = Cell(
        id=f"{model}-s-x-10-s0",
        table="t",
        family="X",
        model=model,
        trained_as=model,
        weights="from-scratch",
        dataset="faces",
        resolution=32,
        schedule="s",
        sampler="x",
        steps=10,
        seed=0,
        samples=300,
    )
    return Row(dataset="faces", cell=cell.model_copy(update=parts.pop("cell", {})), **parts)


def trained(
    model: str,
    seconds: float = 1.0,
    steps: int = 100,
    parameters: int = 1000,
    busy: float = 0.0,
    stolen: float = 0.0,
    work: dict[str, Any] | None = None,
    distance: float | None = None,
) -> Row:
    """Return a row whose training took so long a step, and whose samples are so far off."""
    laps = [(seconds * 10 * (1 + 0.01 * (i % 3)), 10) for i in range(steps // 10)]
    section = Trained(
        models=[model], dataset="faces", parameters=parameters, images=8, batch=4, steps=steps
    )
    training = record(
        "train",
        model,
        1.0,
        trained=section,
        step_laps=laps,
        values={"train_seconds": Value(value=seconds * steps)},
        contention=[
            Contention(
                cores=4,
                needed=4,
                load=0.0,
                before=Activity(seconds=1.0, others=0.0),
                during=Activity(seconds=60.0, others=busy, stolen=stolen),
            )
        ],
    )
    changed = training.provenance.model_copy(update=work or {})
    training = training.model_copy(update={"provenance": changed})
    if distance is None:
        return row(model, training=training)
    value = Value(value=distance, low=distance - 2, high=distance + 2)
    plain = row(model)
    metrics = record("metrics", plain.cell.id, 1.0, cell=plain.cell, protocol=PROTOCOL,
                     values={"fd": value})  # fmt: skip
    return row(model, training=training, metrics=metrics)


@pytest.mark.parametrize(
    ("seconds", "expected"), [((3.0, 1.0), R), ((1.0, 3.0), C), ((1.0, 1.0), T)]
)
def test_is_a_training_slower(seconds: tuple[float, float], expected: Verdict) -> None:
    rows = [trained("a", seconds[0]), trained("b", seconds[1])]
    assert verdict(rows, test="training", at_least=1)[0] is expected


@pytest.mark.parametrize(
    ("ratio", "busy", "expected"),
    [
        (2.2, (1.0, 1.0), R),  # 2.2 / (1 + 1) is above 1
        (1.8, (1.0, 0.0), T),
        (1.8, (0.0, 1.0), R),  # the other one alone would be faster still
        (0.6, (0.0, 1.0), T),  # 0.6 (1 + 1) is above 1
        (0.4, (0.0, 1.0), C),
    ],
)
def test_what_ran_beside_a_training_widens_the_interval(
    ratio: float, busy: tuple[float, float], expected: Verdict
) -> None:
    rows = [trained("a", ratio, busy=busy[0]), trained("b", busy=busy[1])]
    assert verdict(rows, test="training", at_least=1)[0] is expected


@pytest.mark.parametrize(
    ("busy", "stolen", "work"),
    [
        (3.5, 0.0, {}),  # of 4 cores, of which the training needs 2
        (0.0, 0.9, {}),  # perhaps of the cores of the training itself
        (2.5, 0.0, {"threads": 1, "processes": 2}),
        (1.0, 0.0, {"threads": 1, "processes": 4}),
        (1.0, 0.0, {"device": "cuda"}),
    ],
)
def test_a_training_whose_cores_others_took_is_not_compared_in_time(
    busy: float, stolen: float, work: dict[str, Any]
) -> None:
    rows = [trained(name, 9.0, busy=busy, stolen=stolen, work=work) for name in "ab"]
    found, why = verdict(rows, test="training", at_least=1)
    assert found is T
    assert why.startswith("not comparable: machine was busy: ")
    assert "(training a-s-x-10-s0)" in why


def test_a_training_of_one_thread_may_have_three_beside_it() -> None:
    rows = [trained(name, s, busy=3.0, work={"threads": 1}) for name, s in (("a", 9), ("b", 1))]
    assert verdict(rows, test="training", at_least=1)[0] is R


def test_more_samples_do_not_settle_a_time_of_training() -> None:
    cells = {name: reported(name).model_dump() for name in "ab"}
    test = {"test": "training", "cell": "a", "other": "b", "at_least": 1}
    content = {"cells": cells, "claims": [{"text": "a", "tests": [test]}]}
    [claim] = judge(Claims.model_validate(content), [trained("a"), trained("b")])
    assert (claim.verdict, claim.settle) == (T, None)


def test_trainings_of_unequal_networks_are_not_compared_in_time() -> None:
    rows = [trained("a", 3.0), trained("b", parameters=2000)]
    found, why = verdict(rows, test="training", at_least=1)
    assert (found, why) == (T, "not comparable: parameters is 1000 and 2000")


def test_a_training_that_was_not_run_says_nothing() -> None:
    assert verdict([trained("a")], test="training", at_least=1)[0] is N
    assert verdict([row("a"), row("b")], test="training", at_least=1)[0] is N


EQUAL = {"test": "equally-trained", "parameters": 0.02, "seconds": 0.2}


@pytest.mark.parametrize(
    ("distances", "expected"), [((50.0, 80.0), R), ((80.0, 50.0), C), ((50.0, 51.0), T)]
)
def test_is_one_network_better_than_another(
    distances: tuple[float, float], expected: Verdict
) -> None:
    rows = [
        trained("a", 1.0, 100, 1010, distance=distances[0]),
        trained("b", 1.1, 100, 1000, distance=distances[1]),
    ]
    assert verdict(rows, **EQUAL)[0] is expected


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"parameters": 1030}, "not comparable: parameters are 1000 and 1030"),
        ({"seconds": 1.3}, "not comparable: seconds of training are 100 and 130"),
    ],
)
def test_networks_of_other_size_or_other_training_time_are_not_compared(
    changes: dict[str, Any], why: str
) -> None:
    rows = [trained("a", distance=50.0), trained("b", distance=80.0, **changes)]
    assert verdict(rows, **EQUAL) == (T, why)


def sampled(model: str, evaluations: float, images: np.ndarray | None = None, seed: int = 0) -> Row:
    """Return a row whose images took so many evaluations each."""
    timing = Timing(
        warmup_batches=0,
        batch=4,
        batch_seconds=[1.0],
        batch_images=[4],
        network_evaluations=evaluations,
        peak_memory_bytes=1,
        peak_memory_of="process",
    )
    sketch = None if images is None else sketch_of(images)
    changes = {"seed": seed, "model": model}
    plain = row(model, cell=changes)
    sample = record("sample", plain.cell.id, 1.0, cell=plain.cell, timing=timing, sketch=sketch)
    return row(model, cell=changes, sample=sample)


def test_does_a_solver_take_fewer_evaluations() -> None:
    few = [sampled("a", 36.5), sampled("b", 300)]
    many = [sampled("a", 400), sampled("b", 300)]
    assert verdict(few, test="evaluations", at_most=1)[0] is R
    assert verdict(many, test="evaluations", at_most=1)[0] is C
    assert verdict([row("a"), row("b")], test="evaluations", at_most=1)[0] is N


IMAGES = np.random.default_rng(0).integers(20, 230, (16, 8, 8, 3)).astype(np.uint8)


def apart(images: np.ndarray, seed: int = 0, **bounds: float) -> tuple[Verdict, str]:
    """Return the verdict on images beside `IMAGES`, which are of the same model."""
    one, other = sampled("m", 1, images, seed), sampled("m", 1, IMAGES)
    one = row("m", cell={"sampler": "y", "seed": seed, "id": one.cell.id}, sample=one.sample)
    cells = {
        "a": reported("m").model_copy(update={"sampler": "y"}).model_dump(),
        "b": reported("m").model_dump(),
    }
    test = {"test": "apart", "cell": "a", "other": "b", **bounds}
    content = {"cells": cells, "claims": [{"text": "a", "tests": [test]}]}
    [claim] = judge(Claims.model_validate(content), [one, other])
    return claim.verdict, claim.findings[0].why


def test_are_images_of_the_same_noise_the_same() -> None:
    assert apart(IMAGES, at_most=0)[0] is R
    changed = IMAGES.copy()
    changed[0, 0, 0, 0] += 1
    assert apart(changed, at_most=0)[0] is C


@pytest.mark.parametrize(("by", "expected"), [(1, R), (5, C), (2, T)])
def test_how_far_apart_are_images(by: int, expected: Verdict) -> None:
    assert apart(IMAGES + np.uint8(by), at_most=2.0)[0] is expected


def test_are_images_far_apart() -> None:
    assert apart(IMAGES[::-1].copy(), at_least=10)[0] is R
    assert apart(IMAGES + np.uint8(3), at_least=10)[0] is C


def test_images_of_other_noise_say_nothing_of_determinism() -> None:
    assert apart(IMAGES, seed=1, at_most=0) == (T, "not comparable: seed is 1 and 0")


def test_images_without_sketches_say_nothing() -> None:
    rows = [sampled("a", 1), sampled("b", 1)]
    assert verdict(rows, test="apart", at_most=0)[0] is N


@pytest.mark.parametrize("test", ["training", "evaluations", "apart"])
def test_a_test_without_a_bound_is_refused(test: str) -> None:
    with pytest.raises(ValueError, match="one of at_least and at_most is needed"):
        verdict([], test=test)


THEORY = ("levels", "ve-", "vp-", "first-unet", "improved-unet", "implicit")  # names begin so


@pytest.mark.parametrize("config", ["claims.yaml", "claims-report.yaml"])
def test_does_each_config_of_the_claims_run_all_their_cells(config: str) -> None:
    """A claim would not be judged if the config named its cells otherwise."""
    found = load_config(PROJECT / "config" / config).cells
    rows = [Row(dataset=cell.dataset, cell=cell) for cell in found]
    named = {n: c for n, c in read_claims(CLAIMS).cells.items() if n.startswith(THEORY)}
    assert len(named) == 18
    assert [name for name, cell in named.items() if not any(map(cell.fits, rows))] == []
