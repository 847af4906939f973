"""Find the nearest training images of samples, draw them, and test which samples are copies.

Faiss and torch in one process can crash through their two OpenMP runtimes, so nothing here imports
torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from benchmark.core.errors import BenchmarkError
from benchmark.core.values import Value
from benchmark.data import load_dataset
from benchmark.metrics.base import Figures
from benchmark.metrics.memorisation import (
    MEMORISATION,
    Bank,
    accused,
    closest,
    copies,
    distinct,
    least_accused,
    memorisation,
    pixels,
    rank_p_values,
)
from benchmark.metrics.neighbours import nearest
from benchmark.metrics.uncertainty import proportion
from benchmark.records.draft import Draft
from benchmark.records.record import Record
from benchmark.records.sections import Retrieved
from benchmark.stages.image_sets import load_features, load_images, load_labels, protocol
from benchmark.storage.cache import cached
from benchmark.storage.paths import Run
from benchmark.storage.pictures import in_colour, save_png

if TYPE_CHECKING:
    from benchmark.config.jobs.retrieve import RetrieveJob
    from benchmark.config.jobs.subject import Subject


NEAREST = ("nearest_min", "nearest_median", "nearest_mean", "kth_mean")
LEVEL = 0.05  # significance level of the test whether any sample is a copy
FALSE_DISCOVERY_RATE = 0.1  # at most this share of the accused samples is innocent, on average
_SMALLEST_TILE = 80  # pixels; smaller images are enlarged by whole pixels
GAP = 4
TEXT_HEIGHT = 16
TITLE_HEIGHT = 32
FONT_SIZE = 11
SUSPECT = "#c00000"


def stage(job: RetrieveJob, run: Run) -> list[Record]:
    """Find and draw the neighbours of each subject of a job, and write the records.

    If neighbours cannot be computed from these features, the picture shows none, and the record has
    the reason.

    Args:
        job: the subjects, a cell or all controls of a data set, and how many neighbours are drawn.
        run: the run that has their features and images.

    Raises:
        BenchmarkError: features or images are missing or damaged.
    """
    records = [_retrieve(job, subject, run) for subject in job.subjects]
    for record in records:
        record.write(run.record("retrieval", record.id))
    return records


def _retrieve(job: RetrieveJob, subject: Subject, run: Run) -> Record:
    draft = Draft("retrieval", subject.name, job.spec_of(subject))
    own, train = load_features(job.extractor, subject, run)
    found = Figures({}, {})
    try:
        distances, indices = nearest(own, train, job.neighbours)
        found.values.update(_distance_values(distances))
    except BenchmarkError as error:
        distances, indices = np.zeros((len(own), 0)), np.zeros((len(own), 0), np.int64)
        found.missing.update(dict.fromkeys(NEAREST, str(error)))
    suspects = find_copies(job, subject, run)
    panel(
        load_images(subject, run),
        load_dataset(run.data(subject.dataset), verify=True).train,
        distances,
        indices,
        run.neighbours(subject.name),
        captions=_captions(job, subject, run),
        rows=job.panel_rows,
        scores=suspects.scores,
        suspect=suspects.accused | suspects.closest,
    )
    return draft.record(
        values=found.values | suspects.figures.values,
        missing=found.missing | suspects.figures.missing,
        cell=subject.cell,
        control=subject.control,
        protocol=protocol(job.extractor, subject, run, n_fake=len(own)),
        retrieved=Retrieved(
            dataset=subject.dataset,
            neighbours=job.neighbours,
            false_discovery_rate=FALSE_DISCOVERY_RATE,
            accused=np.flatnonzero(suspects.accused).tolist(),
            closest=np.flatnonzero(suspects.closest).tolist(),
            least_accused=suspects.least,
            accused_of=_shares(subject, suspects.accused),
        ),
    )


class Captions(NamedTuple):
    """What a panel says, besides numbers.

    Attributes:
        title: the line above the picture.
        own: the class of each sample; empty: none is known.
        train: the class of each training image, likewise.
    """

    title: str
    own: Sequence[str] = ()
    train: Sequence[str] = ()

    @property
    def lines(self) -> int:
        """The number of lines below an image: where there are classes, they stand on a second."""
        return 2 if self.train else 1


def _captions(job: RetrieveJob, subject: Subject, run: Run) -> Captions:
    """Return what the panel of a subject says, with the classes of its images if they are known."""
    title = f"{subject.name}: nearest training images ({job.extractor.kind}, Euclidean)"
    found = load_labels(subject, run)
    if found is None:
        return Captions(title)
    names, own, train = found
    return Captions(title, [names[i] for i in own], [names[i] for i in train])


def _classed(text: str, classes: Sequence[str], index: int) -> str:
    """Return a caption, and below it the class of an image if there are classes."""
    return f"{text}\n{classes[index]}" if classes else text


class Suspects(NamedTuple):
    """Which of the n images of a subject are too close to a training image to be new.

    Attributes:
        figures: the values of all images together: those of `MEMORISATION` from features, those of
            the accused and closest images from pixels.
        scores: calibrated distance of each image, in pixels (n); infinite if it is not judged.
        accused: whether each image is accused, at a false discovery rate (n).
        closest: whether each image is closer than all held-out images (n); none, unless there are
            significantly many.
        p_values: p-value of each image to be no copy (n); NaN if it is not judged.
        least: number of copies among the n from which on some are accused; None: not judged.
    """

    figures: Figures
    scores: NDArray[np.float64]
    accused: NDArray[np.bool_]
    closest: NDArray[np.bool_]
    p_values: NDArray[np.float64]
    least: int | None


def find_copies(job: RetrieveJob, subject: Subject, run: Run) -> Suspects:
    """Compare a subject's distances to the training images with those of held-out images.

    If the subject is the held-out images themselves, every second one is judged by the others.

    Args:
        job: the job of the subject.
        subject: a cell or a control.
        run: the run that has its images.
    """
    held_out = job.held_out
    own, train = load_features(job.extractor, subject, run)
    other, _ = load_features(job.extractor, held_out, run)
    images, other_images = (load_images(x, run) for x in (subject, held_out))
    rows = slice(0, None, 2) if subject == held_out else slice(None)
    others = slice(1, None, 2) if subject == held_out else slice(None)
    try:
        bank = cached(distinct, train, run.cached, Bank)
        figures = memorisation(own[rows], other[others], train, bank)
    except BenchmarkError as error:
        figures = Figures({}, dict.fromkeys(MEMORISATION, str(error)))
    none = np.zeros(len(own), bool)
    unknown = np.full(len(own), np.nan)
    found = Suspects(figures, np.full(len(own), np.inf), none, none.copy(), unknown, None)
    try:
        queries = np.concatenate([images[rows], other_images[others]])
        originals = load_dataset(run.data(subject.dataset), verify=True).train
        bank = cached(distinct, pixels(originals), run.cached, Bank)
        judgement = copies(queries, originals, bank)
    except BenchmarkError as error:
        found.figures.missing["accused"] = str(error)
        return found
    scores, judged = judgement.score, len(images[rows])
    found.scores[rows] = scores[:judged]
    found.p_values[rows] = rank_p_values(scores[:judged], scores[judged:])
    found.accused[rows] = accused(
        scores[:judged], scores[judged:], false_discovery_rate=FALSE_DISCOVERY_RATE
    )
    found.figures.values["accused"] = Value(value=int(found.accused.sum()))
    found.figures.values["accused_share"] = proportion(found.accused[rows])
    below, p_value = closest(scores[:judged], scores[judged:])
    found.closest[rows] = below & (p_value < LEVEL)
    found.figures.values["closest"] = Value(value=int(below.sum()))
    found.figures.values["closest_p"] = Value(value=p_value)
    return found._replace(
        least=least_accused(judged, len(scores) - judged, false_discovery_rate=FALSE_DISCOVERY_RATE)
    )


def panel(
    queries: NDArray[np.uint8],
    bank: NDArray[np.uint8],
    distances: NDArray[np.float64],
    indices: NDArray[np.int64],
    path: Path,
    *,
    captions: Captions,
    rows: int,
    scores: NDArray[np.float64],
    suspect: NDArray[np.bool_],
) -> None:
    """Draw samples with their nearest training images as a PNG file.

    Suspects come first, by their scores, then the other samples, by their smallest distances.

    Args:
        queries: the samples, uint8 n×H×W×C.
        bank: the training images, uint8 m×H×W×C.
        distances: distances to the neighbours, n×k, ascending in each row; k may be 0.
        indices: row numbers of the neighbours in `bank`, n×k.
        path: the file to write.
        captions: what stands above the picture and below each image.
        rows: the most samples that are shown.
        scores: calibrated distances of the samples (n), which are small for copies.
        suspect: whether each sample is marked as a copy (n).
    """
    first = distances[:, 0] if distances.size else np.zeros(len(queries))
    order = np.lexsort((np.where(suspect, scores, first), ~suspect))[:rows]
    height, width = queries.shape[1:3]
    scale = -(-_SMALLEST_TILE // width)
    step_x, step_y = width * scale + GAP, height * scale + captions.lines * TEXT_HEIGHT + GAP
    columns = 1 + indices.shape[1]
    title_width = ImageFont.load_default(FONT_SIZE).getlength(captions.title)
    wide = max(3 * GAP + columns * step_x, 2 * GAP + math.ceil(title_width))
    picture = Image.new("RGB", (wide, TITLE_HEIGHT + len(order) * step_y), "white")
    _write(picture, GAP, GAP, captions.title)
    for row, sample in enumerate(order):
        top = TITLE_HEIGHT + row * step_y
        verdict = ", a copy?" if suspect[sample] else ""
        text = _classed(f"sample {sample}{verdict}", captions.own, sample)
        _tile(picture, GAP, top, queries[sample], scale, text)
        if suspect[sample]:
            _mark(picture, GAP, top, width * scale, height * scale)
        neighbours = zip(indices[sample], distances[sample], strict=True)
        for column, (index, distance) in enumerate(neighbours, start=1):
            left = 2 * GAP + column * step_x
            text = _classed(f"{distance:.4g}", captions.train, index)
            _tile(picture, left, top, bank[index], scale, text)
    save_png(picture, path)


def _distance_values(distances: NDArray[np.float64]) -> dict[str, Value]:
    """Return the values that `NEAREST` names, from the distances to the neighbours, n×k."""
    first = distances[:, 0]
    values = (
        Value(value=float(first.min())),
        Value(value=float(np.median(first))),
        Value(value=float(first.mean()), std_error=_std_error(first)),
        Value(value=float(distances[:, -1].mean())),
    )
    return dict(zip(NEAREST, values, strict=True))


def _shares(subject: Subject, accused: NDArray[np.bool_]) -> dict[str, float]:
    """Return the share of accused images in each part of a control that has parts."""
    parts = subject.made.parts if subject.made else ()
    return {part: float(accused[first :: len(parts)].mean()) for first, part in enumerate(parts)}


def _std_error(values: NDArray[np.float64]) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def _tile(
    picture: Image.Image, left: int, top: int, image: NDArray[np.uint8], scale: int, text: str
) -> None:
    tile = Image.fromarray(in_colour(image))
    tile = tile.resize((tile.width * scale, tile.height * scale), Image.Resampling.NEAREST)
    picture.paste(tile, (left, top))
    _write(picture, left, top + tile.height + 1, text)


def _write(picture: Image.Image, left: int, top: int, text: str) -> None:
    ImageDraw.Draw(picture).text((left, top), text, "black", ImageFont.load_default(FONT_SIZE))


def _mark(picture: Image.Image, left: int, top: int, width: int, height: int) -> None:
    """Draw a red frame around a suspect."""
    box = (left, top, left + width - 1, top + height - 1)
    ImageDraw.Draw(picture).rectangle(box, outline=SUSPECT, width=3)
