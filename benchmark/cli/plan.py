"""The verbs that one calls before a run: init, config, schema, estimate."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from benchmark.cli.options import (
    ConfigFile,
    Results,
    app,
    examples,
    load_checked,
    print_resolved,
)
from benchmark.core.closure import HOME
from benchmark.storage.paths import RESULTS, Run


@app.command(epilog=examples("config config/config.yaml"))
def config(config: ConfigFile) -> None:
    """Check a config and print it with every default, and the cells of its grid."""
    from benchmark.config.needs import check_folders, lacking

    loaded = load_checked(config)
    run = Run(RESULTS / loaded.run)
    check_folders(loaded, run)
    print_resolved(loaded)
    for cell in loaded.cells:
        print(f"{cell.table}: {cell.id}: {cell.samples} samples", file=sys.stderr)
    for line in lacking(loaded, run):
        print(f"warning: {line}", file=sys.stderr)


@app.command(epilog=examples("init mine --data /data/faces"))
def init(
    folder: Annotated[
        Path, typer.Argument(help="Folder that gets config.yaml.", show_default=False)
    ],
    data: Annotated[
        Path,
        typer.Option(
            help="Folder of your images, or a zip, a tar, parquet and others of docs/images.md.",
            show_default=False,
        ),
    ],
) -> None:
    """Write a config for your own images, sized to them and to this machine."""
    from benchmark.tools.init import this_machine, write_config

    path = write_config(folder, data, this_machine())
    print(path)
    print(
        f"next: snakemake {_workflow()}--cores all --resources gpu=1 --configfile {path}\n"
        f"what it will cost: python -m benchmark estimate {path}",
        file=sys.stderr,
    )


def _workflow() -> str:
    """Return how Snakemake is told where the workflow is; empty where it finds it by itself."""
    if Path("Snakefile").is_file():
        return ""
    workflow = HOME / "Snakefile"  # the package alone, as pip installs it, has none
    place = workflow if workflow.is_file() else "THE-CLONE/Snakefile"
    return f"--snakefile {shlex.quote(str(place))} "


@app.command(epilog=examples("fetch config/report.yaml"))
def fetch(config: ConfigFile, results: Results = RESULTS) -> None:
    """Download all that a run needs: data, weights, and the network of its features.

    For machines whose jobs have no internet: call it where there is some, and start the run then.
    """
    from benchmark.tools.fetching import fetch as get

    for line in get(config, results):
        print(line)
    print(f"{config}: all that it needs is here", file=sys.stderr)


@app.command(epilog=examples("schema > config/schema.json", "schema --markdown > docs/config.md"))
def schema(
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print a page for people that explains every key.")
    ] = False,
) -> None:
    """Print the JSON schema of a config file, for editors that complete and check."""
    from benchmark.config.config import Config

    found = Config.model_json_schema()
    if markdown:
        from benchmark.tools.config_reference import reference

        print(reference(found), end="")
    else:
        print(json.dumps(found, indent=1, sort_keys=True))


@app.command(
    epilog=examples(
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
    loaded = load_checked(config)  # first, since importing torch takes seconds
    from benchmark.tools.estimate import estimate as measure
    from benchmark.tools.estimate_text import show

    found = measure(loaded, Run(results / loaded.run), threads)
    if output == "json":
        print(found.to_json())
    else:
        show(found)
