"""Claims that compare diffusion models with GANs, judged on planted records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import yaml
from checkout import PROJECT
from records_fixture import record
from test_theory_claims import PROTOCOL, reported, row

from benchmark.config.loading import load_config
from benchmark.core.errors import BenchmarkError
from benchmark.core.values import Value
from benchmark.records.record import Curve
from benchmark.records.rows import Row
from benchmark.records.sections import Trained
from benchmark.report.claims import Claims, Plain, read_claims
from benchmark.report.measures import Verdict
from benchmark.report.verdicts import judge
from benchmark.storage.paths import CLAIMS

R, C, T, N = Verdict.REPRODUCED, Verdict.CONTRADICTED, Verdict.CANNOT_TELL, Verdict.NOT_RUN
ANY = {
    name: {"weights": "from-scratch", "family": name, "schedule": "s", "sampler": "x", "steps": 10}
    for name in "ab"
}
KINDS = {"fd": "frechet", "reached": "mode-coverage", "apart": "mode-distance"}


def judged(rows: Sequence[Row], cells: dict[str, Any], **test: Any) -> tuple[Verdict, str]:
    content = {"cells": cells, "claims": [{"text": "a", "tests": [test]}]}
    [claim] = judge(Claims.model_validate(content), rows)
    return claim.verdict, claim.findings[0].why


def verdict(rows: Sequence[Row], **test: Any) -> tuple[Verdict, str]:
    return judged(rows, {name: reported(name).model_dump() for name in "ab"}, **test)


def measured(model: str, half: float = 0.02, **values: float) -> Row:
    """Return a row with values ± half."""
    plain = row(model)
    assert plain.cell
    metrics = record(
        "metrics",
        plain.cell.id,
        1.0,
        cell=plain.cell,
        protocol=PROTOCOL,
        values={k: Value(value=v, low=v - half, high=v + half) for k, v in values.items()},
    )
    kinds = {name: {"kind": KINDS[name]} for name in values}
    spec = metrics.spec | {"evaluation": {"metrics": kinds}}
    return row(model, metrics=metrics.model_copy(update={"spec": spec}))


@pytest.mark.parametrize(("share", "expected"), [(0.97, R), (0.5, C), (0.9, T)])
def test_are_modes_reached(share: float, expected: Verdict) -> None:
    rows = [measured("a", reached=share)]
    assert verdict(rows, test="modes", cell="a", at_least=0.9)[0] is expected


@pytest.mark.parametrize(
    ("apart", "expected"), [((0.1, 0.4), R), ((0.4, 0.1), C), ((0.2, 0.21), T)]
)
def test_whose_modes_have_the_datas_frequencies(
    apart: tuple[float, float], expected: Verdict
) -> None:
    rows = [measured(name, apart=value) for name, value in zip("ab", apart, strict=True)]
    assert verdict(rows, test="frequencies", cell="a", other="b")[0] is expected


def test_modes_that_were_not_counted_say_nothing() -> None:
    found, why = verdict([measured("a", fd=80.0)], test="modes", cell="a", at_least=0.9)
    assert (found, why) == (N, "a-s-x-10-s0 has no mode-coverage")


def trained(model: str, norms: Sequence[float] = (), lr: float = 1e-3, **more: Any) -> Row:
    section = Trained(models=[model], dataset="faces", parameters=9, images=8, batch=4, steps=100)
    points = max(1, len(norms))
    curve = Curve(
        steps=[*range(1, points + 1)], loss=[1.0] * points, lr=[lr] * points, gradient=[*norms]
    )
    training = record("train", model, 1.0, trained=section, curve=curve)
    spec = training.spec | {"training": {"lr": lr, "steps": 100, **more}, "network": {"kind": "x"}}
    return row(model, training=training.model_copy(update={"spec": spec}))


def falling(to: float) -> list[float]:
    """Return 40 norms that fall, with some scatter, to a part of the first."""
    rng = np.random.default_rng(0)
    return [float(x) for x in np.geomspace(1.0, to, 40) * rng.uniform(0.9, 1.1, 40)]


@pytest.mark.parametrize(("to", "expected"), [(0.9, R), (1e-4, C)])
def test_does_a_gradient_vanish(to: float, expected: Verdict) -> None:
    rows = trainings(*[falling(part * to) for part in (0.9, 1.0, 1.1)])
    assert judged(rows, ANY, test="gradient", cell="a", at_least=0.1)[0] is expected
    opposite = C if expected is R else R
    assert judged(rows, ANY, test="gradient", cell="a", at_most=0.1)[0] is opposite


def test_the_ratio_is_the_geometric_mean_of_means_of_quarters() -> None:
    halving, doubling = [4.0] * 4 + [3.0] * 8 + [2.0] * 4, [1.0] * 4 + [9.0] * 8 + [4.0] * 4
    content = {
        "cells": ANY,
        "claims": [{"text": "a", "tests": [{"test": "gradient", "cell": "a", "at_least": 0.1}]}],
    }
    [claim] = judge(Claims.model_validate(content), trainings(halving, doubling))
    value = claim.findings[0].value
    assert value
    assert value.value == pytest.approx(2**0.5)


def test_a_training_without_norms_says_nothing() -> None:
    test = {"test": "gradient", "cell": "a", "at_least": 0.1}
    found, why = judged(trainings([], []), ANY, **test)
    assert found is N
    assert why == "the training of a0 has 0 norms of its gradient, and 8 are needed"
    assert judged(trainings([1.0] * 7, [1.0] * 7), ANY, **test)[0] is T
    assert judged(trainings([1.0] * 8), ANY, **test) == (
        T,
        "one training has no interval: 2 are needed",
    )
    assert judged(trainings([1.0] * 8, [0.0] * 8), ANY, **test)[1] == (
        "a gradient vanished altogether"
    )


def test_a_gradient_that_exploded_has_not_vanished() -> None:
    test = {"test": "gradient", "cell": "a", "at_most": 0.1}
    exploded = [1.0, 5e5, 1e3, 10.0, *[1e-3] * 12]
    found, why = judged(trainings(falling(0.9), exploded), ANY, **test)
    assert found is T
    assert why.startswith("the training of a1 diverged: its gradient grew by more than 100 times")


def trainings(*norms: Sequence[float]) -> list[Row]:
    """Return a row of family a for each series of norms."""
    rows = []
    for number, series in enumerate(norms):
        one = trained(f"a{number}", series)
        assert one.cell
        cell = one.cell.model_copy(update={"family": "a", "id": f"a{number}"})
        rows.append(Row(**{**vars(one), "cell": cell}))
    return rows


def sweep(family: str, spread: float, rates: Sequence[float] = (1, 3, 9), **more: Any) -> list[Row]:
    """Return three runs at each learning rate, whose distances differ by factors of 1 + spread."""
    found = []
    for i, rate in enumerate(rates):
        for j in range(3):
            model, value = f"{family}{i}{j}", 50.0 * (1 + spread) ** (i + 0.3 * j)
            one = measured(model, fd=value, half=1.0)
            training = trained(model, lr=1e-4 * rate, **more).training
            assert one.cell
            cell = one.cell.model_copy(update={"family": family})
            found.append(Row(**{**vars(one), "cell": cell, "training": training}))
    return found


TEST = {"test": "sensitivity", "cell": "a", "other": "b", "at_most": 1.0, "rates": 3}


@pytest.mark.parametrize(
    ("spreads", "expected"), [((0.1, 2.0), R), ((2.0, 0.1), C), ((0.5, 0.6), T)]
)
def test_whose_distance_depends_more_on_learning_rates(
    spreads: tuple[float, float], expected: Verdict
) -> None:
    rows = [*sweep("a", spreads[0]), *sweep("b", spreads[1])]
    assert judged(rows, ANY, **TEST)[0] is expected


def test_the_interval_of_two_equal_spreads_is_that_of_the_f_distribution() -> None:
    from scipy.stats import f

    rows = [*sweep("a", 0.4), *sweep("b", 0.4)]
    content = {"cells": ANY, "claims": [{"text": "a", "tests": [TEST]}]}
    [claim] = judge(Claims.model_validate(content), rows)
    value = claim.findings[0].value
    assert value
    assert value.value == pytest.approx(1.0)
    assert value.high == pytest.approx(f.ppf(0.975, 8, 8) ** 0.5)
    assert value.low == pytest.approx(f.ppf(0.025, 8, 8) ** 0.5)


def test_runs_that_differ_in_more_than_learning_rate_and_seed_are_not_a_spread() -> None:
    rows = [*sweep("a", 0.5), *sweep("b", 0.5)]
    odd = sweep("a", 0.5, steps=200)[0]
    found, why = judged([odd, *rows[1:]], ANY, **TEST)
    assert found is T
    assert why.startswith("not comparable: training is ")
    found, why = judged([*sweep("a", 0.5, (1, 3)), *rows[9:]], ANY, **TEST)
    assert (found, why) == (N, "6 trainings of 2 learning rates: 2 of each of 3 are needed")
    found, why = judged([*sweep("a", 0.5, (1, 2, 4)), *rows[9:]], ANY, **TEST)
    assert found is T
    assert why == "the learning rates of both are not the same multiples"


# What each test of claims needs beside the cells that it names.
NAMING: dict[str, dict[str, Any]] = {
    "apart": {"at_most": 1},
    "closer": {},
    "distance": {"at_most": 1},
    "equally-trained": {"parameters": 0.1, "seconds": 0.1},
    "evaluations": {"at_most": 1},
    "frequencies": {},
    "gradient": {"at_most": 1},
    "modes": {"at_least": 1},
    "noise": {"at_most": 1},
    "sensitivity": {"at_most": 1, "rates": 3},
    "size": {"explains": 0.5},
    "time": {"at_most": 1},
    "training": {"at_most": 1},
}
CLASSES = {
    get_args(known.model_fields["test"].annotation)[0]: known
    for known in get_args(get_args(Plain)[0])
}
NAMES = [(t, name) for t in NAMING for name in ("cell", "other") if name in CLASSES[t].model_fields]


def test_is_every_test_that_names_a_cell_asked_for_one_that_is_there() -> None:
    naming = {t for t, known in CLASSES.items() if {"cell", "other"} & set(known.model_fields)}
    assert naming == set(NAMING)


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(("kind", "name"), NAMES)
def test_a_claim_that_names_no_cell_is_refused(
    kind: str, name: str, nested: bool, tmp_path: Path
) -> None:
    cells = {each: "a" for each in ("cell", "other") if (kind, each) in NAMES}
    right = {"test": kind, **NAMING[kind], **cells}
    content = {"cells": {"a": reported("a").model_dump()}, "claims": [{"text": "a", "tests": []}]}

    def written(test: dict[str, Any]) -> Path:
        tests = [{"test": "either", "either": [[right], [test]]}] if nested else [test]
        content["claims"] = [{"text": "a", "tests": tests}]
        claims = tmp_path / "claims.yaml"
        claims.write_text(yaml.safe_dump(content))
        return claims

    assert read_claims(written(right))
    message = r"claims.yaml: claims: 1: no cell 'aa': did you mean 'a'"
    with pytest.raises(BenchmarkError, match=message):
        read_claims(written(right | {name: "aa"}))


@pytest.mark.parametrize("name", ["claims.yaml", "claims-gans-report.yaml"])
def test_the_config_runs_every_cell_that_claims_about_gans_name(name: str) -> None:
    config = load_config(PROJECT / "config" / name)
    rows = [Row(dataset=cell.dataset, cell=cell) for cell in config.cells]
    cells = read_claims(CLAIMS).cells
    for cell in ("gan", "diffusion"):
        [found] = [row for row in rows if cells[cell].fits(row)]
        assert found.cell
    for cell in ("gans", "diffusions"):
        assert sum(map(cells[cell].fits, rows)) == 9
