"""The verbs that the rules of the workflow call, one for each stage."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from benchmark.cli.options import (
    ConfigFile,
    DryRun,
    Minutes,
    Readers,
    Results,
    Shard,
    SubjectName,
    Threads,
    app,
    examples,
    load_checked,
    module_of,
    print_resolved,
)
from benchmark.storage.paths import RESULTS, Run


@app.command(epilog=examples("prepare config/config.yaml avatars"))
def prepare(
    config: ConfigFile,
    dataset: Annotated[str, typer.Argument(help="A name below `data`.", show_default=False)],
    results: Results = RESULTS,
    threads: Readers = None,
    dry_run: DryRun = False,
) -> None:
    """Make the images of a data set: one array, a manifest and a record."""
    _stage("prepare", config, dataset, results, dry_run, threads=threads)


@app.command(
    epilog=examples(
        "train config/config.yaml DDPM-linear --threads 2",
        "train config/report.yaml DDPM-linear --processes 4 --minutes 240",
    )
    + "\n\n**Status**: 75, stopped by `--minutes`; 130 or 143, by a signal. Each time the state "
    "is saved: run the command again to continue. See docs/training.md."
)
def train(
    config: ConfigFile,
    training: Annotated[
        str, typer.Argument(help="MODEL-SCHEDULE, as DDPM-linear.", show_default=False)
    ],
    results: Results = RESULTS,
    threads: Threads = 1,
    processes: Annotated[
        int,
        typer.Option(min=1, help="Share each batch, with a GPU each, or the threads on a CPU."),
    ] = 1,
    minutes: Minutes = None,
    dry_run: DryRun = False,
) -> None:
    """Train one network; when stopped or killed and started again, continue."""
    options: dict[str, Any] = {"threads": threads, "processes": processes, "minutes": minutes}
    _stage("train", config, training, results, dry_run, **options)


@app.command(epilog=examples("classifier config/fashion.yaml guide --threads 2"))
def classifier(
    config: ConfigFile,
    name: Annotated[str, typer.Argument(help="A name below `classifiers`.", show_default=False)],
    results: Results = RESULTS,
    threads: Threads = 1,
    minutes: Minutes = None,
    dry_run: DryRun = False,
) -> None:
    """Train a classifier of noisy images, whose gradient steers samplers, as `train` does."""
    _stage("classifier", config, name, results, dry_run, threads=threads, minutes=minutes)


@app.command(
    epilog=examples(
        "sample config/config.yaml DDIM-linear-ddim-50-s0 --threads 2",
        "sample config/config.yaml DDIM-linear-ddim-50-s0 --shard 0-64",
    )
)
def sample(
    config: ConfigFile,
    cell: Annotated[
        str,
        typer.Argument(help="MODEL-SCHEDULE-SAMPLER-STEPS-sSEED.", show_default=False),
    ],
    results: Results = RESULTS,
    threads: Threads = 1,
    shard: Shard = None,
    dry_run: DryRun = False,
) -> None:
    """Sample a cell and time the sampler alone."""
    _stage("sample", config, cell, results, dry_run, threads=threads, shard=shard)


@app.command(
    epilog=examples(
        "merge config/report.yaml DDIM-128-linear-ddim-50-s0",
        "merge config/report.yaml DDIM-128-linear-ddim-50-s0 --kind features",
    )
)
def merge(
    config: ConfigFile,
    cell: Annotated[
        str,
        typer.Argument(help="MODEL-SCHEDULE-SAMPLER-STEPS-sSEED.", show_default=False),
    ],
    kind: Annotated[
        Literal["sample", "features"], typer.Option(help="The verb that made the shards.")
    ] = "sample",
    size: Annotated[
        int | None, typer.Option(min=1, help="Images in a shard.", show_default="the config's")
    ] = None,
    results: Results = RESULTS,
    dry_run: DryRun = False,
) -> None:
    """Join the shards of a cell to what one job makes of the whole."""
    rule = "merge_samples" if kind == "sample" else "merge_features"
    _stage("merge", config, cell, results, dry_run, rule, size=size)


@app.command(epilog=examples("gather config/gan.yaml GAN-s0"))
def gather(
    config: ConfigFile,
    cell: Annotated[str, typer.Argument(help="MODEL-sSEED.", show_default=False)],
    results: Results = RESULTS,
    threads: Readers = None,
    dry_run: DryRun = False,
) -> None:
    """Gather images that were made elsewhere, from the folder that the config names."""
    _stage("gather", config, cell, results, dry_run, threads=threads)


@app.command(epilog=examples("controls config/config.yaml avatars"))
def controls(
    config: ConfigFile,
    dataset: Annotated[str, typer.Argument(help="A name below `data`.", show_default=False)],
    results: Results = RESULTS,
    dry_run: DryRun = False,
) -> None:
    """Make the controls of a data set: images of known quality, judged as samples are."""
    _stage("controls", config, dataset, results, dry_run)


@app.command(
    epilog=examples(
        "features config/config.yaml avatars",
        "features config/config.yaml DDIM-linear-ddim-50-s0",
        "features config/config.yaml DDIM-linear-ddim-50-s0 --shard 0-64",
    )
)
def features(
    config: ConfigFile,
    name: Annotated[
        str,
        typer.Argument(
            help="A data set's name, a cell's id, or controls-DATA.", show_default=False
        ),
    ],
    results: Results = RESULTS,
    threads: Threads = 1,
    shard: Shard = None,
    dry_run: DryRun = False,
) -> None:
    """Embed the images of a data set, of a cell or of all controls with the config's extractor."""
    _stage("features", config, name, results, dry_run, threads=threads, shard=shard)


