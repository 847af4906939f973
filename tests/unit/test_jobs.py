"""A job has all that its stage needs, and runs again for what can change its result alone."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_closure import NAMES

from benchmark.config.building import BUILDERS
from benchmark.config.config import Config
from benchmark.config.dependencies import code, code_by_module, compared
from benchmark.config.grid import Grid
from benchmark.config.jobs.base import Job
from benchmark.config.keys import Keys
from benchmark.config.loading import parse_config
from benchmark.core.closure import HOME, PACKAGE, hashes
from benchmark.core.errors import BenchmarkError

CELL = "DDPM-linear-ddpm-10-s0"
# Folders with a file for each part.
PARTS = [
    *(f"diffusion/{name}" for name in ("samplers", "schedules", "processes", "losses")),
    *("models/networks", "models/modules", "models/checkpoints"),
    *("data/sources", "data/controls", "extractors", "extractors/networks", "metrics"),
]


OPTIONAL = ("answers", "classifier", "likelihood")  # rules that the smallest run has not


def all_jobs(config: Config) -> list[tuple[str, str]]:
    """Return every job of a run by its rule and its name."""
    cells, datasets = [cell.id for cell in config.cells], [*config.data]
    sampled = [cell.id for cell in config.cells if cell.sampler]
    groups = [config.controls_of(name) for name in datasets]
    names = {
        "prepare": datasets,
        "controls": datasets,
        "gather": sorted({*cells} - {*sampled}),
        "train": [*config.trainings],
        "classifier": config.guides,
        "sample": sampled,
        "merge_samples": sampled,
        "features": [*datasets, *groups, *cells],
        "merge_features": sampled,
        "evaluate": [*groups, *cells],
        "retrieve": [*groups, *cells],
        "answers": [cell.id for cell in config.cells if cell.task],
        "likelihood": [*config.likelihoods],
        "tables": [""],
        "plots": [""],
        "site": [""],
        "comparison": [""],
    }
    assert names.keys() == BUILDERS.keys()
    return [(rule, name) for rule, found in names.items() for name in found]


def parts(scratch: Path) -> dict[str, Path]:
    """Return the file of each part by the name of its module."""
    found = {}
    for file in (file for folder in PARTS for file in sorted((scratch / folder).glob("*.py"))):
        path = file.relative_to(scratch.parent).with_suffix("")
        found[".".join(path.parts).removesuffix(".__init__")] = file
    return found


def edit(*files: Path) -> None:
    """Add a line of code to each file."""
    for file in files:
        file.write_text(file.read_text() + "\nEDITED = 1\n")


@pytest.mark.parametrize("name", ["smoke", "families"])
def test_an_edited_part_changes_exactly_the_jobs_that_reach_it(
    name: str, same_files: Path, request: pytest.FixtureRequest
) -> None:
    config: Config = request.getfixturevalue(name)
    jobs = {job: config.job(*job) for job in all_jobs(config)}
    reached = {job: code_by_module(made) for job, made in jobs.items()}
    files = parts(same_files)
    used = set().union(*reached.values()) & files.keys()
    assert len(used) > 15
    now = {job: code(made) for job, made in jobs.items()}
    edit(*(file for module, file in files.items() if module not in used))
    assert {job: code(made) for job, made in jobs.items()} == now
    for module in sorted(used):
        before = now
        edit(files[module])
        now = {job: code(made) for job, made in jobs.items()}
        changed = {job for job in jobs if now[job] != before[job]}
        assert changed == {job for job in jobs if module in reached[job]}, module


@pytest.mark.parametrize(
    ("rule", "field", "folder"),
    [
        ("sample", "sampler", "diffusion/samplers"),
        ("sample", "schedule", "diffusion/schedules"),
        ("train", "schedule", "diffusion/schedules"),
        ("train", "network", "models/networks"),
        ("prepare", "source", "data/sources"),
        ("gather", "source", "data/sources"),
        ("features", "extractor", "extractors"),
        ("evaluate", "extractor", "extractors"),
        ("retrieve", "extractor", "extractors"),
    ],
)
def test_of_each_kind_of_part_a_job_reaches_its_own_alone(
    rule: str,
    field: str,
    folder: str,
    smoke: Config,
    families: Config,
) -> None:
    package = f"{PACKAGE}.{folder.replace('/', '.')}"
    for config in (smoke, families):
        for name in [name for each, name in all_jobs(config) if each == rule]:
            job = config.job(rule, name)
            own = type(getattr(job, field)).__module__
            base = {f"{package}.{shared}" for shared in ("base", "betas", "weights")}
            reached = {m for m in code_by_module(job) if m.rpartition(".")[0] == package}
            assert own in reached
            assert reached - base - imports_of(own, package) == {own}, (rule, name)


def imports_of(module: str, package: str) -> set[str]:
    """Return the modules of a package that a part of it imports, as one that builds on another."""
    return {name for name in hashes([module]) if name.rpartition(".")[0] == package} - {module}


def held(value: Any) -> Iterator[Any]:
    """Yield all that a job holds, however deep."""
    yield value
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from held(getattr(value, field.name))
    elif isinstance(value, dict):
        for item in value.values():
            yield from held(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from held(item)


@pytest.mark.parametrize("rule", [rule for rule in BUILDERS if rule not in ("gather", *OPTIONAL)])
def test_a_job_is_frozen_holds_no_config_and_says_all_as_json(
    rule: str, smoke: Config, tmp_path: Path
) -> None:
    job: Job = smoke.job(rule, NAMES.get(rule, CELL))
    with pytest.raises(dataclasses.FrozenInstanceError):
        job.name = "other"  # type: ignore[misc]
    assert not any(isinstance(value, Keys | Grid) for value in held(job))
    assert job == parse_config(smoke.model_dump(mode="json")).job(rule, NAMES.get(rule, CELL))
    said = compared(job, tmp_path)
    assert json.loads(said)["code"]
    assert str(HOME) not in said


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("device",), "auto"),
        (("training", "quick", "save_seconds"), 5.0),
        (("run",), "renamed"),
        (("against",), "results/other"),
    ],
)
def test_what_changes_no_result_is_not_compared(
    path: tuple[str, ...], value: object, smoke: Config, tmp_path: Path
) -> None:
    content = smoke.model_dump(mode="json")
    at = content
    for key in path[:-1]:
        at = at[key if key in at else next(iter(at))]
    at[path[-1]] = value
    other = parse_config(content)
    for rule, name in all_jobs(smoke):
        if path == ("run",) and rule in ("tables", "plots", "site", "comparison"):
            continue  # it stands in them
        assert compared(smoke.job(rule, name), tmp_path) == compared(
            other.job(rule, name), tmp_path
        )


@pytest.mark.parametrize(
    ("rule", "name", "expected"),
    [
        ("prepare", "tinny", "no data set 'tinny': did you mean 'tiny'"),
        ("train", "DDPM-linar", "no training 'DDPM-linar': did you mean 'DDPM-linear'"),
        ("sample", "DDPM", "no cell 'DDPM': "),
        ("features", "controls-tinny", "no cell, data set or controls-DATA 'controls-tinny': "),
        ("evaluate", "noise-tinny", "no cell or control 'noise-tinny': did you mean 'noise-tiny'"),
        ("gather", CELL, f"{CELL}: models.DDPM has no images: it is sampled"),
    ],
)
def test_a_job_of_nothing_is_one_line(rule: str, name: str, expected: str, smoke: Config) -> None:
    with pytest.raises(BenchmarkError) as caught:
        smoke.job(rule, name)
    assert str(caught.value).startswith(expected)
