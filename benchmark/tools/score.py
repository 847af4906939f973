"""Score any two sets of images, wherever they were made: folders, arrays or statistics."""

from __future__ import annotations

import functools
import itertools
import json
import math
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.config.loading import check_writable
from benchmark.core.errors import BenchmarkError
from benchmark.core.strict import nearest_names
from benchmark.core.values import Value
from benchmark.data.listing import ignored_line
from benchmark.extractors import EXTRACTORS, Extractor
from benchmark.metrics import METRICS, Figures, Metric, Sizes
from benchmark.metrics.base import Features, check_features
from benchmark.metrics.frechet import few, frechet_distance, statistics
from benchmark.report.formats import FEW, Column, Marked, Table, TableEntry
from benchmark.tools.score_inputs import (
    ImageInput,
    Input,
    Picture,
    Statistics,
    open_input,
    save_statistics,
)
from benchmark.tools.score_libraries import LIBRARIES, Library, library_of
from benchmark.tools.score_options import MetricChoice
from benchmark.tools.score_sides import FACT, Census, differences

if TYPE_CHECKING:
    import torch

    from benchmark.extractors.base import Embedder

DEFAULT = ("frechet", "kernel", "precision", "recall", "density", "coverage")
EXTRACTOR = "inception-v3-fid"
TOGETHER = 2**23  # channels of pixels, of images that are brought to the input at a time
LARGE = 8  # images of more than that, in one batch of the network
FEWEST = 3  # images, below which no distance has an interval


@dataclass(frozen=True)
class Embedding:
    """How images become features.

    Attributes:
        extractor: name of the network; None: the statistics' own, or the FID Inception for images.
        cache: folder that keeps downloaded weights.
        weights: the weights file, if the user has named one.
        device: where it runs, `auto`, `cpu` or `cuda`.
        batch: images at a time.
        threads: of the network and for decoding.
        files: library that reads the same files of a folder; None: all images are read.
    """

    extractor: str | None
    cache: Path
    weights: Path | None = None
    device: str = "auto"
    batch: int = 64
    threads: int = 1
    files: str | None = None

    @property
    def library(self) -> Library | None:
        """The library of `files`."""
        return LIBRARIES[self.files] if self.files is not None else None


@dataclass(frozen=True)
class Score:
    """What was found, and of what.

    Attributes:
        real: path of the reference.
        fake: path of what is judged.
        counts: images of the two; None: the statistics do not tell.
        extractor: whose features were compared; None: those of a network that no file names.
        values: by metric.
        few: why the distance is biased, one line for each side of too few images.
        missing: why a metric has no value, by its name.
        notes: what was read or ignored otherwise than a reader may think, one line each.
        uncertainty: what the interval or error of a value is, by metric.
    """

    real: Path
    fake: Path
    counts: tuple[int | None, int | None]
    extractor: Extractor | None
    values: dict[str, Value]
    few: list[str]
    missing: dict[str, str]
    notes: list[str]
    uncertainty: dict[str, str] = field(default_factory=dict)

    @property
    def warnings(self) -> list[str]:
        """What a reader must know, one line each."""
        return [*self.few, *(f"{name}: not computed: {why}" for name, why in self.missing.items())]

    def to_json(self) -> str:
        """Return all of it at full precision."""
        network = identity(self.extractor) if self.extractor else {}
        sides = zip(("real", "fake"), (self.real, self.fake), self.counts, strict=True)
        return json.dumps(
            {
                **{name: {"path": str(path), "images": count} for name, path, count in sides},
                **network,
                "label": self._label,
                "values": {k: v.model_dump(exclude_none=True) for k, v in self.values.items()},
                "uncertainty": self.uncertainty,
                "notes": self.notes,
                "warnings": self.warnings,
            },
            indent=1,
            ensure_ascii=False,
        )

    def to_text(self) -> str:
        """Return lines for people; what stands behind a value and what is marked is explained."""
        columns = [Column(name, self._heading(name)) for name in self.values]
        distances = [name for name in self.values if _is_distance(name)]
        entries: dict[str, TableEntry] = dict(self.values)
        if self.few:
            entries |= {name: Marked(self.values[name], FEW) for name in distances}
        texts = Table("score", [], columns, [entries]).texts().iloc[0]
        extractor = self.extractor
        features = f"{extractor.kind} ({extractor.preprocessing})" if extractor else "not named"
        rows = [
            *(
                (name, f"{path}, {'unknown' if count is None else count} images")
                for name, path, count in zip(
                    ("real", "fake"), (self.real, self.fake), self.counts, strict=True
                )
            ),
            *(("note", note) for note in self.notes),
            ("features", features),
            *((column.heading or "", text) for column, text in zip(columns, texts, strict=True)),
            *((self._heading(name), f"not computed: {why}") for name, why in self.missing.items()),
            *self._explanations(),
        ]
        width = max(len(name) for name, _ in rows)
        rows += [(FEW, note) for note in self.few if distances]
        return "\n".join(f"{name:<{width}}  {text}" for name, text in rows)

    def _explanations(self) -> Iterator[tuple[str, str]]:
        """Yield each meaning of what stands behind values, with the metrics that it is of."""
        for text in dict.fromkeys(self.uncertainty.values()):
            names = [self._heading(n) for n, other in self.uncertainty.items() if other == text]
            yield "where", f"{text}: {', '.join(names)}"

    @property
    def _label(self) -> str:
        """What the distance is called."""
        return self.extractor.label if self.extractor else "Fréchet distance"

    def _heading(self, name: str) -> str:
        if _is_distance(name):
            return self._label
        return "kernel (KID)" if name == "kernel" and self._label.startswith("FID") else name


