"""What differs between the machines, the code and the specifications of two runs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from benchmark.records.record import Record

# Fields of the provenance that do not describe the machine, or are compared one by one.
NOT_OF_A_MACHINE = {"started", "wall_seconds", "startup_seconds", "libraries"}

# Fields of the provenance that differ between the kinds of jobs of one run.
OF_A_JOB = ("device", "threads", "processes", "precision", "compiled")

HASH = 12  # characters of a hash that are shown


@dataclass(frozen=True)
class Change:
    """Something of the environment that differs."""

    field: str
    base: str
    other: str


def changes(base: Sequence[Record], other: Sequence[Record]) -> list[Change]:
    """Return what differs between the machines and the code of two runs."""
    ours, theirs = _facts(base), _facts(other)
    return [
        Change(name, ours.get(name, "none"), theirs.get(name, "none"))
        for name in dict.fromkeys([*ours, *theirs])
        if ours.get(name) != theirs.get(name)
    ]


def _facts(records: Iterable[Record]) -> dict[str, str]:
    """Return the machine and the code of the jobs of a run: all values of each field, each once."""
    found: dict[str, set[str]] = {}
    for record in records:
        facts = record.provenance.model_dump(exclude=NOT_OF_A_MACHINE)
        for name, value in (facts | record.provenance.libraries).items():
            key = f"{name} of {record.kind} jobs" if name in OF_A_JOB else name
            found.setdefault(key, set()).add(shortened(value))
    return {name: ", ".join(sorted(values)) for name, values in found.items()}


def differing_specs(base: Sequence[Record], other: Sequence[Record]) -> dict[str, tuple[int, int]]:
    """Return by kind how many of the jobs that both runs have differ in their specification.

    The second number of a kind is that of all jobs that both have.
    """
    ours, theirs = (
        pd.DataFrame([(r.kind, r.id, r.spec_hash) for r in run], columns=["kind", "id", "spec"])
        for run in (base, other)
    )
    both = ours.merge(theirs, on=["kind", "id"], suffixes=("", "_other"))
    differ = both["spec"].ne(both["spec_other"]).groupby(both["kind"], sort=False)
    counts = differ.agg(["sum", "size"])
    return {str(kind): (int(n), int(total)) for kind, n, total in counts.itertuples() if n}


def specified_otherwise(base: Sequence[Record], other: Sequence[Record]) -> list[str]:
    """Return what differs in the specifications of the jobs that both runs have, and in how many.

    A line is as `sampler.eta 0.0 → 1.0 (2 of sample)`; what most jobs have in common comes first.
    """
    theirs = {(record.kind, record.id): record for record in other}
    found: Counter[tuple[str, str, str, str]] = Counter()
    for record in base:
        twin = theirs.get((record.kind, record.id))
        if twin and twin.spec_hash != record.spec_hash:
            ours, others = dict(_leaves(record.spec)), dict(_leaves(twin.spec))
            found.update(
                (record.kind, key, shortened(ours.get(key)), shortened(others.get(key)))
                for key in dict.fromkeys([*ours, *others])
                if ours.get(key) != others.get(key)
            )
    return [
        f"{key} {before} → {after} ({count} of {kind})"
        for (kind, key, before, after), count in found.most_common()
    ]


def _leaves(value: object, place: str = "") -> Iterator[tuple[str, object]]:
    """Yield the values of a nested mapping by their dotted keys; a list is one value."""
    if not isinstance(value, dict):
        yield place, value
        return
    for key, item in value.items():
        yield from _leaves(item, f"{place}.{key}" if place else str(key))


def shortened(value: object) -> str:
    """Return a value as text; of a hash only the first characters."""
    if value is None:
        return "none"
    text = str(value)
    return text[:HASH] if re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", text) else text
