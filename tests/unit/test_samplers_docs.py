"""docs/samplers.md must say what the code does."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from test_samplers import sample

from benchmark.core.strict import Strict
from benchmark.diffusion.samplers import SAMPLERS
from benchmark.diffusion.samplers.base import FAMILIES
from benchmark.diffusion.schedules import SCHEDULES

PAGE = Path(__file__).parents[2] / "docs" / "samplers.md"
COUNTS = {"n": 10, "2n": 20, "2n - 1": 19}  # of 10 steps


def table(heading: str) -> dict[str, dict[str, str]]:
    """Return the table under a heading: by `kind`, the cells of each row by column."""
    section = PAGE.read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line.strip("|") for line in section.splitlines() if line.startswith("|")]
    header, _, *rows = [[cell.strip() for cell in line.split("|")] for line in lines]
    return {row[0].strip("`"): dict(zip(header, row, strict=True)) for row in rows}


def options_of(options: type[Strict]) -> str:
    defaults = {name: field.default for name, field in options.model_fields.items()}
    own = {name: value for name, value in defaults.items() if name not in ("kind", "spacing")}
    return ", ".join(f"`{yaml.safe_dump({name: value}).strip()}`" for name, value in own.items())


def test_does_the_page_list_every_sampler_and_every_schedule() -> None:
    assert sorted(table("Samplers")) == SAMPLERS.names()
    assert sorted(table("Schedules")) == SCHEDULES.names()


@pytest.mark.parametrize("name", SAMPLERS.names())
def test_does_the_page_say_of_a_sampler_what_the_code_does(name: str) -> None:
    row, options = table("Samplers")[name], SAMPLERS.options(name)
    families = SAMPLERS.families(name)
    assert row["processes"] == ("all" if families == FAMILIES else ", ".join(families))
    assert row["times"] == (options.model_fields["spacing"].default or "usual")
    assert row["options"] == options_of(options)


@pytest.mark.parametrize("name", [name for name in SAMPLERS.names() if name != "probability-flow"])
def test_does_a_sampler_take_the_evaluations_that_the_page_says(name: str) -> None:
    schedule = "geometric" if name == "annealed-langevin" else "vp"
    _, model = sample(name, SCHEDULES.make(schedule).process(), 10, range(2))
    assert model.evaluations / 2 == COUNTS[table("Samplers")[name]["evaluations in n steps"]]


@pytest.mark.parametrize("name", SCHEDULES.names())
def test_does_the_page_say_of_a_schedule_what_the_code_does(name: str) -> None:
    row, schedule = table("Schedules")[name], SCHEDULES.make(name)
    process = schedule.process()
    assert row["process"] == process.family
    assert row["pixels"] == "[{:g}, {:g}]".format(*process.data_range)
    assert row["spacings"] == ", ".join(process.spacings)
    assert row["options"] == options_of(type(schedule))
