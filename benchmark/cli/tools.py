"""Verbs of their own: export, score, reference."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from benchmark.cli.options import (
    SPEED,
    ConfigFile,
    Results,
    app,
    examples,
    load_checked,
    print_paths,
)
from benchmark.core.cores import available_cores
from benchmark.core.errors import BenchmarkError
from benchmark.runtime import stopping
from benchmark.storage.paths import CACHE, RESULTS, Run


@app.command(
    epilog=examples("export config/zoo.yaml DDPM-linear benchmark/zoo/avatars-ddpm.safetensors")
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
    from benchmark.tools.export import export as pack

    loaded = load_checked(config)
    print_paths(pack(loaded, training, Run(results / loaded.run), file))


@app.command(
    epilog=examples(
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
    from benchmark.tools.score import save
    from benchmark.tools.score import score as measure
    from benchmark.tools.score_embedding import Embedding
    from benchmark.tools.score_options import MetricChoice

    cache = RESULTS / CACHE / "weights"
    rule = None if files == "all" else files
    embedding = Embedding(
        extractor, cache, weights, device, batch, threads or available_cores(), rule
    )
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
    epilog=examples("reference", "reference --minutes 30 --config config/config.yaml --no-speed")
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
    from benchmark.tools.reference import reference as go_on

    folder = go_on(config, RESULTS, minutes, SPEED if speed else ())
    if folder is None:
        print("not done yet: call this again", file=sys.stderr)
        sys.exit(stopping.AGAIN)
    print(folder)
