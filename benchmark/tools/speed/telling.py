"""Prints what is measured as soon as it is, with the machine and what else ran, and writes it.

This module does not import torch: the memory of a process counts in the peak of those that it
starts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.core.cores import available_cores
from benchmark.records.contention import ContentionMonitor
from benchmark.records.provenance import Stopwatch, Work, provenance
from benchmark.storage.atomic import write_text


class Told(NamedTuple):
    """A line, and the same figures for a file of JSON."""

    text: str
    figures: dict[str, Any]


def tell(title: str, key: str, lines: Iterable[Told], output: Path | None, **more: Any) -> None:
    """Print lines, and write their figures.

    Args:
        title: what is measured.
        key: the key of the figures in the file.
        lines: measures and yields one after the other.
        output: file to write, JSON; None: none.
        more: what else the file says.
    """
    watch = Stopwatch()
    here = provenance(watch, Work(threads=available_cores()))
    print(f"{title}, {watch.started}: {here.cpu}, {here.cores} cores", flush=True)
    others = ContentionMonitor()
    others.begin()
    found = []
    for line in lines:
        print(line.text, flush=True)
        found.append(line.figures)
    contention = others.found()
    if contention.busy:
        print(f"the machine was busy: {contention.busy}: do not quote these figures", flush=True)
    if output is not None:
        content = {
            "title": title,
            **more,
            "contention": contention.model_dump(),
            "provenance": provenance(watch, Work(threads=here.threads)).model_dump(),
            key: found,
        }
        write_text(output, json.dumps(content, indent=1) + "\n")
