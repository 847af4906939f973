"""What a run found, in a few sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmark.records.rows import setting_name
from benchmark.report.faint import faint_lines
from benchmark.report.formats import FEW, significant
from benchmark.report.planes import evaluations
from benchmark.report.ranking import Entry, Ranking
from benchmark.report.verdict_tables import interval

_NAMED = 4  # settings that a sentence lists


def in_words(ranking: Ranking) -> list[str]:
    """Say which setting is best, what cannot be told from it, what it costs, and how good it is."""
    if not ranking.ranked:
        return [_nothing(ranking)]
    best, alike = ranking.ranked[0], ranking.alike
    return [
        _first(ranking, best),
        _others(alike, len(ranking.ranked) - 1),
        *_cost(best, alike),
        *_caution(ranking, best),
        *faint_lines([row for entry in ranking.entries for row in entry.seeds]),
    ]


def _nothing(ranking: Ranking) -> str:
    reasons = dict.fromkeys(row.no_distance for entry in ranking.entries for row in entry.seeds)
    why = "; ".join(filter(None, reasons))
    return (
        f"No distance of {ranking.data} could be measured: {why}."
        if why
        else (f"No distance of {ranking.data} is measured yet.")
    )


def _first(ranking: Ranking, best: Entry) -> str:
    assert best.distance
    name, figure = setting_name(best.cell), interval(best.distance)
    lead = f"On {ranking.data}, {name} has"
    if len(ranking.ranked) == 1:
        lead += f" {ranking.label} {figure} at n = {ranking.n}"
    else:
        lead += (
            f" the lowest {ranking.label} of {len(ranking.ranked)} settings: {figure} at "
            f"n = {ranking.n} images"
        )
    if best.times_floor is None:
        return f"{lead}."
    return (
        f"{lead}, {significant(best.times_floor)} times the floor, which is the distance of as "
        "many real images that were held out."
    )


def _others(alike: Sequence[Entry], compared: int) -> str:
    if not compared:
        return "There is no other setting to compare it with."
    if not alike:
        return "Every other setting is farther from the real images."
    names = [setting_name(entry.cell) for entry in alike[:_NAMED]]
    more = [f"{len(alike) - _NAMED} more"] if len(alike) > _NAMED else []
    listed = _listed([*names, *more])
    return f"{len(alike)} of the others cannot be told from it: {listed}."


def _cost(best: Entry, alike: Sequence[Entry]) -> Iterator[str]:
    if cost := _costs(best):
        yield f"An image of it costs {cost}."
    timed = [entry for entry in (best, *alike) if entry.seconds]
    cheapest = min(timed, key=_evaluations, default=best)
    if cost and _evaluations(cheapest) < _evaluations(best):
        yield f"The cheapest of those is {setting_name(cheapest.cell)}: {_costs(cheapest)}."


def _costs(entry: Entry) -> str:
    """Return what an image of a setting costs; empty where it was not timed."""
    if entry.seconds is None:
        return ""
    while_busy = ", measured while the machine was busy" if entry.busy else ""
    count, seconds = f"{_evaluations(entry):,.6g}", significant(entry.seconds.value)
    return f"{count} network evaluations and {seconds} s{while_busy}"


def _evaluations(entry: Entry) -> float:
    return evaluations(entry.seeds).value


def _caution(ranking: Ranking, best: Entry) -> Iterator[str]:
    few = best.seeds[0].few
    if few and best.n < few:
        yield (
            f"{FEW} So few images, less than {few}, say little of a covariance: the distances are "
            "mostly bias, which all of them have."
        )
    if count := len(ranking.others):
        verb = "setting was" if count == 1 else "settings were"
        yield f"{count} {verb} not measured at n = {ranking.n} and cannot be compared."


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
