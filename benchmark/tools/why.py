"""Scores two sets of images under every choice that people make differently, one at a time."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import nearest_names
from benchmark.extractors import EXTRACTORS
from benchmark.tools.choices import CHOICES
from benchmark.tools.choices.base import Facts, Known, LeftOut, Option, Recipe, Side
from benchmark.tools.score_embedding import Embedding
from benchmark.tools.why_features import FEWEST, FeatureStore
from benchmark.tools.why_figure import Figure, Measurer
from benchmark.tools.why_result import Why
from benchmark.tools.why_search import Published, Scored, search


def why(
    real: Path,
    fake: Path,
    embedding: Embedding,
    published: Published | None = None,
    split: Path | None = None,
    choices: Sequence[str] = (),
) -> Why:
    """Return by how much each choice moves the Fréchet distance of `fake` to `real`.

    Args:
        real: the reference; `open_input` tells what it may be.
        fake: what is judged, images or features; the folder of a run's cell is compared with
            others of its run.
        embedding: how images become features at the baseline; its extractor must be named.
        published: a figure that combinations of choices are to reach; None: none.
        split: a folder with another part of the reference; None: there is none.
        choices: names of the choices; none: all.

    Raises:
        BenchmarkError: a path cannot be used, holds too few images or statistics alone, or a
            choice is unknown.
    """
    names = [_choice(name) for name in choices] or CHOICES.names()
    assert embedding.extractor is not None
    _check_extractor(embedding.extractor)
    baseline = Recipe(embedding.extractor, Side((real,)), Side((fake,)))
    with tempfile.TemporaryDirectory(prefix="why-") as folder:
        store = FeatureStore(embedding, Path(folder))
        known, measurer = _look(store, baseline, split, embedding.cache)
        figure = measurer.figure(baseline)
        scored, left_out = _score_all(names, known, measurer, figure)
        combinations = []
        if published is not None:

            def score(change: Callable[[Recipe], Recipe]) -> Figure:
                print("why: a combination of choices", file=sys.stderr)
                return measurer.figure(change(baseline))

            combinations = search(published, figure, scored, measurer.groups, score)
    return Why(
        real,
        fake,
        (known.real.count, known.fake.count),
        EXTRACTORS.make(embedding.extractor),
        figure.to_value(measurer.groups),
        # What chance may have moved comes after what it has not.
        sorted(scored, key=lambda s: (not s.is_told_apart, -abs(s.moved.value))),
        left_out,
        published,
        combinations,
    )


def _choice(name: str) -> str:
    if name not in CHOICES.classes:
        known = nearest_names(name, CHOICES.classes)
        raise BenchmarkError(f"--choices: no choice {name!r}: {known}")
    return name


def _check_extractor(name: str) -> None:
    if name not in EXTRACTORS.classes:
        known = nearest_names(name, EXTRACTORS.classes)
        raise BenchmarkError(f"extractor: no extractor {name!r}: {known}")


def _look(
    store: FeatureStore, baseline: Recipe, split: Path | None, cache: Path
) -> tuple[Known, Measurer]:
    """Look at all images, and embed them for the baseline."""
    extractor = baseline.extractor
    paths = [*baseline.real.paths, *baseline.fake.paths, *([split] if split else [])]
    facts = {path: store.facts(path, extractor) for path in dict.fromkeys(paths)}
    real, fake = (facts[side.paths[0]] for side in (baseline.real, baseline.fake))
    _check(facts, baseline.fake.paths[0], split)
    measurer = Measurer(store, facts, fake)
    known = Known(
        baseline,
        real,
        fake,
        split,
        cache,
        width=store.input_width(extractor),
        dimension=EXTRACTORS.make(extractor).dimension,
        group=measurer.groups.size,
    )
    return known, measurer


def _check(facts: dict[Path, Facts], fake: Path, split: Path | None) -> None:
    """Refuse sets from which no difference can be computed."""
    if facts[fake].holds == "statistics":
        raise BenchmarkError(
            f"{fake}: statistics alone say nothing of single images, which every choice changes: "
            "give images, or features for what does not concern pixels"
        )
    if split is not None and any(f.holds == "statistics" for f in facts.values()):
        raise BenchmarkError(
            f"--reference-split: {split} cannot be joined with statistics: give images as A"
        )
    for path, known in facts.items():
        if known.holds != "statistics" and known.distinct < FEWEST:
            raise BenchmarkError(
                f"{path}: {known.distinct} different images are too few: at least {FEWEST}"
            )


def _score_all(
    names: Sequence[str], known: Known, measurer: Measurer, baseline: Figure
) -> tuple[list[Scored], list[tuple[str, str]]]:
    """Score the options of all choices; return them, and what was left out: choice and reason."""
    options, left_out = [], []
    for name in names:
        for option in CHOICES.make(name).options(known):
            if isinstance(option, LeftOut):
                left_out.append((name, option.why))
            else:
                options.append((name, option))
    scored = []
    for number, (name, option) in enumerate(options, 1):
        print(f"why: {number}/{len(options)}, {name}: {option.text}", file=sys.stderr)
        try:
            scored.append(_score(name, option, known.baseline, measurer, baseline))
        except BenchmarkError as error:
            left_out.append((name, f"{option.text}: {error}"))
    return scored, left_out


def _score(
    name: str, option: Option, recipe: Recipe, measurer: Measurer, baseline: Figure
) -> Scored:
    figure = measurer.figure(option.change(recipe))
    groups = measurer.groups
    moved = (figure - baseline).to_value(groups)
    return Scored(name, option, figure, figure.to_value(groups), moved)
