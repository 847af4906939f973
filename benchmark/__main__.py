"""The command line: one verb for each stage.

Modules are imported where they are used: `--help` and the verbs that only read records need neither
torch nor a GPU.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from benchmark.errors import BenchmarkError
from benchmark.paths import CACHE, REFERENCE, RESULTS, Run

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmark.config import Config

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Benchmark diffusion models. The whole run at once: "
    "`snakemake --cores all --resources gpu=1`.",
)

speed_app = typer.Typer()
app.add_typer(speed_app, name="speed")

ConfigFile = Annotated[Path, typer.Argument(help="Config file, YAML or JSON.", show_default=False)]
Results = Annotated[Path, typer.Option(help="Folder in which runs are kept.")]
Threads = Annotated[int, typer.Option(min=1, help="Threads inside an operation.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the resolved config and stop.")]
RunFolder = Annotated[
    Path, typer.Argument(help="Run folder, as results/quickstart.", show_default=False)
]
Reference = Annotated[
    Path, typer.Option(help="CSV of published figures.", show_default="the report's")
]
Figures = Annotated[
    Path | None, typer.Option("--output", help="File for all figures, JSON.", show_default=False)
]
Quick = Annotated[bool, typer.Option("--quick", help="Small sizes, to see that it works.")]
Subject = Annotated[
    str,
    typer.Argument(
        help="A cell's id, a control as held-out-DATA, or controls-DATA for all of them.",
        show_default=False,
    ),
]


def _examples(*lines: str) -> str:
    return "**Examples**\n\n" + "\n\n".join(f"`python -m benchmark {line}`" for line in lines)


@app.command(epilog=_examples("config config/config.yaml"))
def config(config: ConfigFile) -> None:
    """Check a config and print it with every default, and the cells of its grid."""
    from benchmark.config import load

    loaded = load(config)
    _print_resolved(loaded)
    for cell in loaded.cells:
        print(f"{cell.table}: {cell.id}: {cell.samples} samples", file=sys.stderr)


@app.command(epilog=_examples("schema > config/schema.json"))
def schema() -> None:
    """Print the JSON schema of a config file, for editors that complete and check."""
    from benchmark.config import Config

    print(json.dumps(Config.model_json_schema(), indent=1, sort_keys=True))


@app.command(
    epilog=_examples(
        "estimate config/report.yaml", "estimate config/config.yaml --threads 1 --format json"
    )
)
def estimate(
    config: ConfigFile,
    results: Results = RESULTS,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="Threads inside an operation.", show_default="all cores"),
    ] = None,
    output: Annotated[
        Literal["table", "json"], typer.Option("--format", help="For people or for machines.")
    ] = "table",
) -> None:
    """Say what a run will cost on this machine: evaluations, FLOPs, hours, disk."""
    from benchmark.config import load

    loaded = load(config)  # a mistake in it is told before torch is imported
    from benchmark.estimate import estimate as measure
    from benchmark.estimate import show

    found = measure(loaded, Run(results / loaded.run), threads)
    if output == "json":
        print(found.to_json())
    else:
        show(found)


@app.command(epilog=_examples("prepare config/config.yaml avatars"))
def prepare(
    config: ConfigFile,
    dataset: Annotated[str, typer.Argument(help="A name below `data`.", show_default=False)],
    results: Results = RESULTS,
    dry_run: DryRun = False,
) -> None:
    """Make the images of a data set: one array, a manifest and a record."""
    _stage("prepare", config, dataset, results, dry_run)


@app.command(epilog=_examples("train config/config.yaml DDPM-linear --threads 2"))
def train(
    config: ConfigFile,
    training: Annotated[
        str, typer.Argument(help="MODEL-SCHEDULE, as DDPM-linear.", show_default=False)
    ],
    results: Results = RESULTS,
    threads: Threads = 1,
    dry_run: DryRun = False,
) -> None:
    """Train one network; when killed and started again, continue."""
    _stage("train", config, training, results, dry_run, threads=threads)


@app.command(epilog=_examples("sample config/config.yaml DDIM-linear-ddim-50-s0 --threads 2"))
def sample(
    config: ConfigFile,
    cell: Annotated[
        str,
        typer.Argument(help="MODEL-SCHEDULE-SAMPLER-STEPS-sSEED.", show_default=False),
    ],
    results: Results = RESULTS,
    threads: Threads = 1,
    dry_run: DryRun = False,
) -> None:
    """Sample a cell and time the sampler alone."""
    _stage("sample", config, cell, results, dry_run, threads=threads)


@app.command(epilog=_examples("controls config/config.yaml avatars"))
def controls(
    config: ConfigFile,
    dataset: Annotated[str, typer.Argument(help="A name below `data`.", show_default=False)],
    results: Results = RESULTS,
    dry_run: DryRun = False,
) -> None:
    """Make the controls of a data set: images of known quality, judged as samples are."""
    _stage("controls", config, dataset, results, dry_run)


@app.command(
    epilog=_examples(
        "features config/config.yaml avatars", "features config/config.yaml DDIM-linear-ddim-50-s0"
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
    dry_run: DryRun = False,
) -> None:
    """Embed the images of a data set, of a cell or of all controls with the config's extractor."""
    _stage("features", config, name, results, dry_run, threads=threads)


