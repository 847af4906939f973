"""Scores any two sets of images, which may be folders, arrays or statistics."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from benchmark.config.loading import check_writable
from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import nearest_names
from benchmark.core.values import Value
from benchmark.extractors import EXTRACTORS, Extractor
from benchmark.metrics import METRICS, Figures, Metric, Sizes
from benchmark.metrics.base import Features, check_features
from benchmark.metrics.frechet import frechet_distance, statistics
from benchmark.tools.score_embedding import Embedding, embed_images
from benchmark.tools.score_inputs import (
    ImageInput,
    Input,
    Statistics,
    count_of,
    open_input,
    save_statistics,
)
from benchmark.tools.score_notes import few_images, notes, side_notes
from benchmark.tools.score_options import MetricChoice
from benchmark.tools.score_result import Score, identity, is_distance
from benchmark.tools.score_sides import FACT, Census

DEFAULT = ("frechet", "kernel", "precision", "recall", "density", "coverage")
EXTRACTOR = "inception-v3-fid"
_Pair: TypeAlias = tuple[Features | Statistics, Features | Statistics]  # fake, real
FEWEST = 3  # images; the distance of fewer has no interval


def score(
    real: Path,
    fake: Path,
    embedding: Embedding,
    metrics: Sequence[str] = (),
    statistics_file: Path | None = None,
    choice: MetricChoice | None = None,
) -> Score:
    """Compute metrics of `fake` against `real`; `open_input` tells what each may be.

    Args:
        real: the reference.
        fake: what is judged; the intervals are over its images.
        embedding: how images become features.
        metrics: names or short names of metrics; none: those of `DEFAULT` that can be computed.
        statistics_file: a file to write the statistics of `real` to, as `save` does; None: none.
        choice: options of the metrics; None: those of the extractor's library.

    Raises:
        BenchmarkError: a path cannot be used, statistics are of another network, a metric is
            unknown or cannot be computed from these inputs, or weights are missing.
    """
    asked = [_metric(name) for name in metrics]
    given = _open(embedding, real, fake)
    _check_precision(embedding, given, keeps=statistics_file is not None)
    if statistics_file is not None:
        _check_file(statistics_file, real, given[real])
    names = _computable(asked, real, fake, given)
    choice = choice or MetricChoice()
    choice.check(names)
    opened, moments, told = _moments(given, embedding, names, statistics_file is not None)
    chosen = _chosen(names, choice, (opened[fake], opened[real]), embedding, bool(asked))
    censuses = {path: c for path, side in opened.items() if (c := _census(path, side, given[path]))}
    sides, extractor = _embed(opened, embedding, censuses)
    reference, judged = sides[real], sides[fake]
    pairs = (judged, reference), (moments.get(fake, judged), moments.get(real, reference))
    figures = _figures(chosen, *pairs, extractor, embedding, bool(asked))
    if statistics_file is not None:
        _save(reference, extractor, censuses.get(real), statistics_file)
    return Score(
        real,
        fake,
        counts=(count_of(reference), count_of(judged)),
        extractor=extractor,
        values=figures.values,
        few=list(few_images(sides | moments, extractor)),
        missing=figures.missing,
        notes=told + notes(opened, sides, real, fake, extractor, censuses),
        precision=embedding.precision,
        uncertainty=_meanings(chosen, figures),
    )


def save(real: Path, embedding: Embedding, file: Path) -> None:
    """Write the mean and covariance of the features of `real`, and the name of their network.

    Args:
        real: folder or file of the images or features.
        embedding: how images become features.
        file: the file to write, .npz.

    Raises:
        BenchmarkError: the path cannot be used, weights are missing, or the file exists already or
            cannot be written.
    """
    opened = _open(embedding, real)
    _check_precision(embedding, opened, keeps=True)
    _check_file(file, real, opened[real])
    census = Census()
    sides, extractor = _embed(opened, embedding, {real: census})
    for note in side_notes(real, opened[real], extractor, census):
        print(f"{real}: {note}", file=sys.stderr)
    _save(sides[real], extractor, census, file)


def _open(embedding: Embedding, *paths: Path) -> dict[Path, Input]:
    """Open the inputs; refuse --files if none of them is a folder, and --image likewise."""
    library, image = embedding.library, embedding.image
    opened = {path: open_input(path, library, image=image) for path in paths}
    folders = [side for side in opened.values() if isinstance(side, ImageInput) and side.files]
    if embedding.files is not None and not folders:
        names = " and ".join(map(str, paths))
        raise BenchmarkError(
            f"--files: is for folders of images only, unlike {names}: leave it out"
        )
    chosen = [side for side in opened.values() if isinstance(side, ImageInput) and side.chosen]
    if image is not None and not chosen:
        names = " and ".join(map(str, paths))
        raise BenchmarkError(
            f"--image: is for tars, parquet and Arrow, unlike {names}: leave it out"
        )
    return opened


def _check_precision(embedding: Embedding, opened: Mapping[Path, Input], keeps: bool) -> None:
    """Refuse another precision than float32 for statistics that are kept, or without images."""
    precision = embedding.precision
    if precision == "float32":
        return
    if keeps:
        raise BenchmarkError(
            f"--precision {precision}: statistics are kept of float32, so that all can be "
            "compared: leave it out, or --save-stats"
        )
    if not any(isinstance(side, ImageInput) for side in opened.values()):
        raise BenchmarkError(f"--precision {precision}: no network is needed here: leave it out")


def _check_file(file: Path, real: Path, opened: Input) -> None:
    """Refuse to write statistics of statistics, to replace a file, or a name other than .npz."""
    if isinstance(opened, Statistics):
        raise BenchmarkError(f"{real}: holds statistics already: give images or features")
    if file.suffix.lower() != ".npz":
        raise BenchmarkError(f"{file}: statistics are kept in a file whose name ends in .npz")
    if os.path.lexists(file):
        raise BenchmarkError(f"{file}: exists already: name a new file for the statistics")
    check_writable(file.parent)


def _save(
    side: Features | Statistics, extractor: Extractor | None, census: Census | None, file: Path
) -> None:
    assert not isinstance(side, Statistics)
    facts = {**(identity(extractor) if extractor else {}), "count": len(side)}
    if census and census.images:
        facts[FACT] = census.to_fact()
    save_statistics(file, Statistics(statistics(side), facts))
    print(f"{file}: statistics of {len(side)} images written", file=sys.stderr)


def _metric(name: str) -> str:
    """Return the full name of a metric, which is given by its full or its short name."""
    known = {part.short: full for full, part in METRICS.classes.items() if part.short}
    known |= {full: full for full in METRICS.classes}
    if name not in known:
        raise BenchmarkError(f"metrics: no metric {name!r}: {nearest_names(name, known)}")
    if METRICS.get(known[name]).takes == "classes":
        raise BenchmarkError(
            f"metrics: {name} needs the classes of real images, which a run's data have and score "
            "is not told: ask for it in a config"
        )
    return known[name]


def _computable(names: list[str], real: Path, fake: Path, opened: dict[Path, Input]) -> list[str]:
    """Return the metrics to compute: those asked for, or those of `DEFAULT` that both sides allow.

    Raises:
        BenchmarkError: a metric that is asked for cannot be computed from statistics.
    """
    of_statistics = [path for path, side in opened.items() if isinstance(side, Statistics)]
    if not of_statistics:
        return names or list(DEFAULT)
    for name in names:
        metric = METRICS.get(name)
        if not metric.is_distance and (fake in of_statistics or metric.takes != "logits"):
            raise BenchmarkError(
                f"metrics: {name} cannot be computed from statistics, as in {of_statistics[0]}: "
                "give images or features, or ask for fd alone"
            )
    return names or [name for name in DEFAULT if is_distance(name)]


def _moments(
    opened: dict[Path, Input], embedding: Embedding, names: list[str], keeps_images: bool
) -> tuple[dict[Path, Input], dict[Path, Statistics], list[str]]:
    """Use statistics that are in one file with images, if they are of the extractor's network.

    Args:
        opened: the inputs by path.
        embedding: names the extractor.
        names: names of the metrics; if all are Fréchet distances, no image is read.
        keeps_images: whether the images are needed in any case.

    Returns:
        The inputs, where statistics may have replaced images; the statistics for the Fréchet
        distance; and notes on what was done.
    """
    extractor = _extractor(opened, embedding.extractor)
    needed, moments, notes = dict(opened), {}, []
    for path, side in opened.items():
        if not isinstance(side, ImageInput) or side.statistics is None or extractor is None:
            continue
        of = side.statistics.facts.get("extractor", "a network that the file does not name")
        if of != extractor.kind and "extractor" in side.statistics.facts:
            notes.append(
                f"{path}: its mu and sigma are of {of}, not {extractor.kind}: the distance is of "
                "its images"
            )
            continue
        _check(path, side.statistics, extractor)
        moments[path] = side.statistics
        notes.append(
            f"{path}: the distance is of its mu and sigma, of {of}; all else of its {side.count} "
            "images"
        )
        if all(map(is_distance, names)) and not keeps_images:
            needed[path] = side.statistics
    return needed, moments, notes


def _chosen(
    names: Sequence[str],
    choice: MetricChoice,
    sides: tuple[Input, Input],
    embedding: Embedding,
    is_asked: bool,
) -> dict[str, Metric]:
    """Return each metric with its options; refuse metrics for which there are too few images.

    Args:
        names: names of the metrics.
        choice: the user's options.
        sides: fake and real.
        embedding: names the extractor.
        is_asked: whether the user named the metrics; if not, none is refused here, since others can
            still be computed.
    """
    extractor = _extractor(dict(enumerate(sides)), embedding.extractor)
    counts = [count for side in sides if (count := count_of(side)) is not None]
    fewest = min(counts, default=0)
    chosen = {n: choice.of(n, extractor.kind if extractor else None, fewest) for n in names}
    if is_asked and extractor and not any(isinstance(side, Statistics) for side in sides):
        for metric in chosen.values():
            metric.check_sizes(Sizes(counts[0], counts[1], extractor.dimension))
    return chosen


def _embed(
    opened: dict[Path, Input], embedding: Embedding, censuses: dict[Path, Census]
) -> tuple[dict[Path, Features | Statistics], Extractor | None]:
    """Return the features or statistics of each input, and their extractor.

    Args:
        opened: the inputs by path.
        embedding: how images become features.
        censuses: counts the images of an input while they are read, by path.
    """
    extractor = _extractor(opened, embedding.extractor)
    for path, side in opened.items():
        _check(path, side, extractor)
    if not any(isinstance(side, ImageInput) for side in opened.values()):
        return {p: s for p, s in opened.items() if not isinstance(s, ImageInput)}, extractor
    assert extractor is not None
    from benchmark.runtime.device import resolve_device, use_threads
    from benchmark.runtime.memory import share_one_heap

    share_one_heap()
    device = resolve_device(embedding.device)
    use_threads(embedding.threads)
    network = extractor.load(device, embedding.cache, embedding.weights)
    return {
        path: embed_images(side, network, device, embedding, censuses[path])
        if isinstance(side, ImageInput)
        else side
        for path, side in opened.items()
    }, extractor


def _extractor(opened: Mapping[Any, Input], name: str | None) -> Extractor | None:
    """Return the extractor: the one asked for, else that which a file names, else the default."""
    if name is None:
        sides = [
            side.statistics if isinstance(side, ImageInput) and side.statistics else side
            for side in opened.values()
        ]
        named = [side.facts.get("extractor") for side in sides if isinstance(side, Statistics)]
        images = any(isinstance(side, ImageInput) for side in opened.values())
        other = EXTRACTOR if images else None
        name = next((str(n) for n in named if n is not None), other)
    if name is None:
        return None
    if name not in EXTRACTORS.classes:
        known = nearest_names(name, EXTRACTORS.classes)
        raise BenchmarkError(f"extractor: no extractor {name!r}: {known}")
    return EXTRACTORS.make(name)


def _check(path: Path, side: Input, extractor: Extractor | None) -> None:
    """Refuse too few images, unusable features, and features of another extractor."""
    count = count_of(side)
    if count is not None and count < FEWEST:
        raise BenchmarkError(f"{path}: {count} images are too few: at least {FEWEST}")
    if not isinstance(side, ImageInput | Statistics):
        check_features(side, str(path), FEWEST)
    if extractor is None or isinstance(side, ImageInput):
        return
    if isinstance(side, Statistics):
        for fact, own in identity(extractor).items():
            if side.facts.get(fact, own) != own:
                raise BenchmarkError(
                    f"{path}: {fact} {side.facts[fact]!r}, not {own!r}: compare features of one "
                    "network only"
                )
    dimension = side.gaussian.mean.size if isinstance(side, Statistics) else side.shape[1]
    if dimension != extractor.dimension:
        raise BenchmarkError(
            f"{path}: features of dimension {dimension}, not {extractor.dimension} as those of "
            f"{extractor.kind}: name the network that they are of by --extractor"
        )


def _figures(
    chosen: Mapping[str, Metric],
    pair: _Pair,
    pair_of_distance: _Pair,
    extractor: Extractor | None,
    embedding: Embedding,
    is_asked: bool,
) -> Figures:
    """Compute each metric of the two sides.

    Args:
        chosen: the metrics by name.
        pair: features or statistics of fake and real.
        pair_of_distance: those for the Fréchet distance.
        extractor: extractor of the features; None: unknown.
        embedding: names the files of its weights.
        is_asked: whether the user named the metrics; if so, it is an error if one cannot be
            computed.
    """
    figures = Figures({}, {})
    for name, metric in chosen.items():
        sides = pair_of_distance if metric.is_distance else pair
        figures.add(name, functools.partial(_measure, metric, *sides, extractor, embedding))
        # If the Fréchet distance cannot be computed, the features are unusable.
        if name in figures.missing and (is_asked or metric.is_distance):
            raise BenchmarkError(f"{name}: {figures.missing[name]}")
    return figures


def _meanings(chosen: Mapping[str, Metric], figures: Figures) -> dict[str, str]:
    """Return for each metric with an interval or an error what that means, in words."""
    found = {name: chosen[name].uncertainty(value) for name, value in figures.values.items()}
    return {name: text for name, text in found.items() if text is not None}


def _measure(
    metric: Metric,
    fake: Features | Statistics,
    real: Features | Statistics,
    extractor: Extractor | None,
    embedding: Embedding,
) -> Value:
    reference: Any = real.gaussian if isinstance(real, Statistics) else real
    if isinstance(fake, Statistics):
        reference = reference if isinstance(real, Statistics) else statistics(reference)
        return Value(value=frechet_distance(fake.gaussian, reference))
    if metric.takes == "logits":
        fake = _logits(metric, fake, extractor, embedding)
    return metric.compute(fake, reference)


def _logits(
    metric: Metric, features: Features, extractor: Extractor | None, embedding: Embedding
) -> Features:
    if extractor is None:
        raise BenchmarkError(
            f"{metric.kind}: whose features these are is unknown: name it by --extractor"
        )
    single = features.astype(np.float32, copy=False)
    return extractor.logits(single, embedding.cache, embedding.weights)


def _census(path: Path, side: Input, given: Input) -> Census | None:
    """Return the census of an input: empty if its images will be read, None if nothing is known.

    Args:
        path: path of the input.
        side: what is compared.
        given: what was opened at the path; if it has statistics too, its images may not be read.
    """
    if isinstance(side, ImageInput):
        return Census()
    if isinstance(given, ImageInput) and given.shape is not None:
        return Census.of_array(given.shape)
    if not isinstance(side, Statistics) or FACT not in side.facts:
        return None
    try:
        return Census.from_fact(side.facts[FACT])
    except BenchmarkError as error:
        raise BenchmarkError(f"{path}: {error}") from None