def score(
    real: Path,
    fake: Path,
    embedding: Embedding,
    metrics: Sequence[str] = (),
    statistics_file: Path | None = None,
    choice: MetricChoice | None = None,
) -> Score:
    """Measure `fake` against `real`, each whatever `open_input` takes.

    Args:
        real: the reference.
        fake: what is judged; the intervals are over its images.
        embedding: makes features of images.
        metrics: names or short names; none: those of `DEFAULT` that can be computed.
        statistics_file: where those of `real` are kept, as by `save`, once all is measured.
        choice: of options of the metrics; none: all as the extractor's library has them.

    Raises:
        BenchmarkError: an unusable path, statistics of another network, a metric that is unknown
            or cannot be computed of these, or missing weights.
    """
    asked = [_metric(name) for name in metrics]
    opened = _open(embedding, real, fake)
    if statistics_file is not None:
        _check_file(statistics_file, real, opened[real])
    names = _computable(asked, real, fake, opened)
    choice = choice or MetricChoice()
    choice.check(names)
    given = opened
    opened, moments, told = _moments(given, embedding, names, statistics_file is not None)
    chosen = _chosen(names, choice, (opened[fake], opened[real]), embedding, bool(asked))
    censuses = {path: c for path, side in opened.items() if (c := _census(path, side, given[path]))}
    sides, extractor = _embed(opened, embedding, censuses)
    reference, judged = sides[real], sides[fake]
    figures = Figures({}, {})
    for name, metric in chosen.items():
        pair = (judged, reference)
        if metric.is_distance:
            pair = (moments.get(fake, judged), moments.get(real, reference))
        figures.add(name, functools.partial(_measure, metric, *pair, extractor, embedding))
        # without a distance the features are of no use
        if name in figures.missing and (asked or metric.is_distance):
            raise BenchmarkError(f"{name}: {figures.missing[name]}")
    if statistics_file is not None:
        _save(reference, extractor, censuses.get(real), statistics_file)
    counts = (_count(reference), _count(judged))
    notes = told + [
        f"{path}: {note}"
        for path, side in opened.items()
        for note in _notes(path, side, extractor, censuses.get(path))
    ]
    known = differences(censuses.get(real), censuses.get(fake), counts)
    notes += [f"the two differ in {difference}" for difference in known]
    label = extractor.label if extractor else "the Fréchet distance"
    meanings = {name: chosen[name].uncertainty(value) for name, value in figures.values.items()}
    return Score(
        real,
        fake,
        counts,
        extractor,
        figures.values,
        list(_few(sides | moments, label)),
        figures.missing,
        notes,
        {name: text for name, text in meanings.items() if text is not None},
    )