@app.command(epilog=examples("evaluate config/config.yaml DDIM-linear-ddim-50-s0"))
def evaluate(
    config: ConfigFile, subject: SubjectName, results: Results = RESULTS, dry_run: DryRun = False
) -> None:
    """Measure a cell's samples, or controls, against the training images."""
    _stage("evaluate", config, subject, results, dry_run)


@app.command(epilog=examples("retrieve config/config.yaml DDIM-linear-ddim-50-s0"))
def retrieve(
    config: ConfigFile, subject: SubjectName, results: Results = RESULTS, dry_run: DryRun = False
) -> None:
    """Find the training images nearest to each sample, draw them, and accuse copies."""
    _stage("retrieve", config, subject, results, dry_run)


@app.command(epilog=examples("answers config/steer.yaml ddpm-linear-ddpm-100-inpaint-box-pigdm-s0"))
def answers(
    config: ConfigFile,
    cell: Annotated[str, typer.Argument(help="The id of a cell with a task.", show_default=False)],
    results: Results = RESULTS,
    dry_run: DryRun = False,
) -> None:
    """Compare the answers of a cell with the truth and with what was given, and draw them."""
    _stage("answers", config, cell, results, dry_run)


@app.command(epilog=examples("likelihood config/likelihood.yaml DDPM-zoo-linear --threads 2"))
def likelihood(
    config: ConfigFile,
    name: Annotated[
        str, typer.Argument(help="MODEL-SCHEDULE of a model of `likelihood`.", show_default=False)
    ],
    results: Results = RESULTS,
    threads: Threads = 1,
    dry_run: DryRun = False,
) -> None:
    """Measure the likelihood of training, held-out and sampled images, in bits per dimension."""
    _stage("likelihood", config, name, results, dry_run, threads=threads)


def _stage(
    verb: str,
    path: Path,
    name: str,
    results: Path,
    dry_run: bool,
    rule: str | None = None,
    **options: object,
) -> None:
    """Check the config, the name and the folder, then run a stage.

    Args:
        verb: the verb, which is also the name of the stage's module.
        path: the config file.
        name: the name of what the stage makes, such as a cell's id.
        results: the folder of all runs.
        dry_run: whether to stop after the checks.
        rule: the rule of the workflow; None: it has the name of the verb.
        options: further arguments of the stage.
    """
    from benchmark.config.loading import check_writable
    from benchmark.records.provenance import Stopwatch, created

    loaded = load_checked(path)
    job = loaded.job(rule or verb, name)
    run = Run(results / loaded.run)
    check_writable(run.root)
    if dry_run:
        print_resolved(loaded)
        return
    module = import_module(module_of(verb))
    Stopwatch.created = Stopwatch.created or created(os.getpid())
    module.stage(job, run, **options)