@app.command(epilog=_examples("evaluate config/config.yaml DDIM-linear-ddim-50-s0"))
def evaluate(
    config: ConfigFile, subject: Subject, results: Results = RESULTS, dry_run: DryRun = False
) -> None:
    """Measure a cell's samples, or controls, against the training images."""
    _stage("evaluate", config, subject, results, dry_run)


@app.command(epilog=_examples("retrieve config/config.yaml DDIM-linear-ddim-50-s0"))
def retrieve(
    config: ConfigFile, subject: Subject, results: Results = RESULTS, dry_run: DryRun = False
) -> None:
    """Find the training images nearest to each sample, draw them, and accuse copies."""
    _stage("retrieve", config, subject, results, dry_run)


@app.command(epilog=_examples("tables results/quickstart"))
def tables(run: RunFolder, reference: Reference = REFERENCE) -> None:
    """Write the tables of a run again, from its records alone."""
    from benchmark.tables import write_tables

    _print_paths(write_tables(Run(run), reference))


@app.command(epilog=_examples("plots results/quickstart"))
def plots(run: RunFolder, reference: Reference = REFERENCE) -> None:
    """Draw the plots of a run again, from its records and the pictures of its samples."""
    from benchmark.plots import write_plots

    _print_paths(write_plots(Run(run), reference))


@app.command(
    epilog=_examples("export config/zoo.yaml DDPM-linear benchmark/zoo/avatars-ddpm.safetensors")
)
def export(
    config: ConfigFile,
    training: Annotated[
        str, typer.Argument(help="MODEL-SCHEDULE, as DDPM-linear.", show_default=False)
    ],
    file: Annotated[Path, typer.Argument(help="A .safetensors file to write.", show_default=False)],
    results: Results = RESULTS,
) -> None:
    """Pack trained weights as float16 into one file, with a model card beside it."""
    from benchmark.config import load
    from benchmark.export import export as pack

    loaded = load(config)
    _print_paths(pack(loaded, training, Run(results / loaded.run), file))


@app.command(
    epilog=_examples(
        "score faces/ samples/",
        "score faces.npz samples.npy --metrics fd,kid --format json",
        "score faces/ --save-stats faces.npz",
    )
    + "\n\n**In place of other programs**\n\n"
    + "\n\n".join(
        f"`{theirs}` → `python -m benchmark score {ours}`"
        for theirs, ours in {
            "python -m pytorch_fid A B": "A B --metrics fd",
            "python -m pytorch_fid --save-stats A A.npz": "A --save-stats A.npz",
            "fidelity --fid --kid --isc --input1 B --input2 A": "A B --metrics fd,kid,is "
            "--extractor inception-v3-torch-fidelity",
            "cleanfid.fid.compute_fid(B, A)": "A B --metrics fd --extractor inception-v3-clean-fid",
        }.items()
    )
)
def score(
    real: Annotated[
        Path,
        typer.Argument(
            help="The reference: a folder of images of any sizes, with its subfolders; .npy or "
            ".npz of images (uint8 N×H×W×3) or of features (float N×d); .npz of statistics (mu, "
            "sigma) by pytorch-fid, clean-fid or --save-stats.",
            show_default=False,
        ),
    ],
    fake: Annotated[
        Path | None,
        typer.Argument(help="What is judged, of the same kinds.", show_default=False),
    ] = None,
    extractor: Annotated[
        str | None,
        typer.Option(
            help="Network of the features.",
            show_default="that which the statistics name, else inception-v3-fid",
        ),
    ] = None,
    metrics: Annotated[
        str,
        typer.Option(help="As fd,kid,is,precision; see docs/metrics.md.", show_default="most"),
    ] = "",
    output: Annotated[
        Literal["table", "json"], typer.Option("--format", help="For people or for machines.")
    ] = "table",
    weights: Annotated[
        Path | None, typer.Option(help="Weights file of the network.", show_default="downloaded")
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="auto takes a GPU where there is one.")
    ] = "auto",
    batch: Annotated[int, typer.Option(min=1, help="Images at a time in the network.")] = 64,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="For the network and for decoding.", show_default="all cores"),
    ] = None,
    save_stats: Annotated[
        Path | None,
        typer.Option(help="File for the statistics of REAL, .npz.", show_default=False),
    ] = None,
) -> None:
    """Measure how far one set of images lies from another, wherever they were made."""
    from benchmark.score import Embedding, save
    from benchmark.score import score as measure

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cache = RESULTS / CACHE / "weights"
    embedding = Embedding(extractor, cache, weights, device, batch, threads or cores or 1)
    if fake is None:
        if save_stats is None:
            raise BenchmarkError("FAKE: is missing: give a second set of images, or --save-stats")
        save(real, embedding, save_stats)
        return
    names = [name.strip() for name in metrics.split(",") if name.strip()]
    found = measure(real, fake, embedding, names, save_stats)
    for warning in found.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(found.to_json() if output == "json" else found.to_text())


