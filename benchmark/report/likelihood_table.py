"""The table of likelihoods: does a network find training images likelier than held-out ones?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from benchmark.core.values import Value
from benchmark.metrics.uncertainty import difference
from benchmark.records.record import Record
from benchmark.report.formats import Column, Table, TableEntry
from benchmark.storage.paths import HELD_OUT

NAME = "likelihood"

_COLUMNS = [
    Column("model", "model", number=False),
    Column("schedule", "schedule", number=False),
    Column("dataset", "data", number=False),
    Column("images", "images", number=False),
    Column("n", "n"),
    Column("bits", "bits/dim"),
    Column("bits_over_held_out", "− held-out"),
    Column("bound", "bound"),
    Column("bound_over_held_out", "bound − held-out"),
    Column("evaluations", "evaluations/image"),
    Column("dimensions", None),
    Column("probes", None),
    Column("variance", None, number=False),
]


def likelihood_table(records: Iterable[Record]) -> Table:
    """Return the likelihood of training, held-out and sampled images under each network."""
    caption = [
        "How likely are images under each network? Bits per pixel and channel; fewer are likelier."
    ]
    legend = [
        "By the probability-flow ODE, of images with noise within each grey level. The bound is "
        "the variational one of a chain in discrete time. [a, b] is a 95 % interval over images.",
        "A network that finds training images likelier than held-out ones has learnt them by heart "
        "to that degree. Few bits for samples alone do not mean that they are good: dull images "
        "take fewer than images of the data.",
    ]
    return Table(NAME, caption, _COLUMNS, [row for r in records for row in _rows(r)], legend)


def _rows(record: Record) -> Iterator[dict[str, TableEntry]]:
    """Yield the entries of each set of images of a network; of other records none."""
    section = record.likelihoods
    if section is None:
        return
    held_out = section.sets[HELD_OUT]
    for name, found in section.sets.items():
        is_other = name != HELD_OUT
        yield {
            "model": section.model,
            "schedule": section.schedule,
            "dataset": section.dataset,
            "images": name,
            "n": found.images,
            "bits": found.bits,
            "bits_over_held_out": difference(found.bits, held_out.bits) if is_other else None,
            "bound": found.bound,
            "bound_over_held_out": _over(found.bound, held_out.bound) if is_other else None,
            "evaluations": found.evaluations,
            "dimensions": section.dimensions,
            "probes": section.probes,
            "variance": section.variance,
        }


def _over(bound: Value | None, held_out: Value | None) -> Value | None:
    return difference(bound, held_out) if bound and held_out else None
