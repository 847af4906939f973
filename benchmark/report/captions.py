"""The lines above a table that say how to read it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmark.metrics import METRICS
from benchmark.metrics.uncertainty import differs
from benchmark.records.provenance import Provenance
from benchmark.records.record import (
    Cell,
    Protocol,
    Record,
)
from benchmark.records.rows import (
    Row,
    floor_of,
    metric_options,
    seeds_of,
)
from benchmark.report.classes_table import accuracy_of
from benchmark.report.columns import heading_of, title_of_value
from benchmark.report.faint import faint_lines
from benchmark.report.formats import BUSY, FEW
from benchmark.report.letters import Compared
from benchmark.report.verdict_tables import interval

DATA_ACROSS = 120  # the most letters of data sets in a line of a caption
BUSY_LINE = (
    f"{BUSY}: others took a tenth of a core or more while this was timed, or the machine was held "
    "back: such a time says little, and compares with no other."
)


def results_caption(rows: Sequence[Row]) -> list[str]:
    """Return the caption of a table of results: what it holds."""
    cells = [row.cell for row in rows if row.cell]
    sets = dict.fromkeys(f"{c.dataset} at {c.resolution}×{c.resolution}" for c in cells)
    return [data_line(sets)]


def data_line(sets: Iterable[str]) -> str:
    """Return the line of a caption that names data sets: those that fit, and how many are left."""
    names = list(dict.fromkeys(sets))
    fitting = [i for i in range(1, len(names) + 1) if len("; ".join(names[:i])) <= DATA_ACROSS]
    shown = names[: max(fitting, default=1)]
    left = len(names) - len(shown)
    return f"Data: {'; '.join(shown)}{f'; {left} more in the CSV' if left else ''}."


def results_legend(
    rows: Sequence[Row], compared: Sequence[Compared], has_published: bool
) -> list[str]:
    """Return how to read a table of results."""
    cells = [row.cell for row in rows if row.cell]
    jobs = [job for row in rows for job in (row.training, row.sample) if job]
    lines = _skipped(rows)
    lines += dict.fromkeys(protocol_line(row.protocol) for row in rows if row.protocol)
    values = [
        value for row in rows for value in (row.metrics.values if row.metrics else {}).values()
    ]
    if any(value.std_error is not None for value in values):
        lines.append("± is one standard error.")
    values += [row.seconds for row in rows if row.seconds]
    if any(value.low is not None for value in values):
        lines.append("[a, b] is a 95 % interval.")
    lines += _reading(rows, compared) + _judges(rows) + faint_lines(rows) + _controls(rows)
    if jobs:
        lines.append(
            "Sampling is timed without loading and saving; s/image is the median of the laps, the "
            "parts of batches that were timed. " + machines_line(job.provenance for job in jobs)
        )
        lines += _busy_lines(jobs)
    lines += _sharing(cells) + _checkpoints(rows) + _choices(rows)
    lines += _elsewhere(rows)
    if has_published:
        lines.append("Report: the published row of equal family, schedule, sampler and steps.")
    return lines


def _skipped(rows: Sequence[Row]) -> list[str]:
    """Return how many images of each data set were left out because they could not be read."""
    counts = {row.dataset: row.data.values.get("bad_images") for row in rows if row.data}
    return [
        f"Of {name}, {count.value:.0f} unreadable image{'s' * (count.value != 1)} left out."
        for name, count in counts.items()
        if count and count.value
    ]


def protocol_line(protocol: Protocol) -> str:
    """Return what a distance is, and that it is no FID where it is none."""
    line = (
        f"{protocol.label}: Fréchet distance of {protocol.extractor} features "
        f"({protocol.dimension} dimensions) to {protocol.n_real} real images; it depends on n."
    )
    if protocol.label.startswith("FID"):
        return line
    return line + " It is not an FID: do not compare it with the report's."


def _reading(rows: Sequence[Row], compared: Sequence[Compared]) -> list[str]:
    """Return what floor, marks and letters mean, if the table has them."""
    lines = few_lines((n, row.few) for row in rows for n in row.distances)
    if any(floor_of(row, rows) for row in rows):
        lines.append(
            "Floor: the distance of as many held-out images; empty where there are fewer. FDr: the "
            "distance over it, so 1 is as good as real images."
        )
    if sizes := [str(group.n) for group in compared]:
        lines.append(
            "Letters: rows that share one cannot be told apart, as the 95 % interval of the "
            f"difference of their distances at n = {' and '.join(sizes)} holds 0; rows without a "
            "letter were not measured at this n, and distances at different n do not compare."
        )
    if any(len(seeds_of(row, rows)) > 1 for row in rows):
        lines.append("Mean over seeds: its interval follows from the scatter between them.")
    return lines


def _judges(rows: Sequence[Row]) -> list[str]:
    """Return how often the judge of classes is right, if there are figures that rest on it."""
    asked: dict[str, dict[str, None]] = {}  # names of such metrics, by data set
    for row in rows:
        for name in row.metrics.values if row.metrics else ():
            assert row.metrics
            kind = metric_options(row.metrics, name)["kind"]
            if kind in METRICS.names() and METRICS.get(kind).takes == "classes":
                asked.setdefault(row.dataset, {})[heading_of(name)] = None
    lines = []
    for row in rows:
        if row.is_floor and row.dataset in asked and row.metrics and row.metrics.by_class:
            right = accuracy_of(row.metrics.by_class.values())
            lines.append(
                f"{', '.join(asked[row.dataset])}: by a judge that has seen the training images "
                f"alone; of the held-out images of {row.dataset} it names the class of "
                f"{interval(right)}."
            )
    return lines


def few_lines(measured: Iterable[tuple[int, int | None]]) -> list[str]:
    """Return what the mark of distances of few images means, if there is one.

    Args:
        measured: the number of images of each distance, and the number below which it is marked.
    """
    return [
        f"{FEW}: of fewer than {few} images, whose covariance says little; the bias dominates."
        for few in sorted({few for n, few in measured if few and n < few})
    ]


def _controls(rows: Sequence[Row]) -> list[str]:
    """Return what the controls are, and which of them the distance tells from real images."""
    texts = {row.control.kind: row.control.text for row in rows if row.control}
    said = "; ".join(f"{kind.replace('-', ' ')}: {text}" for kind, text in texts.items())
    lines = [f"Controls: {said}."] if texts else []
    noticed: dict[bool, dict[str, None]] = {True: {}, False: {}}
    for row in rows:
        floor = floor_of(row, rows)
        if row.control and row.distance and floor and floor.low is not None:
            noticed[differs(row.distance, floor)][row.control.kind.replace("-", " ")] = None
    for answer, kinds in noticed.items():
        if kinds:
            lines.append(
                f"{'Told' if answer else 'Not told'} from as many held-out images by the distance "
                f"of all their images: {', '.join(kinds)}."
            )
    return lines


def _busy_lines(jobs: Sequence[Record]) -> list[str]:
    """Return what the mark of times means, if there is one, and which times may lack it."""
    timed = list({(job.kind, job.id): job for job in jobs if job.timing or job.curve}.values())
    lines = [BUSY_LINE] * any(job.busy for job in timed)
    untold = [job.id for job in timed if not job.busy_is_told]
    if untold:
        which = "any time" if len(untold) == len(timed) else ", ".join(untold)
        lines.append(f"Whether the machine was busy is not told of {which}.")
    return lines


def machines_line(provenances: Iterable[Provenance]) -> str:
    """Return the machines that ran the jobs, and the precision of their numbers."""
    machines = sorted({(p.gpu or f"{p.cpu}, {p.cores} cores", p.precision) for p in provenances})
    return "Machine: " + "; ".join(f"{name}, {precision}" for name, precision in machines) + "."


def _sharing(cells: Sequence[Cell]) -> list[str]:
    """Return which models sample from the same network, and so repeat one training time."""
    models: dict[str, list[str]] = {}
    for cell in cells:
        if cell.trained_as:
            models.setdefault(cell.trained_as, []).append(cell.model)
    return [
        f"{' and '.join(dict.fromkeys(names))} share the network {network}, which was trained once."
        for network, names in models.items()
        if len(set(names)) > 1
    ]


def _checkpoints(rows: Sequence[Row]) -> list[str]:
    """Return which files of ready weights were sampled."""
    users: dict[
        tuple[str, str], dict[str, None]
    ] = {}  # models of each file, in the order of the rows
    for row in rows:
        if row.cell and row.sample and row.sample.checkpoint:
            checkpoint = row.sample.checkpoint
            users.setdefault((checkpoint.name, checkpoint.sha256), {})[row.cell.model] = None
    return [
        f"Weights of {' and '.join(models)}: {name}, SHA-256 {sha256[:12]}."
        for (name, sha256), models in users.items()
    ]


def _choices(rows: Sequence[Row]) -> list[str]:
    """Return which settings of a checkpoint its rows do not follow."""
    models: dict[str, dict[str, None]] = {}  # models of each setting, in the order of the rows
    for row in rows:
        if row.cell and row.sample and row.sample.checkpoint:
            for choice in row.sample.checkpoint.choices:
                models.setdefault(str(choice), {})[row.cell.model] = None
    return [
        f"Not as the checkpoint of {' and '.join(names)}: {choice}."
        for choice, names in models.items()
    ]


def _elsewhere(rows: Sequence[Row]) -> list[str]:
    """Return which images were made elsewhere."""
    return [
        f"{row.cell.model} (seed {row.cell.seed}): {row.cell.samples} of the "
        f"{gathered.images_in_folder} images in {gathered.folder}, made elsewhere."
        for row in rows
        if row.cell and row.sample and (gathered := row.sample.gathered)
    ]


def missing_lines(named: Iterable[tuple[str, Record | None]]) -> list[str]:
    """Return a line for each reason: the values that could not be computed, and their rows."""
    groups: dict[tuple[str, str], list[str]] = {}  # names of rows, by values and reason
    for name, record in named:
        missing = record.missing if record else {}
        for why in dict.fromkeys(missing.values()):
            keys = [key for key, reason in missing.items() if reason == why]
            values = ", ".join(heading_of(title_of_value(record, key)) for key in keys)
            groups.setdefault((values, why), []).append(name)
    return [
        f"No {values} for {', '.join(dict.fromkeys(names))}: {why}."
        for (values, why), names in groups.items()
    ]