def save(real: Path, embedding: Embedding, file: Path) -> None:
    """Write mean and covariance of the features of `real`, and which network they are of.

    Raises:
        BenchmarkError: an unusable path, missing weights, or a file that exists already or cannot
            be written.
    """
    opened = _open(embedding, real)
    _check_file(file, real, opened[real])
    census = Census()
    sides, extractor = _embed(opened, embedding, {real: census})
    for note in _notes(real, opened[real], extractor, census):
        print(f"{real}: {note}", file=sys.stderr)
    _save(sides[real], extractor, census, file)


def _open(embedding: Embedding, *paths: Path) -> dict[Path, Input]:
    """Open what is to be compared; refuse a rule for folders where there is none."""
    opened = {path: open_input(path, embedding.library) for path in paths}
    folders = [side for side in opened.values() if isinstance(side, ImageInput) and side.files]
    if embedding.files is not None and not folders:
        names = " and ".join(map(str, paths))
        raise BenchmarkError(
            f"--files: is for folders of images only, unlike {names}: leave it out"
        )
    return opened


def _check_file(file: Path, real: Path, opened: Input) -> None:
    """Refuse statistics of statistics, and a file that would replace one or not be read back."""
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


def identity(extractor: Extractor) -> dict[str, str | int]:
    """Return what two sets of features must have in common to be compared."""
    return {
        "extractor": extractor.kind,
        "preprocessing": extractor.preprocessing,
        "weights_sha256": extractor.weights.sha256,
    }


def _metric(name: str) -> str:
    """Return the full name of a metric."""
    known = {part.short: full for full, part in METRICS.classes.items() if part.short}
    known |= {full: full for full in METRICS.classes}
    if name not in known:
        raise BenchmarkError(f"metrics: no metric {name!r}: {nearest_names(name, known)}")
    return known[name]


def _is_distance(name: str) -> bool:
    return METRICS.get(name).is_distance


def _computable(names: list[str], real: Path, fake: Path, opened: dict[Path, Input]) -> list[str]:
    """Return the metrics that both sides allow; refuse what was asked for and is not among them."""
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
    return names or [name for name in DEFAULT if _is_distance(name)]


def _moments(
    opened: dict[Path, Input], embedding: Embedding, names: list[str], keeps_images: bool
) -> tuple[dict[Path, Input], dict[Path, Statistics], list[str]]:
    """Take the statistics that lie beside images, where they are of the extractor's network.

    Args:
        opened: what is compared.
        embedding: names the extractor.
        names: of the metrics; where the distance is the only one, no image is read.
        keeps_images: whether the images are needed all the same.

    Returns:
        What is compared, the statistics that the distance is of, and notes on both.
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
        if all(map(_is_distance, names)) and not keeps_images:
            needed[path] = side.statistics
    return needed, moments, notes


def _chosen(
    names: Sequence[str],
    choice: MetricChoice,
    sides: tuple[Input, Input],
    embedding: Embedding,
    is_asked: bool,
) -> dict[str, Metric]:
    """Return each metric with its options; refuse at once what so few images do not allow.

    Args:
        names: of the metrics.
        choice: of the user.
        sides: fake and real.
        embedding: names the extractor.
        is_asked: whether the user named the metrics; if not, the others can still be measured.
    """
    extractor = _extractor(dict(enumerate(sides)), embedding.extractor)
    counts = [count for side in sides if (count := _count(side)) is not None]
    fewest = min(counts, default=0)
    chosen = {n: choice.of(n, extractor.kind if extractor else None, fewest) for n in names}
    if is_asked and extractor and not any(isinstance(side, Statistics) for side in sides):
        for metric in chosen.values():
            metric.check_sizes(Sizes(counts[0], counts[1], extractor.dimension))
    return chosen


def _embed(
    opened: dict[Path, Input], embedding: Embedding, censuses: dict[Path, Census]
) -> tuple[dict[Path, Features | Statistics], Extractor | None]:
    """Return features or statistics of each input, and whose they are; count its images."""
    extractor = _extractor(opened, embedding.extractor)
    for path, side in opened.items():
        _check(path, side, extractor)
    if not any(isinstance(side, ImageInput) for side in opened.values()):
        return {p: s for p, s in opened.items() if not isinstance(s, ImageInput)}, extractor
    assert extractor is not None
    from benchmark.runtime.device import resolve_device, use_threads

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
    """Return the extractor that is asked for, that a file names, or that images need."""
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
    """Refuse too few images, unusable features, and such as are not the extractor's."""
    count = _count(side)
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


