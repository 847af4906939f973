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

from benchmark import server

if __name__ == "__main__":
    server.ask()  # before anything is imported that takes time

import typer

from benchmark import stopping
from benchmark.closure import CHECKOUT, HOME, MODULES, PACKAGE
from benchmark.cores import available_cores
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
Readers = Annotated[
    int | None,
    typer.Option(
        "--threads",
        min=1,
        help="Processes that read images.",
        show_default="the cores that this process may use",
    ),
]
Shard = Annotated[
    str | None,
    typer.Option(help="Only these images, as 0-1000, to be merged later.", show_default="all"),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the resolved config and stop.")]
AnyRun = Annotated[
    Path,
    typer.Argument(
        help="Run folder, as results/quickstart, or a bundle of one.", show_default=False
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(help="Folder to write in.", show_default="the run's, or beside a bundle"),
]
Reference = Annotated[
    Path, typer.Option(help="CSV of published figures.", show_default="the report's")
]
Figures = Annotated[
    Path | None, typer.Option("--output", help="File for all figures, JSON.", show_default=False)
]
Quick = Annotated[bool, typer.Option("--quick", help="Small sizes, to see that it works.")]
SPEED = ("sampling", "training", "metrics")  # the parts of the speed table
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
    from benchmark.needs import check_folders, lacking

    loaded = _load(config)
    run = Run(RESULTS / loaded.run)
    check_folders(loaded, run)
    _print_resolved(loaded)
    for cell in loaded.cells:
        print(f"{cell.table}: {cell.id}: {cell.samples} samples", file=sys.stderr)
    for line in lacking(loaded, run):
        print(f"warning: {line}", file=sys.stderr)


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
    loaded = _load(config)  # a mistake in it is told before torch is imported
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
    threads: Readers = None,
    dry_run: DryRun = False,
) -> None:
    """Make the images of a data set: one array, a manifest and a record."""
    _stage("prepare", config, dataset, results, dry_run, threads=threads)


@app.command(
    epilog=_examples(
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
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Time from the start of the command, shortly before which it saves and stops.",
            show_default="no end",
        ),
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Train one network; when stopped or killed and started again, continue."""
    options = {"threads": threads, "processes": processes, "minutes": minutes}
    _stage("train", config, training, results, dry_run, **options)


@app.command(
    epilog=_examples(
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
    epilog=_examples(
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
    _stage("merge", config, cell, results, dry_run, kind=kind, size=size)


@app.command(epilog=_examples("gather config/gan.yaml GAN-s0"))
def gather(
    config: ConfigFile,
    cell: Annotated[str, typer.Argument(help="MODEL-sSEED.", show_default=False)],
    results: Results = RESULTS,
    threads: Readers = None,
    dry_run: DryRun = False,
) -> None:
    """Gather images that were made elsewhere, from the folder that the config names."""
    _stage("gather", config, cell, results, dry_run, threads=threads)


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


@app.command(epilog=_examples("tables results/quickstart", "tables sent.zip --output seen"))
def tables(run: AnyRun, reference: Reference = REFERENCE, output: Output = None) -> None:
    """Write the tables of a run again, from its records alone."""
    from benchmark.bundle import output_folder
    from benchmark.tables import write_tables

    _print_paths(write_tables(Run(run), reference, Run(output_folder(run, output))))


@app.command(epilog=_examples("plots results/quickstart", "plots sent.zip --output seen"))
def plots(run: AnyRun, reference: Reference = REFERENCE, output: Output = None) -> None:
    """Draw the plots of a run again, from its records and the pictures of its samples."""
    from benchmark.bundle import output_folder
    from benchmark.plots import write_plots

    _print_paths(write_plots(Run(run), reference, Run(output_folder(run, output))))


@app.command(
    epilog=_examples("bundle results/quickstart", "bundle results/quickstart sent.zip")
    + "\n\n`compare`, `tables`, `plots` and `site` read a bundle as they read a folder."
)
def bundle(
    run: Annotated[
        Path, typer.Argument(help="Run folder, as results/quickstart.", show_default=False)
    ],
    file: Annotated[
        Path | None, typer.Argument(help="A .zip to write.", show_default="RUN.zip")
    ] = None,
) -> None:
    """Pack records, tables and pictures of a run into one file: no weights, no arrays."""
    from benchmark.bundle import pack

    _print_paths([pack(run, file)])


@app.command(
    epilog=_examples(
        "compare results/before results/after",
        "compare before.zip results/after --metric fd,time --threshold fd=0.5,time=10%",
        "compare A B C --only-changed --format html > compared.html",
    )
    + "\n\n**Status**: 1, something is worse; 2, nothing is, but something is not comparable, or "
    "nothing is there to compare; 0, all that was asked for was compared. See docs/comparing.md."
)
def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Run folders or bundles; each is compared with the first.", show_default=False
        ),
    ],
    metric: Annotated[
        str, typer.Option(help="As fd,kid,time: the only ones to compare.", show_default="all")
    ] = "",
    threshold: Annotated[
        str,
        typer.Option(
            help="As fd=0.5,time=10%: differences that do not matter.", show_default="time=10%"
        ),
    ] = "",
    only_changed: Annotated[
        bool, typer.Option("--only-changed", help="Leave out `same` and `cannot tell`.")
    ] = False,
    output: Annotated[
        Literal["table", "md", "html", "json"],
        typer.Option("--format", help="For a terminal, for documents, or for machines."),
    ] = "table",
    exit_zero: Annotated[
        bool, typer.Option("--exit-zero", help="Status 0 whatever was found.")
    ] = False,
) -> None:
    """Compare runs cell by cell: distances, times and what they were measured on."""
    from benchmark.compare import changed
    from benchmark.compare import compare as join
    from benchmark.compare_formats import FORMATS

    found = join(runs, metric, threshold)
    print(FORMATS[output](changed(found) if only_changed else found), end="")
    if not exit_zero:
        raise typer.Exit(found.status)


@app.command(epilog=_examples("site results/quickstart", "site sent.zip --output seen"))
def site(run: AnyRun, reference: Reference = REFERENCE, output: Output = None) -> None:
    """Write the page that shows everything of a run, from its records and pictures: one file."""
    from benchmark.bundle import output_folder
    from benchmark.site import write_site

    _print_paths(write_site(Run(run), reference, Run(output_folder(run, output))))


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
    from benchmark.export import export as pack

    loaded = _load(config)
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
            "python -m pytorch_fid A B": "A B --metrics fd --files pytorch-fid",
            "python -m pytorch_fid --save-stats A A.npz": "A --save-stats A.npz "
            "--files pytorch-fid",
            "fidelity --fid --kid --isc --input1 B --input2 A": "A B --metrics fd,kid,is "
            "--extractor inception-v3-torch-fidelity --files torch-fidelity",
            "cleanfid.fid.compute_fid(B, A)": "A B --metrics fd "
            "--extractor inception-v3-clean-fid --files clean-fid",
            "cleanfid.fid.compute_kid(B, A)": "A B --metrics kid "
            "--extractor inception-v3-clean-fid --files clean-fid",
        }.items()
    )
    + "\n\nThe figures are equal but for rounding, and for the subsets of clean-fid, which it "
    "draws from another generator each time. Unlike those programs, this one reads no hidden files "
    "and applies colour profiles, and names both. An interval, [a, b], is of 95 %; a last line "
    "says over what it is, and what ± is."
)
def score(
    real: Annotated[
        Path,
        typer.Argument(
            help="The reference: a folder of images of any sizes, with its subfolders; a "
            "cell of a run, results/RUN/samples/CELL; .npy or "
            ".npz of images (uint8 N×H×W×3) or of features (float N×d), by dgm-eval and score_sde "
            "too; .npz of statistics (mu, sigma) by pytorch-fid, clean-fid or --save-stats; a "
            "reference batch of guided-diffusion, which has both.",
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
        str | None,
        typer.Option(help="As fd,kid,is,precision; see docs/metrics.md.", show_default="most"),
    ] = None,
    output: Annotated[
        Literal["table", "json"], typer.Option("--format", help="For people or for machines.")
    ] = "table",
    weights: Annotated[
        Path | None, typer.Option(help="Weights file of the network.", show_default="downloaded")
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="auto takes a GPU where there is one.")
    ] = "auto",
    batch: Annotated[
        int, typer.Option(min=1, help="Images at a time in the network, at most 8 photographs.")
    ] = 64,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="For the network and for decoding.", show_default="all cores"),
    ] = None,
    save_stats: Annotated[
        Path | None,
        typer.Option(help="File for the statistics of REAL, .npz.", show_default=False),
    ] = None,
    files: Annotated[
        Literal["all", "pytorch-fid", "torch-fidelity", "clean-fid"],
        typer.Option(
            help="Which images of a folder are read: all, or those that a library reads. "
            "pytorch-fid and torch-fidelity leave out subfolders, and each some formats."
        ),
    ] = "all",
    isc_splits: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Parts that the Inception score is the mean of. Its interval is of this mean; "
            "the ± of fidelity is the standard deviation over the parts, which is printed too.",
            show_default="10, as fidelity",
        ),
    ] = None,
    kid_subsets: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Random subsets that the kernel distance is the mean of; its ± is their standard "
            "deviation. 0 takes all pairs of images once, which varies least and has an interval.",
            show_default="100 with the extractors of torch-fidelity and clean-fid, else 0",
        ),
    ] = None,
    kid_subset_size: Annotated[
        int | None,
        typer.Option(
            min=3,
            help="Images of each side in a subset.",
            show_default="1000; with the extractor of clean-fid no more than there are",
        ),
    ] = None,
) -> None:
    """Measure how far one set of images lies from another, wherever they were made."""
    from benchmark.score import Embedding, save
    from benchmark.score import score as measure
    from benchmark.score_options import Choice

    cache = RESULTS / CACHE / "weights"
    rule = None if files == "all" else files
    embedding = Embedding(
        extractor, cache, weights, device, batch, threads or available_cores(), rule
    )
    choice = Choice(isc_splits, kid_subsets, kid_subset_size)
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
    epilog=_examples("reference", "reference --minutes 30 --config config/config.yaml --no-speed")
)
def reference(
    minutes: Annotated[float, typer.Option(min=0, help="After which it stops.")] = 10,
    config: Annotated[Path, typer.Option(help="Config of the run.")] = Path(
        "config/first-experiment.yaml"
    ),
    speed: Annotated[bool, typer.Option(help="Make the speed tables too.")] = True,
) -> None:
    """Make this machine's speed tables and run the report's first experiment, bit by bit.

    Call it again until it ends with status 0; with 75, something is left. What is done stays, and
    trainings go on where they were stopped. Records, tables and plots end up in
    `results/reference/`, in a folder that bears the processor's name.
    """
    from benchmark.reference import reference as go_on

    folder = go_on(config, RESULTS, minutes, SPEED if speed else ())
    if folder is None:
        print("not done yet: call this again", file=sys.stderr)
        sys.exit(stopping.AGAIN)
    print(folder)


@speed_app.callback(
    invoke_without_command=True,
    epilog=_examples("speed --output speed.json", "speed sampling", "speed --quick"),
)
def speed(context: typer.Context, output: Figures = None, quick: Quick = False) -> None:
    """Time parts of this program against others, in one run; without a verb, all of them.

    `OMP_NUM_THREADS` sets the threads of all.
    """
    if context.invoked_subcommand is None:
        _speed(f"{', '.join(SPEED[:-1])} and {SPEED[-1]}", output, quick, *SPEED)
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


@speed_app.command(
    "growth", epilog=_examples("speed growth --output growth.json --figure growth.png")
)
def speed_growth(
    output: Figures = None,
    figure: Annotated[
        Path | None, typer.Option(help="File for the picture, PNG.", show_default=False)
    ] = None,
    quick: Quick = False,
) -> None:
    """Time and memory of the stages against samples, resolution, steps and images.

    On two cores the whole takes eight minutes and needs 4 GB of disk.
    """
    from benchmark.speed.growth import QUICK, Sizes, grow

    grow(QUICK if quick else Sizes(), output, figure)


def _load(path: Path) -> Config:
    """Read a config. Modules of the user's own may lie beside it."""
    from benchmark.config import load

    os.environ.setdefault(MODULES, str(path.resolve().parent))
    return load(path)


def _stage(
    verb: str, path: Path, name: str, results: Path, dry_run: bool, **options: object
) -> None:
    """Run the stage of the module `verb`, once config, name and folder are checked."""
    from benchmark.config import check_writable
    from benchmark.records import Stopwatch, created

    loaded = _load(path)
    checks: dict[str, Callable[[str], object]] = {
        "prepare": loaded.data_spec,
        "train": loaded.train_spec,
        "sample": loaded.sample_spec,
        "merge": loaded.sample_spec,
        "gather": loaded.gather_spec,
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
    module = import_module(f"benchmark.{verb}")
    Stopwatch.created = Stopwatch.created or created(os.getpid())
    module.stage(loaded, name, run, **options)


def _print_resolved(loaded: Config) -> None:
    import yaml

    print(yaml.safe_dump(loaded.model_dump(mode="json"), sort_keys=False), end="")


def _print_paths(paths: list[Path]) -> None:
    for path in paths:
        print(path)


def main() -> None:
    """Run a verb; a user's mistake is one line on stderr and status 2.

    A signal ends it with what is half written removed, and with status 128 and the signal's number.
    """
    stopping.listen()
    try:
        _check_checkout()
        app()
    except stopping.Stopped as stop:
        if message := str(stop):
            print(message, file=sys.stderr)
        sys.exit(stop.status)
    except BenchmarkError as error:
        sys.exit(_fail(str(error)))
    except OSError as error:
        sys.exit(_fail(f"{error.filename or 'file'}: {error.strerror or error}"))


def _check_checkout() -> None:
    """Refuse a job of a workflow whose checkout has other code than that which runs here.

    Raises:
        BenchmarkError: with both places.
    """
    asked = os.environ.get(CHECKOUT)
    if asked and (Path(asked) / PACKAGE).resolve() != HOME / PACKAGE:
        raise BenchmarkError(
            f"{asked}: its jobs would run the code of {HOME}: uninstall the package there, or "
            "install it from this checkout"
        )


def _fail(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
