"""The verbs that read the records of a run, or of several: tables, plots, bundle, compare, site."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from benchmark.cli.options import (
    AnyRun,
    Output,
    Reference,
    app,
    examples,
    print_paths,
)
from benchmark.storage.paths import REFERENCE, Run


@app.command(epilog=examples("tables results/quickstart", "tables sent.zip --output seen"))
def tables(run: AnyRun, reference: Reference = REFERENCE, output: Output = None) -> None:
    """Write the tables of a run again, from its records alone."""
    from benchmark.report.bundle import output_folder
    from benchmark.report.tables import write_tables

    print_paths(write_tables(Run(run), reference, Run(output_folder(run, output))))


@app.command(epilog=examples("summary results/quickstart", "summary sent.zip --format md"))
def summary(
    run: AnyRun,
    reference: Reference = REFERENCE,
    output: Annotated[
        Literal["table", "md", "csv", "tex"],
        typer.Option("--format", help="For a terminal, for documents, or for machines."),
    ] = "table",
    most: Annotated[
        int | None,
        typer.Option(min=1, help="Settings, the best ones.", show_default="all"),
    ] = None,
) -> None:
    """Print the short table of a run, the lowest distance first, and what it says."""
    from benchmark.records.published import read_published
    from benchmark.records.record import read_records
    from benchmark.records.rows import collect
    from benchmark.report.ending import ending
    from benchmark.report.formats import FORMATS
    from benchmark.report.short_table import short_table

    if output == "table":
        print("\n".join(ending(Run(run), reference, shutil.get_terminal_size().columns, most)))
        return
    table = short_table(collect(read_records(run)), read_published(reference))
    print(FORMATS[output](replace(table, rows=table.rows[:most])), end="")


@app.command(
    epilog=examples(
        "document results/quickstart README.md", "document sent.zip paper.md --reference mine.csv"
    )
)
def document(
    run: AnyRun,
    files: Annotated[
        list[Path], typer.Argument(help="Markdown files that mark where they want something.")
    ],
    reference: Reference = REFERENCE,
) -> None:
    """Write tables and pictures of a run into documents, where comments ask for them."""
    from benchmark.report.document import write_documents

    print_paths(write_documents(Run(run), files, reference))


@app.command(epilog=examples("watch results/quickstart"))
def watch(
    run: Annotated[
        Path, typer.Argument(help="Run folder, as results/quickstart.", show_default=False)
    ],
    reference: Reference = REFERENCE,
    seconds: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 2,
) -> None:
    """Show how far a run is until it is over: from another terminal, or of jobs of a cluster."""
    from benchmark.tools.watch import watch as show

    show(Run(run), reference, seconds)


@app.command(epilog=examples("plots results/quickstart", "plots sent.zip --output seen"))
def plots(run: AnyRun, reference: Reference = REFERENCE, output: Output = None) -> None:
    """Draw the plots of a run again, from its records and the pictures of its samples."""
    from benchmark.report.bundle import output_folder
    from benchmark.report.plots import write_plots

    print_paths(write_plots(Run(run), reference, Run(output_folder(run, output))))


@app.command(
    epilog=examples("bundle results/quickstart", "bundle results/quickstart sent.zip")
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
    from benchmark.report.bundle import pack
    from benchmark.tools.outcome import outcome

    print_paths([pack(run, file, outcome(Run(run)))])


@app.command(epilog=examples("cite results/quickstart > used.bib"))
def cite(run: AnyRun) -> None:
    """Print BibTeX of the data, weights, methods and metrics that a run used, from its records."""
    from benchmark.tools.cite import cite as entries

    print(entries(run), end="")


@app.command(
    epilog=examples(
        "compare results/before results/after",
        "compare before.zip results/after --metric fd,time --threshold fd=0.5,time=10%",
        "compare results/before results/after --rename DDIM=mine",
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
    rename: Annotated[
        str,
        typer.Option(
            help="As DDIM=mine: what models of the first run are called in the others.",
            show_default=False,
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
    from benchmark.report.compare import changed, compare_runs
    from benchmark.report.compare_formats import COMPARISON_FORMATS

    found = compare_runs(runs, metric, threshold, rename)
    print(COMPARISON_FORMATS[output](changed(found) if only_changed else found), end="")
    if not exit_zero:
        raise typer.Exit(found.status)


@app.command(epilog=examples("site results/quickstart", "site sent.zip --output seen"))
def site(run: AnyRun, reference: Reference = REFERENCE, output: Output = None) -> None:
    """Write the page that shows everything of a run, from its records and pictures: one file."""
    from benchmark.report.bundle import output_folder
    from benchmark.report.site import write_site

    print_paths(write_site(Run(run), reference, Run(output_folder(run, output))))
