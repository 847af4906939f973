"""All figures that are made of the records of a run alone: for files and for the page."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from benchmark.records.published import Key, Published
from benchmark.records.record import Record
from benchmark.records.rows import Row
from benchmark.report.by_model import distance_by_model, time_by_model
from benchmark.report.denoising_plot import denoising_plot
from benchmark.report.guidance_plot import guidance_plot
from benchmark.report.loss_curves import loss_curves
from benchmark.report.timeline import timeline
from benchmark.report.trade_off import distance_against_evaluations, distance_against_time
from benchmark.report.training_plot import distance_against_training


def drawn(
    records: Sequence[Record], rows: Sequence[Row], published: dict[Key, Published]
) -> dict[str, Figure]:
    """Draw every figure that the records allow, by the names of their files."""
    figures = {
        "distance-against-evaluations": distance_against_evaluations(rows),
        "distance-against-time": distance_against_time(rows),
        "distance-by-model": distance_by_model(rows, published),
        "time-by-model": time_by_model(rows),
        "loss-curves": loss_curves(records),
        "denoising-loss": denoising_plot(records),
        "distance-against-training": distance_against_training(rows),
        "guidance": guidance_plot(rows),
        "timeline": timeline(records),
    }
    return {name: figure for name, figure in figures.items() if figure}
