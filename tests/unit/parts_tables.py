"""Writes the tables of docs/ that are made of the code."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from benchmark.core.errors import BenchmarkError
from benchmark.core.parts import Parts
from benchmark.core.strict_model import StrictModel
from benchmark.data.controls import CONTROLS
from benchmark.data.sources import SOURCES
from benchmark.diffusion.methods import METHODS, Method
from benchmark.diffusion.operators import OPERATORS, Operator
from benchmark.diffusion.samplers import SAMPLERS
from benchmark.diffusion.schedules import SCHEDULES
from benchmark.extractors import EXTRACTORS
from benchmark.metrics import METRICS
from benchmark.models.checkpoints import CHECKPOINTS
from benchmark.models.networks import NETWORKS
from benchmark.tools.choices import CHOICES
from benchmark.tools.network_cost import evaluations

PAGE = Path(__file__).parents[2] / "docs" / "samplers.md"
COMMAND = "write it again: uv run python tests/unit/parts_tables.py"


def samplers() -> str:
    """Return the table of samplers, in Markdown."""
    rows = [("`kind`", "paper", "processes", "times", "evaluations in n steps", "options")]
    rows += [("---",) * 6]
    for name, part in SAMPLERS.classes.items():
        families = "all" if part.families is None else ", ".join(part.families)
        times = part.model_fields["spacing"].default or part.usual_spacing or "usual"
        rows.append((f"`{name}`", part.paper, families, times, calls_of(name), options(part)))
    return markdown(rows)


def calls_of(sampler: str) -> str:
    """Return the network evaluations of a sampler in n steps, by its defaults: as 2n - 1."""
    part = SAMPLERS.make(sampler)
    if part.adaptive:
        return "as many as the solver needs"
    known = [SCHEDULES.make(name).process() for name in SCHEDULES.names()]
    process = next(process for process in known if part.is_defined_for(process))
    if process.length == 1:
        return "1"
    ten, twenty = (evaluations(process, part, steps)[0] for steps in (10, 20))
    each = (twenty - ten) // 10
    more = ten - 10 * each
    sign = "-" if more < 0 else "+"
    return f"{each if each > 1 else ''}n" + (f" {sign} {abs(more)}" if more else "")


def schedules() -> str:
    """Return the table of schedules, in Markdown."""
    rows = [("`kind`", "process", "paper", "pixels", "spacings", "options"), ("---",) * 6]
    for name in SCHEDULES.names():
        schedule = SCHEDULES.make(name)
        process = schedule.process()
        pixels = "[{:g}, {:g}]".format(*process.data_range)
        spacings = ", ".join(process.spacings)
        shown = options(type(schedule))
        rows.append((f"`{name}`", process.family, schedule.paper, pixels, spacings, shown))
    return markdown(rows)


def metrics() -> str:
    """Return the table of metrics, in Markdown."""
    rows = [("`kind`", "`score --metrics`", "better is", "options", "paper", "what it tells")]
    rows += [("---",) * 6]
    for name, part in METRICS.classes.items():
        better = "higher" if part.higher_is_better else "lower"
        short = "–" if part.takes == "classes" else f"`{part.short or name}`"
        rows.append((f"`{name}`", short, better, options(part), part.paper, told(part)))
    return markdown(rows)


def extractors() -> str:
    """Return the table of extractors, in Markdown."""
    rows = [("`extractor:`", "in tables", "features", "preprocessing", "weights, licence")]
    rows += [("---",) * 5]
    for name, part in EXTRACTORS.classes.items():
        weights = f"`{part.weights.file}`, {part.weights.licence}"
        rows.append((f"`{name}`", part.label, str(part.dimension), part.preprocessing, weights))
    return markdown(rows)


def controls() -> str:
    """Return the table of controls, in Markdown."""
    rows = [("`controls:`", "images"), ("---",) * 2]
    rows += [(f"`{name}`", CONTROLS.make(name).text) for name in CONTROLS.names()]
    return markdown(rows)


def choices() -> str:
    """Return the table of the choices that `why` changes, in Markdown."""
    rows = [("`--choices`", "what is chosen"), ("---",) * 2]
    rows += [(f"`{name}`", told(part)) for name, part in CHOICES.classes.items()]
    return markdown(rows)


def methods() -> str:
    """Return the table of methods for inverse problems, in Markdown."""
    rows = [("`method:`", "paper", "what", "samplers", "options"), ("---",) * 5]
    inpaint = OPERATORS.make("inpaint")
    for name, part in METHODS.classes.items():
        suited = [kind for kind in SAMPLERS.names() if _suits(METHODS.make(name), kind, inpaint)]
        left_out = [kind for kind in SAMPLERS.names() if kind not in suited]
        named = ", ".join(suited) if len(suited) < len(left_out) else f"all but {left_out[0]}"
        rows.append((f"`{name}`", part.paper, told(part), named, options(part)))
    return markdown(rows)


def _suits(method: Method, sampler: str, operator: Operator) -> bool:
    try:
        method.check(SAMPLERS.make(sampler), operator, 1000)
    except BenchmarkError:
        return False
    return True


def operators() -> str:
    """Return the table of operators, in Markdown."""
    rows = [("`kind`", "what", "options"), ("---",) * 3]
    for name, part in OPERATORS.classes.items():
        rows.append((f"`{name}`", told(part), options(part)))
    return markdown(rows)


def with_options(parts: Parts[Any], key: str = "kind") -> str:
    """Return a table of parts, some of whose options have no defaults, in Markdown."""
    rows = [(f"`{key}`", "what", "needed", "optional"), ("---",) * 4]
    for name, part in parts.classes.items():
        fields = {option: field for option, field in part.model_fields.items() if option != key}
        needed = ", ".join(f"`{option}`" for option, f in fields.items() if f.is_required())
        optional = ", ".join(f"`{option}`" for option, f in fields.items() if not f.is_required())
        rows.append((f"`{name}`", told(part), needed or "–", optional or "–"))
    return markdown(rows)


def markdown(rows: list[tuple[str, ...]]) -> str:
    """Return rows of cells as a table."""
    return "".join(f"| {' | '.join(row)} |\n" for row in rows).replace("| --- ", "|---")


def told(part: type[StrictModel]) -> str:
    """Return what the first line of a part's docstring says."""
    return (inspect.getdoc(part) or "").splitlines()[0].rstrip(".")


