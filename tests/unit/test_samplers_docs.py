"""docs/samplers.md must say what the code does."""

from __future__ import annotations

import pytest
from analytic import ON_PATHS
from parts_tables import PAGE
from parts_tables import options as options_of
from test_samplers import sample

from benchmark.diffusion.samplers import SAMPLERS
from benchmark.diffusion.schedules import SCHEDULES

COUNTS = {"n": 10, "2n": 20, "2n - 1": 19, "4n - 3": 37, "n + 9": 19}  # of 10 steps


def table(heading: str) -> dict[str, dict[str, str]]:
    """Return the table under a heading: by `kind`, the cells of each row by column."""
    section = PAGE.read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line.strip("|") for line in section.splitlines() if line.startswith("|")]
    header, _, *rows = [[cell.strip() for cell in line.split("|")] for line in lines]
    return {row[0].strip("`"): dict(zip(header, row, strict=True)) for row in rows}


def test_does_the_page_list_every_sampler_and_every_schedule() -> None:
    assert sorted(table("All samplers")) == SAMPLERS.names()
    assert sorted(table("Schedules")) == SCHEDULES.names()


@pytest.mark.parametrize("name", SAMPLERS.names())
def test_does_the_page_say_of_a_sampler_what_the_code_does(name: str) -> None:
    row, sampler = table("All samplers")[name], SAMPLERS.get(name)
    assert row["processes"] == ("all" if sampler.families is None else ", ".join(sampler.families))
    stated = sampler.model_fields["spacing"].default or sampler.usual_spacing
    assert row["times"] == (stated or "usual")
    assert row["options"] == options_of(sampler)


@pytest.mark.parametrize("name", [name for name in ON_PATHS if name != "probability-flow"])
def test_does_a_sampler_take_the_evaluations_that_the_page_says(name: str) -> None:
    schedule = "geometric" if name == "annealed-langevin" else "vp"
    _, model = sample(name, SCHEDULES.make(schedule).process(), 10, range(2))
    assert model.evaluations / 2 == COUNTS[table("All samplers")[name]["evaluations in n steps"]]
