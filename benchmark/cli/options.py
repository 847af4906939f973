"""What the verbs share: the program, options that several of them have, and what they print."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.core.closure import MODULES, PACKAGE

if TYPE_CHECKING:
    from benchmark.config.config import Config


app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Benchmark diffusion models. The whole run at once: "
    "`snakemake --cores all --resources gpu=1`.",
)


ConfigFile = Annotated[Path, typer.Argument(help="Config file, YAML or JSON.", show_default=False)]
Results = Annotated[Path, typer.Option(help="Folder in which runs are kept.")]
Threads = Annotated[int, typer.Option(min=1, help="Threads inside an operation.")]
Minutes = Annotated[
    float | None,
    typer.Option(
        min=0,
        help="Time from the start of the command, shortly before which it saves and stops.",
        show_default="no end",
    ),
]
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
FiguresFile = Annotated[
    Path | None, typer.Option("--output", help="File for all figures, JSON.", show_default=False)
]
Quick = Annotated[bool, typer.Option("--quick", help="Small sizes, to see that it works.")]
REPORTS = ("tables", "plots")  # verbs of the workflow that read only records
SPEED = ("sampling", "training", "metrics")  # the parts of the speed table
SubjectName = Annotated[
    str,
    typer.Argument(
        help="A cell's id, a control as held-out-DATA, or controls-DATA for all of them.",
        show_default=False,
    ),
]


_KEPT: dict[Path, Config] = {}


def examples(*lines: str) -> str:
    """Return the text that --help prints below the options of a verb: example command lines."""
    return "**Examples**\n\n" + "\n\n".join(f"`python -m benchmark {line}`" for line in lines)


def load_checked(path: Path) -> Config:
    """Read and check a config, which may name modules of the user's own in the same folder.

    A warm process has done this for the jobs of its run: see `keep_checked`.
    """
    from benchmark.config.loading import load_config

    os.environ.setdefault(MODULES, str(path.resolve().parent))
    return _KEPT.get(path.absolute()) or load_config(path)


def keep_checked(path: Path) -> None:
    """Read and check a config that does not change, for all jobs that this process forks."""
    _KEPT[path.absolute()] = load_checked(path)


def module_of(verb: str) -> str:
    """Return the name of the module that does the work of a verb of the workflow."""
    return f"{PACKAGE}.{'report' if verb in REPORTS else 'stages'}.{verb}"


def print_resolved(loaded: Config) -> None:
    """Print a config as YAML, with the default of each key that it does not set."""
    import yaml

    from benchmark.config.loading import filled_in

    print(yaml.safe_dump(filled_in(loaded), sort_keys=False), end="")


def print_paths(paths: list[Path]) -> None:
    """Print the paths of the files that were written, one a line."""
    for path in paths:
        print(path)
