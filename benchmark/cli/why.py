"""The verb `why`: by how much each choice that people make differently moves a distance."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.options import app, examples
from benchmark.cli.score_arguments import BatchSize, DeviceName, ScoreThreads, WeightsFile
from benchmark.core.cores import available_cores
from benchmark.storage.paths import CACHE, RESULTS

_INPUTS = "a folder of images, .npy or .npz, or a cell of a run, as for `score`."


@app.command(
    epilog=examples(
        "why faces/ samples/",
        "why faces/ samples/ --published 5.11 --plot why.png",
        "why faces/ results/quickstart/samples/DDIM-linear-ddim-50-s0 "
        "--extractor efficientnet-lite0",
    )
)
def why(
    real: Annotated[Path, typer.Argument(metavar="A", help=f"The reference: {_INPUTS}")],
    fake: Annotated[Path, typer.Argument(metavar="B", help=f"What is judged: {_INPUTS}")],
    published: Annotated[
        str | None,
        typer.Option(help="A figure, as 5.11: which choices lead to it?", show_default=False),
    ] = None,
    reference_split: Annotated[
        Path | None,
        typer.Option(help="Another part of the data of A, as a held-out one.", show_default=False),
    ] = None,
    choices: Annotated[
        str | None,
        typer.Option(help="Only these choices, as format,resize.", show_default="all"),
    ] = None,
    extractor: Annotated[
        str, typer.Option(help="Network of the features of the baseline.")
    ] = "inception-v3-fid",
    weights: WeightsFile = None,
    device: DeviceName = "auto",
    batch: BatchSize = 64,
    threads: ScoreThreads = None,
    json: Annotated[
        Path | None, typer.Option(help="A file for all figures.", show_default=False)
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="A file for a chart: .png, .svg or .pdf.", show_default=False),
    ] = None,
) -> None:
    """Measure by how much each choice moves the distance of B to A: number, files, resize and more.

    The baseline is the Fréchet distance of all images as they are. One choice at a time is changed,
    and the figure of the same images is taken again.
    """
    from benchmark.config.loading import check_writable
    from benchmark.storage.atomic import write_text
    from benchmark.tools.score_embedding import Embedding
    from benchmark.tools.why import why as explain
    from benchmark.tools.why_plot import check_plot, save_plot
    from benchmark.tools.why_search import Published

    goal = None if published is None else Published.parse(published)
    names = [name.strip() for name in (choices or "").split(",") if name.strip()]
    if plot is not None:
        check_plot(plot)
    for file in filter(None, (json, plot)):
        check_writable(file.parent)
    cache = RESULTS / CACHE / "weights"
    embedding = Embedding(extractor, cache, weights, device, batch, threads or available_cores())
    found = explain(real, fake, embedding, goal, reference_split, names)
    if json is not None:
        write_text(json, found.to_json() + "\n")
    if plot is not None:
        save_plot(found, plot)
    print(found.to_text())
