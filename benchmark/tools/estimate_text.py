"""Prints an estimate for people: a table, and lines of text."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from benchmark.tools.estimate import CostRow, RunEstimate

BAR = 10  # characters of the longest bar
_PIPE_WIDTH = 120  # characters of a line if the output is not a terminal


def show(found: RunEstimate, console: Console | None = None) -> None:
    """Print an estimate for people, on stdout unless a console is given."""
    console = console or Console()
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    console.print(_table(found))
    least = "at least " if found.lower_bound else ""
    console.print(
        f"Time: {least}{duration(found.seconds)} ({found.seconds / 86400:.1f} days), one job after "
        f"the other, on {found.device}, threads: {found.threads}. Arithmetic: {least}"
        f"{prefixed(found.flops)}FLOP, two for each multiplication with an addition."
    )
    if found.busy:
        longer = f", up to {found.threads} times those of {found.threads}" * (found.threads > 1)
        console.print(
            f"Other work kept this machine busy ({found.busy}): these are times of one thread's "
            f"own work{longer}. Estimate again when the machine is idle."
        )
    parts = ", ".join(f"{prefixed(size)}B {name}" for name, size in found.disk.items() if size)
    console.print(f"Disk: {least}{prefixed(sum(found.disk.values()))}B: {parts}.")
    for row in found.rows:
        if row.unknown:
            console.print(f"Unknown: {row.stage} {row.name}: {row.unknown}.")
    for row in found.rows:
        if row.kept:
            total = row.images + row.kept
            console.print(
                f"{row.name}: {row.images} of {total} images: the others were drawn before."
            )
    published = dict.fromkeys(row.origin for row in found.rows if "published" in row.origin)
    for origin in published:
        console.print(f"Not on this machine, architecture as {origin}.")
    console.print(
        "Evals are network evaluations for an image; a training's FLOPs and time have the backward "
        "pass too. Measured with random weights in the batch shown; a small batch gives a little "
        "too much. Left out: downloads, data preparation, the samplers' own arithmetic, metrics, "
        "retrieval, plots. Results that are there are counted, but for those of cells that grow."
    )


def _table(found: RunEstimate) -> Table:
    table = Table(
        title=f"What {found.run} costs", title_justify="left", box=None, padding=(0, 1, 0, 0)
    )
    table.add_column("stage", no_wrap=True)
    table.add_column("name", overflow="fold")
    for heading in ("params", "images", "evals", "FLOPs", "batch", "time"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("share", no_wrap=True)
    longest = max((row.seconds or 0 for row in found.rows), default=0)
    for row in found.rows:
        table.add_row(*_entries(row, found.seconds, longest))
    return table


def _entries(row: CostRow, total: float, longest: float) -> list[str]:
    about = "" if row.exact else "~"
    return [
        row.stage,
        row.name,
        prefixed(row.parameters) if row.parameters else "",
        f"{row.images:,}",
        f"{about}{row.evaluations:,.0f}",
        "unknown" if row.flops is None else about + prefixed(row.flops),
        "" if row.batch is None else str(row.batch),
        "unknown" if row.seconds is None else about + duration(row.seconds),
        "" if not row.seconds else _bar(row.seconds, total, longest),
    ]


def _bar(seconds: float, total: float, longest: float) -> str:
    return f"{seconds / total:4.0%} " + "█" * max(1, round(BAR * seconds / longest))


def duration(seconds: float) -> str:
    """Return a number of seconds as text, in seconds, minutes or hours."""
    if seconds < 100:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.1f} min"
    hours = seconds / 3600
    return f"{hours:.1f} h" if hours < 100 else f"{hours:,.0f} h"


def prefixed(number: float) -> str:
    """Return a number with three digits and an SI prefix, as `114 M`."""
    for prefix, unit in (("E", 1e18), ("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= unit:
            return f"{number / unit:.3g} {prefix}"
    return f"{number:.3g} "