def embed_images(
    images: ImageInput,
    network: Embedder,
    device: torch.device,
    embedding: Embedding,
    census: Census | None = None,
) -> NDArray[np.float32]:
    """Return the features, N×d, of images.

    Large images are brought to the network's input one by one, so that no batch of them is held.

    Args:
        images: of any sizes.
        network: with its preprocessing.
        device: where both run.
        embedding: with the size of a batch and the number of threads.
        census: what counts the images as they pass; none: they are not counted.
    """
    import torch

    from benchmark.core.progress import track

    pictures = images.pictures(embedding.threads)
    if census is not None:
        pictures = census.watch(pictures)
    batches = _batches(pictures, network, device, embedding.batch)
    total = -(-images.count // embedding.batch)
    with torch.inference_mode():
        found = [network.forward(x).cpu().numpy() for x in track(batches, total, "features")]
    features: NDArray[np.float32] = np.concatenate(found)
    return features


def _batches(
    pictures: Iterator[Picture], network: Embedder, device: torch.device, size: int
) -> Iterator[torch.Tensor]:
    """Yield the network's input for `size` images at a time, B×3×side×side."""
    import torch

    while batch := list(_inputs(_up_to(pictures, size), network, device)):
        x = torch.cat(batch)
        del batch
        yield x
        del x


def _up_to(pictures: Iterator[Picture], size: int) -> Iterator[Picture]:
    """Yield the next `size` pictures, or fewer where `LARGE` of them are large.

    Beside decoding and resizing, batches of 8 cost the network no time that could be measured.
    """
    large = 0
    for picture in itertools.islice(pictures, size):
        large += picture.pixels.size >= TOGETHER
        yield picture
        if large == LARGE:
            return


def _inputs(
    pictures: Iterable[Picture], network: Embedder, device: torch.device
) -> Iterator[torch.Tensor]:
    """Yield the network's input for images of one size that follow each other, few if large."""
    import torch

    for shape, alike in itertools.groupby((p.pixels for p in pictures), key=np.shape):
        together = max(1, TOGETHER // math.prod(shape))
        # a photograph is held neither twice nor while the next one is waited for
        while block := list(itertools.islice(alike, together)):
            pixels = block.pop()[None] if len(block) == 1 else np.stack(block)
            pixels = np.require(pixels, requirements="W")  # torch warns of others, as of a file's
            del block
            x = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2)
            del pixels
            x = network.preprocess(x)
            yield x
            del x


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


def _count(side: Input) -> int | None:
    """Return the number of images, if it is known."""
    if isinstance(side, ImageInput):
        return side.count
    if isinstance(side, Statistics):
        count = side.facts.get("count")
        return int(count) if count is not None else None
    return len(side)


def _census(path: Path, side: Input, given: Input) -> Census | None:
    """Return what counts images as they are read, or what is known of those that are not.

    Args:
        path: of the side.
        side: what is compared.
        given: the file that it is of, whose images need not be read if it holds statistics too.
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


def _notes(
    path: Path, side: Input, extractor: Extractor | None, census: Census | None
) -> Iterator[str]:
    """Yield what a reader must know of how images were read."""
    if isinstance(side, ImageInput) and side.path != path:
        yield f"the images are those of {side.path.name}, beside its pictures"
    if isinstance(side, ImageInput) and side.ignored:
        yield f"files: {ignored_line(side.ignored)}"
    library = library_of(extractor.kind) if extractor else None
    if (
        isinstance(side, ImageInput)
        and library is not None
        and (left_out := library.left_out(side.files))
    ):
        kinds = ", ".join(f"{count} × {kind}" for kind, count in left_out.items())
        yield (
            f"{library.name} reads {side.count - sum(left_out.values())} of these {side.count} "
            f"images, not {kinds}: give --files {library.name} to read as it does"
        )
    if census and (converted := census.converted()):
        yield converted


def _few(sides: dict[Path, Features | Statistics], label: str) -> Iterator[str]:
    for path, side in sides.items():
        count = _count(side)
        dimension = side.gaussian.mean.size if isinstance(side, Statistics) else side.shape[1]
        if count is not None and count < few(dimension):
            yield (
                f"{path}: {count} images are fewer than {few(dimension)}, which {dimension} "
                f"dimensions need: the bias of {label} is large; compare it only at equal numbers "
                "of images"
            )