def options(part: type[StrictModel]) -> str:
    """Return the options of a part with their defaults."""
    defaults = {name: field.default for name, field in part.model_fields.items()}
    own = {name: value for name, value in defaults.items() if name not in ("kind", "spacing")}
    return ", ".join(f"`{yaml.safe_dump({name: value}).strip()}`" for name, value in own.items())


def table_below(heading: str, page: str) -> re.Match[str]:
    """Return where the first table below a heading of a page stands."""
    found = re.compile(rf"(?<=\n## {heading}\n)(?:(?!\|).*\n)*((?:\|.*\n)+)").search(page)
    assert found, heading
    return found


def tables() -> Iterator[tuple[str, str]]:
    """Yield the tables by the headings above them."""
    yield "All samplers", samplers()
    yield "Schedules", schedules()
    yield "All metrics", metrics()
    yield "All extractors", extractors()
    yield "All controls", controls()
    yield "All choices", choices()
    yield "All operators", operators()
    yield "All methods", methods()
    yield "Data sources", with_options(SOURCES, "source")
    yield "Networks", with_options(NETWORKS)
    yield "Formats of checkpoints", with_options(CHECKPOINTS)


def page_of(heading: str) -> Path:
    """Return the page that has a heading."""
    [page] = [page for page in PAGE.parent.glob("*.md") if f"\n## {heading}\n" in page.read_text()]
    return page


if __name__ == "__main__":
    for heading, table in tables():
        page = page_of(heading)
        text = page.read_text()
        found = table_below(heading, text)
        page.write_text(text[: found.start(1)] + table + text[found.end(1) :])
