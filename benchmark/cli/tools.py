"""The verbs that belong to no stage of the workflow: export, score, reference."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.options import (
    SPEED,
    Results,
    app,
    examples,
    load_checked,
    print_paths,
)
from benchmark.cli.score_arguments import (
    IN_PLACE_OF_OTHERS,
    BatchSize,
    DeviceName,
    ExtractorName,
    FakeImages,
    FilesRule,
    ImageName,
    InceptionScoreSplits,
    KernelSubsets,
    KernelSubsetSize,
    MetricNames,
    NetworkPrecision,
    RealImages,
    ScoreFormat,
    ScoreThreads,
    StatisticsFile,
    WeightsFile,
)
from benchmark.core.cores import available_cores
from benchmark.core.errors import BenchmarkError
from benchmark.runtime import stopping
from benchmark.storage.paths import CACHE, RESULTS, Run


@app.command(
    epilog=examples(
        "export config/zoo.yaml DDPM-linear benchmark/zoo/avatars-ddpm.safetensors",
        "export results/quickstart tables --to csv",
        "export results/quickstart runs --to tensorboard",
        "export sent.zip sqlite:///mlflow.db --to mlflow",
    )
)
def export(
    source: Annotated[
        Path, typer.Argument(help="Config file; with --to a run or bundle.", show_default=False)
    ],
    what: Annotated[
        str,
        typer.Argument(
            help="Training, as DDPM-linear; with --to the folder that gets the files, or the "
            "address of MLflow's store.",
            show_default=False,
        ),
    ],
    file: Annotated[
        Path | None, typer.Argument(help="A .safetensors file to write.", show_default=False)
    ] = None,
    to: Annotated[
        str | None, typer.Option(help="csv, tensorboard or mlflow.", show_default=False)
    ] = None,
    results: Results = RESULTS,
) -> None:
    """Pack trained weights as float16 into one file, with a model card, or give a run to others.

    With --to, what the records and pictures of a run say is written for another program.
    """
    if to is not None:
        from benchmark.tools.exporting import export_run

        if file is not None:
            raise BenchmarkError(f"FILE: {file}: --to takes no file: leave it out")
        print(*export_run(source, to, what), sep="\n")
        return
    from benchmark.tools.export import export as pack

    if file is None:
        raise BenchmarkError("FILE: is missing: give a .safetensors file to write, or --to")
    config, training = source, what
    loaded = load_checked(config)
    print_paths(pack(loaded, training, Run(results / loaded.run), file))


@app.command(
    epilog=examples(
        "score faces/ samples/",
        "score faces.npz samples.npy --metrics fd,kid --format json",
        "score faces/ --save-stats faces.npz",
    )
    + IN_PLACE_OF_OTHERS
)
def score(
    real: RealImages,
    fake: FakeImages = None,
    extractor: ExtractorName = None,
    metrics: MetricNames = None,
    output: ScoreFormat = "table",
    weights: WeightsFile = None,
    device: DeviceName = "auto",
    batch: BatchSize = 64,
    threads: ScoreThreads = None,
    save_stats: StatisticsFile = None,
    files: FilesRule = "all",
    image: ImageName = None,
    isc_splits: InceptionScoreSplits = None,
    kid_subsets: KernelSubsets = None,
    kid_subset_size: KernelSubsetSize = None,
    precision: NetworkPrecision = "float32",
) -> None:
    """Measure how far one set of images lies from another, wherever they were made."""
    from benchmark.tools.score import save
    from benchmark.tools.score import score as measure
    from benchmark.tools.score_embedding import Embedding
    from benchmark.tools.score_options import MetricChoice

    cache = RESULTS / CACHE / "weights"
    rule, cores = None if files == "all" else files, threads or available_cores()
    embedding = Embedding(extractor, cache, weights, device, batch, cores, rule, precision, image)
    choice = MetricChoice(isc_splits, kid_subsets, kid_subset_size)
    if fake is None:
        if save_stats is None:
            raise BenchmarkError("FAKE: is missing: give a second set of images, or --save-stats")
        choice.check(())
        save(real, embedding, save_stats)
        return
    names = [name.strip() for name in (metrics or "").split(",") if name.strip()]
    if metrics is not None and not names:
        raise BenchmarkError(f"--metrics: {metrics!r} names none: give names, as fd,kid")
    found = measure(real, fake, embedding, names, save_stats, choice)
    for warning in found.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(found.to_json() if output == "json" else found.to_text())


@app.command(
    epilog=examples(
        "samples results/quickstart DDIM-linear-ddim-50-s0 ddim.csv",
        "samples results/quickstart DDIM-linear-ddim-50-s0 ddim.zip",
    )
)
def samples(
    run: Annotated[
        Path, typer.Argument(help="Run folder, as results/quickstart.", show_default=False)
    ],
    cell: Annotated[str, typer.Argument(help="Id of a cell.", show_default=False)],
    file: Annotated[
        Path, typer.Argument(help="A .csv of their values, or a .zip of PNG.", show_default=False)
    ],
) -> None:
    """Write the values of single samples as CSV, or the samples as PNG files in a zip.

    Values: distance to the nearest training image and its number, calibrated distance and p-value
    of a copy, realism, and the file of an image that was made elsewhere.
    """
    from benchmark.config.loading import load_config, newest_config
    from benchmark.tools.samples import write_values, write_zip

    writers = {".csv": write_values, ".zip": write_zip}
    if file.suffix not in writers:
        raise BenchmarkError(f"{file}: give a name that ends in {' or '.join(writers)}")
    found = Run(run)
    writers[file.suffix](load_config(newest_config(found)), found, cell, file)
    print(file)


@app.command(epilog=examples("invert results/quickstart DDIM-zoo-linear-ddim-50-s0 inverted"))
def invert(
    run: Annotated[
        Path, typer.Argument(help="Run folder, as results/quickstart.", show_default=False)
    ],
    cell: Annotated[
        str, typer.Argument(help="Id of a cell of ddim without noise.", show_default=False)
    ],
    folder: Annotated[
        Path, typer.Argument(help="Gets tables, a figure and a picture.", show_default=False)
    ],
    steps: Annotated[str, typer.Option(help="Numbers of steps each way.")] = "10,20,50,100,200",
    images: Annotated[int, typer.Option(min=3, help="Images that are led back.")] = 32,
) -> None:
    """Lead samples of DDIM back to their noise, and draw what lies between two noises.

    Writes the error of the noise by the number of steps, how far noise on the way, η, moves the
    images, and images of noise on arcs between pairs.
    """
    from benchmark.config.loading import load_config, newest_config
    from benchmark.tools.inversion import inverted, table, write

    try:
        counts = [int(count) for count in steps.split(",")]
    except ValueError:
        counts = []
    if not counts or min(counts) < 1:
        raise BenchmarkError(f"--steps: {steps!r}: give numbers above 0, as 10,50,200")
    found = Run(run)
    made = inverted(load_config(newest_config(found)), found, cell, counts, images)
    print(table(made.trips).to_string(index=False, float_format="{:.4g}".format))
    print(table(made.spreads).to_string(index=False, float_format="{:.4g}".format))
    print(*write(made, folder), sep="\n")


@app.command(
    epilog=examples("reference", "reference --minutes 30 --config config/config.yaml --no-speed")
)
def reference(
    minutes: Annotated[float, typer.Option(min=0, help="Minutes after which it stops.")] = 10,
    config: Annotated[Path, typer.Option(help="Config file of the run.")] = Path(
        "config/first-experiment.yaml"
    ),
    speed: Annotated[bool, typer.Option(help="Make the speed tables too.")] = True,
) -> None:
    """Make this machine's speed tables and run the report's first experiment, bit by bit.

    Call it again until it ends with status 0; with 75, something is left. What is done stays, and
    trainings go on where they were stopped. Records, tables and plots end up in
    `results/reference/`, in a folder that bears the processor's name.
    """
    from benchmark.tools.reference import reference as go_on

    folder = go_on(config, RESULTS, minutes, SPEED if speed else ())
    if folder is None:
        print("not done yet: call this again", file=sys.stderr)
        sys.exit(stopping.EXIT_RUN_AGAIN)
    print(folder)
