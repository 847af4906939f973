"""The arguments and options of the verb `score`, and what its --help says of other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

RealImages = Annotated[
    Path,
    typer.Argument(
        help="The reference: a folder of images of any sizes, with its subfolders; a "
        "zip, a tar or its shards, parquet, Arrow or an LMDB of images; a "
        "cell of a run, results/RUN/samples/CELL; .npy or "
        ".npz of images (uint8 N×H×W×3) or of features (float N×d), by dgm-eval and score_sde "
        "too; .npz of statistics (mu, sigma) by pytorch-fid, clean-fid or --save-stats; a "
        "reference batch of guided-diffusion, which has images and statistics.",
        show_default=False,
    ),
]
FakeImages = Annotated[
    Path | None,
    typer.Argument(help="What is judged: of the same kinds as REAL.", show_default=False),
]
ExtractorName = Annotated[
    str | None,
    typer.Option(
        help="Network of the features.",
        show_default="that which the statistics name, else inception-v3-fid",
    ),
]
MetricNames = Annotated[
    str | None,
    typer.Option(help="Metrics, as fd,kid,is,precision; see docs/metrics.md.", show_default="most"),
]
ScoreFormat = Annotated[
    Literal["table", "json"], typer.Option("--format", help="For people or for machines.")
]
WeightsFile = Annotated[
    Path | None, typer.Option(help="Weights file of the network.", show_default="downloaded")
]
DeviceName = Annotated[
    Literal["auto", "cpu", "cuda"], typer.Option(help="auto takes a GPU where there is one.")
]
BatchSize = Annotated[
    int,
    typer.Option(
        min=1,
        help="Images at a time in the network; of large ones, such as photographs, at most 8.",
    ),
]
ScoreThreads = Annotated[
    int | None,
    typer.Option(min=1, help="Threads for the network and for decoding.", show_default="all cores"),
]
StatisticsFile = Annotated[
    Path | None,
    typer.Option(help="A .npz file to write the statistics of REAL to.", show_default=False),
]
NetworkPrecision = Annotated[
    Literal["float32", "tf32", "bf16"],
    typer.Option(
        help="How the network computes. bf16 is faster on a GPU, and on a CPU with AMX or "
        "AVX512-BF16; tf32 is for GPUs. Figures of other tools are reached with float32."
    ),
]
FilesRule = Annotated[
    Literal["all", "pytorch-fid", "torch-fidelity", "clean-fid"],
    typer.Option(
        help="Which images of a folder are read: all, or those that a library reads. "
        "pytorch-fid and torch-fidelity leave out subfolders, and each library some formats."
    ),
]
ImageName = Annotated[
    str | None,
    typer.Option(
        help="Which image is meant, where samples of a tar or rows of parquet have several: its "
        "extension, as jpg, or its column. It holds for both sides.",
        show_default="the only one",
    ),
]
InceptionScoreSplits = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Parts that the Inception score is the mean of. Its interval is of this mean; "
        "the ± of fidelity is the standard deviation over the parts, which is printed too.",
        show_default="10, as fidelity",
    ),
]
KernelSubsets = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Random subsets that the kernel distance is the mean of; its ± is their standard "
        "deviation. 0 takes all pairs of images once, which varies least and has an interval.",
        show_default="100 with the extractors of torch-fidelity and clean-fid, else 0",
    ),
]
KernelSubsetSize = Annotated[
    int | None,
    typer.Option(
        min=3,
        help="Images of each side in a subset.",
        show_default="1000; with the extractor of clean-fid no more than there are",
    ),
]

# Command lines of other programs, each with the one here that computes the same.
IN_PLACE_OF_OTHERS = (
    "\n\n**In place of other programs**\n\n"
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
    "and applies colour profiles, and says so where there are any. An interval, [a, b], is of 95 "
    "%; the last line says what it is an interval of, and what ± is."
)
