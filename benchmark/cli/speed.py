"""The verb `speed`, whose own verbs time parts of this program."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.options import (
    SPEED,
    FiguresFile,
    Quick,
    app,
    examples,
)
from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import nearest_names

speed_app = typer.Typer()
app.add_typer(speed_app, name="speed")


@speed_app.callback(
    invoke_without_command=True,
    epilog=examples("speed --output speed.json", "speed sampling", "speed --quick"),
)
def speed(context: typer.Context, output: FiguresFile = None, quick: Quick = False) -> None:
    """Time parts of this program against others, in one run; without a verb, all of them.

    `OMP_NUM_THREADS` sets the threads of all.
    """
    if context.invoked_subcommand is None:
        _speed(f"{', '.join(SPEED[:-1])} and {SPEED[-1]}", output, quick, *SPEED)
    elif output is not None or quick:
        verb = context.invoked_subcommand
        given = "--quick" if quick else "--output FILE"
        raise BenchmarkError(f"speed: options belong behind {verb}: speed {verb} {given}")


@speed_app.command("sampling", epilog=examples("speed sampling --output speed.json"))
def speed_sampling(output: FiguresFile = None, quick: Quick = False) -> None:
    """Samplers against the bare network and against diffusers' pipelines on the same weights."""
    _speed("sampling", output, quick, "sampling")


@speed_app.command("training", epilog=examples("speed training --output speed.json"))
def speed_training(output: FiguresFile = None, quick: Quick = False) -> None:
    """Training steps against the loop of diffusers' example on the same network."""
    _speed("training", output, quick, "training")


@speed_app.command("metrics", epilog=examples("speed metrics --output speed.json"))
def speed_metrics(output: FiguresFile = None, quick: Quick = False) -> None:
    """Features and metrics against pytorch-fid and prdc, as installed from PyPI.

    On two cores it takes ten minutes.
    """
    _speed("metrics", output, quick, "metrics")


@speed_app.command("score", epilog=examples("speed score", "speed score --images 200"))
def speed_score(
    images: Annotated[int, typer.Option(min=3, help="PNG files in each folder.")] = 1000,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of each comparison.")] = 5,
    output: FiguresFile = None,
    quick: Quick = False,
) -> None:
    """The whole command `score` against those of pytorch-fid, clean-fid and torch-fidelity.

    On two cores it takes two hours.
    """
    from dataclasses import replace

    from benchmark.tools.speed.score import QUICK, ScoreSizes, rows
    from benchmark.tools.speed.timing import report

    sizes = QUICK if quick else replace(ScoreSizes(), images=images, rounds=rounds)
    report("speed of score", rows(sizes), output)


@speed_app.command("prepare", epilog=examples("speed prepare", "speed prepare --images 5000"))
def speed_prepare(
    images: Annotated[int, typer.Option(min=3, help="Images of each format.")] = 50_000,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of each comparison.")] = 3,
    edm: Annotated[
        Path | None,
        typer.Option(
            help="EDM's dataset_tool.py, to be compared too.",
            show_default=False,
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    output: FiguresFile = None,
    quick: Quick = False,
) -> None:
    """Images of a zip, a tar and parquet against the same images in a folder.

    On two cores it takes ten minutes and needs 4 GB of disk.
    """
    from dataclasses import replace

    from benchmark.tools.speed.prepare import QUICK, PrepareSizes, rows
    from benchmark.tools.speed.timing import report

    sizes = QUICK if quick else replace(PrepareSizes(), images=images, rounds=rounds)
    report("speed of prepare", rows(sizes, edm), output)


def _speed(title: str, output: Path | None, quick: bool, *names: str) -> None:
    from benchmark.tools.speed.timing import report

    modules = [import_module(f"benchmark.tools.speed.{name}") for name in names]
    rows = (row for m in modules for row in m.rows(m.QUICK if quick else m.FULL))
    report(f"speed of {title}", rows, output)


@speed_app.command(
    "growth", epilog=examples("speed growth --output growth.json --figure growth.png")
)
def speed_growth(
    output: FiguresFile = None,
    figure: Annotated[
        Path | None, typer.Option(help="File for the picture, PNG.", show_default=False)
    ] = None,
    quick: Quick = False,
) -> None:
    """Time and memory of the stages against samples, resolution, steps and images.

    On two cores the whole takes eight minutes and needs 4 GB of disk.
    """
    from benchmark.tools.speed.growth import QUICK, GrowthSizes, grow

    grow(QUICK if quick else GrowthSizes(), output, figure)


@speed_app.command("scale", epilog=examples("speed scale", "speed scale --images 20000 --faiss"))
def speed_scale(
    images: Annotated[int, typer.Option(min=60, help="Training images of 32×32.")] = 200_000,
    faiss: Annotated[
        bool, typer.Option("--faiss", help="Make the searches of retrieve by Faiss alone, too.")
    ] = False,
    output: FiguresFile = None,
) -> None:
    """Time and memory of prepare, features, evaluate and retrieve on many images.

    With 200,000 images and --faiss it takes 40 minutes on two cores, and 3 GB of disk.
    """
    from benchmark.tools.speed.scale import ScaleSizes, scale

    scale(ScaleSizes(images=images), output, with_faiss=faiss)


@speed_app.command(
    "build",
    epilog=examples("speed build --against HEAD~1", "speed build sampling --against 976d20f"),
)
def speed_build(
    parts: Annotated[
        list[str] | None,
        typer.Argument(
            help="sampling, evaluate, planning.", show_default="all", metavar="[PART]..."
        ),
    ] = None,
    against: Annotated[
        str, typer.Option(help="The other revision, as git names it.", show_default=False)
    ] = ...,  # type: ignore[assignment]  # typer's way to say that it must be given
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of each comparison.")] = 5,
    images: Annotated[int, typer.Option(min=3, help="Images of the row of 1000 steps.")] = 32,
    output: FiguresFile = None,
    quick: Quick = False,
) -> None:
    """Whole commands against those of another revision of this program, in turns.

    Both sides are copied into a temporary folder and run in this environment.
    """
    from dataclasses import replace

    from benchmark.tools.speed.build import PARTS, QUICK, BuildSizes, rows
    from benchmark.tools.speed.timing import report

    for part in parts or ():
        if part not in PARTS:
            raise BenchmarkError(f"speed build: no part {part!r}: {nearest_names(part, PARTS)}")
    sizes = QUICK if quick else replace(BuildSizes(), rounds=rounds, images=images)
    report(f"speed against {against}", rows(against, parts or list(PARTS), sizes), output)