@speed_app.callback(
    invoke_without_command=True,
    epilog=_examples("speed --output speed.json", "speed sampling", "speed --quick"),
)
def speed(context: typer.Context, output: Figures = None, quick: Quick = False) -> None:
    """Time parts of this program against others, in one run; without a verb, all of them.

    `OMP_NUM_THREADS` sets the threads of all.
    """
    if context.invoked_subcommand is None:
        _speed("sampling, training and metrics", output, quick, "sampling", "training", "metrics")
    elif output is not None or quick:
        verb = context.invoked_subcommand
        given = "--quick" if quick else "--output FILE"
        raise BenchmarkError(f"speed: options belong behind {verb}: speed {verb} {given}")


@speed_app.command("sampling", epilog=_examples("speed sampling --output speed.json"))
def speed_sampling(output: Figures = None, quick: Quick = False) -> None:
    """Samplers against the bare network and against diffusers' pipelines on the same weights."""
    _speed("sampling", output, quick, "sampling")


@speed_app.command("training", epilog=_examples("speed training --output speed.json"))
def speed_training(output: Figures = None, quick: Quick = False) -> None:
    """Training steps against the loop of diffusers' example on the same network."""
    _speed("training", output, quick, "training")


@speed_app.command("metrics", epilog=_examples("speed metrics --output speed.json"))
def speed_metrics(output: Figures = None, quick: Quick = False) -> None:
    """Features and metrics against pytorch-fid and prdc, as installed from PyPI.

    On two cores it takes ten minutes.
    """
    _speed("metrics", output, quick, "metrics")


def _speed(title: str, output: Path | None, quick: bool, *names: str) -> None:
    from benchmark.speed.timing import report

    modules = [import_module(f"benchmark.speed.{name}") for name in names]
    rows = (row for m in modules for row in m.rows(m.QUICK if quick else m.Sizes()))
    report(f"speed of {title}", rows, output)


def _stage(verb: str, path: Path, name: str, results: Path, dry_run: bool, **options: int) -> None:
    """Run the stage of the module `verb`, once config, name and folder are checked."""
    from benchmark.config import check_writable, load

    loaded = load(path)
    checks: dict[str, Callable[[str], object]] = {
        "prepare": loaded.data_spec,
        "train": loaded.train_spec,
        "sample": loaded.cell,
        "features": loaded.embedded,
        "controls": loaded.controls_spec,
        "evaluate": loaded.judged,
        "retrieve": loaded.judged,
    }
    checks[verb](name)
    run = Run(results / loaded.run)
    check_writable(run.root)
    if dry_run:
        _print_resolved(loaded)
        return
    import_module(f"benchmark.{verb}").stage(loaded, name, run, **options)


def _print_resolved(loaded: Config) -> None:
    import yaml

    print(yaml.safe_dump(loaded.model_dump(mode="json"), sort_keys=False), end="")


def _print_paths(paths: list[Path]) -> None:
    for path in paths:
        print(path)


def main() -> None:
    """Run a verb; a user's mistake is one line on stderr and status 2."""
    try:
        app()
    except BenchmarkError as error:
        sys.exit(_fail(str(error)))
    except OSError as error:
        sys.exit(_fail(f"{error.filename or 'file'}: {error.strerror or error}"))


def _fail(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
