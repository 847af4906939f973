"""Prepare a data set: draw, read, crop and resize its images; write one array and a manifest."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmark.config.jobs.base import said
from benchmark.core.cores import available_cores
from benchmark.core.errors import BenchmarkError
from benchmark.core.progress import track
from benchmark.core.values import Value
from benchmark.data.listing import tell_ignored
from benchmark.data.prepared import (
    IMAGES,
    LABEL,
    LABELS,
    LISTED,
    MANIFEST,
    BadImages,
    Duplicates,
    Labels,
    Manifest,
    Split,
    Splits,
)
from benchmark.data.sources.base import Candidates, Offer, Source
from benchmark.records.draft import Draft
from benchmark.records.provenance import Work
from benchmark.records.record import Record
from benchmark.records.sections import Prepared
from benchmark.runtime.one_at_a_time import one_at_a_time
from benchmark.stages.reading import Reader, ReadImage, reading
from benchmark.storage.arrays import write_into
from benchmark.storage.atomic import atomic_path, flush
from benchmark.storage.paths import Run

if TYPE_CHECKING:
    from benchmark.config.jobs.prepare import PrepareJob


SetName: TypeAlias = Literal["train", "held_out"]


def stage(job: PrepareJob, run: Run, threads: int | None = None) -> Record:
    """Prepare a data set and write its record.

    Args:
        job: which data set is prepared.
        run: the run into whose folder it is written.
        threads: processes that read images; None: one for each core that this process may use.
    """
    draft = Draft(job.kind, job.name, job.spec())
    threads = threads or available_cores()
    with one_at_a_time(run, job.kind, job.name, draft.spec) as made:
        return made or _prepare(job, run, threads, draft)


def _prepare(job: PrepareJob, run: Run, threads: int, draft: Draft) -> Record:
    manifest = prepare(job.source, run.data(job.name), threads)
    return draft.write(
        run,
        Work(threads=threads),
        values={
            "train": Value(value=manifest.splits.train.stop - manifest.splits.train.start),
            "held_out": Value(value=manifest.splits.held_out.stop - manifest.splits.held_out.start),
            "bad_images": Value(value=manifest.bad_images.count),
            "passed_over": Value(value=manifest.duplicates.passed_over_count),
        },
        prepared=Prepared(
            origin=manifest.origin,
            licence=manifest.licence,
            attribution=manifest.attribution,
            resolution=manifest.resolution,
            train_sha256=manifest.splits.train.sha256,
            held_out_sha256=manifest.splits.held_out.sha256,
            skipped_images=manifest.bad_images.all,
            conversions=counted(manifest.conversions),
            ignored_files=counted(manifest.ignored_files),
            classes=manifest.labels.counts() if manifest.labels else None,
        ),
    )


def prepare(source: Source, folder: Path, workers: int = 1) -> Manifest:
    """Write the images of a source as `images.npy`, uint8 N×H×W×C, and `manifest.json`.

    If the source has classes, `labels.npy`, uint16 N, has the number of the class of each image.

    The training images come first, then the held-out ones. A held-out candidate whose pixels are
    those of a training image is replaced by the next candidate, so that no image is in both sets.
    The bytes depend only on the source, not on `workers`. After an error, the folder is as before.

    Args:
        source: the source of the images.
        folder: the folder to write into, made if it is missing.
        workers: number of processes that read images.

    Raises:
        BenchmarkError: there are no images or too few, or one cannot be read.
    """
    offer = source.offer()
    _check_count(source, offer)
    print(f"{offer.origin}: licence: {offer.licence}. {offer.attribution}", file=sys.stderr)
    tell_ignored(offer.origin, offer.ignored)
    total = source.train + source.held_out
    collector = Collector(source, offer)
    with (
        atomic_path(folder / MANIFEST) as beside,
        atomic_path(folder / LABELS) if source.classes() else contextlib.nullcontext() as labels,
        atomic_path(folder / IMAGES) as temporary,
        reading(total, workers) as read,
    ):
        with temporary.open("wb") as file:
            rows = track(collector.rows(read), total, f"prepare {folder.name}")
            shape = (total, source.resolution, source.resolution, source.channels)
            write_into(file, rows, shape, np.uint8)
        manifest = collector.manifest()
        beside.write_text(manifest.text(), encoding="utf-8")
        flush(temporary)
        flush(beside)
        if labels is not None:
            with labels.open("wb") as file:
                np.save(file, np.array(collector.labels, LABEL))
            flush(labels)
        # At no moment may there be a manifest beside images that it does not describe.
        (folder / MANIFEST).unlink(missing_ok=True)
        (folder / LABELS).unlink(missing_ok=True)
    if manifest.bad_images.count:
        count, total = manifest.bad_images.count, total + manifest.bad_images.count
        print(f"{offer.origin}: {count} of {total} images skipped, as above", file=sys.stderr)
    print_conversions(offer.origin, manifest.conversions)
    return manifest


def counted(kinds: Mapping[str, int]) -> list[str]:
    """Return counts by kind as lines of a record, such as `greyscale: 3`."""
    return [f"{kind}: {count}" for kind, count in sorted(kinds.items())]


def print_conversions(origin: object, conversions: Mapping[str, int]) -> None:
    """Print to stderr how many images needed each conversion, if any did.

    Args:
        origin: the place that the images come from, as it begins the line.
        conversions: number of images by conversion.
    """
    if conversions:
        print(f"{origin}: converted: {', '.join(counted(conversions))}", file=sys.stderr)


class Collector:
    """Fills the training and the held-out set from candidates, and counts what the manifest tells.

    Args:
        source: how many images are asked for, and at which resolution.
        offer: the candidates.
    """

    def __init__(self, source: Source, offer: Offer) -> None:
        self.source = source
        self.offer = offer
        self.taken: dict[bytes, tuple[SetName, list[str]]] = {}  # by digest of the pixels
        self.hashes = {"train": hashlib.sha256(), "held_out": hashlib.sha256()}
        self.passed_over: list[list[str]] = []
        self.bad: list[str] = []
        self.conversions: Counter[str] = Counter()
        self.formats: Counter[str] = Counter()
        self.labels: list[int] = []  # of the images of both sets; empty: the source has no classes

    def rows(self, read: Reader) -> Iterator[NDArray[np.uint8]]:
        """Yield the images, uint8 H×W×C each, the training set first."""
        order = iter(self.offer.train.order)
        yield from self._fill("train", self.source.train, self.offer.train, order, read)
        candidates = self.offer.held_out or self.offer.train
        if self.offer.held_out:
            order = iter(candidates.order)
        yield from self._fill("held_out", self.source.held_out, candidates, order, read)

    def manifest(self) -> Manifest:
        """Return the manifest, once all rows have been taken."""
        source, offer = self.source, self.offer
        count = source.train + source.held_out
        kept = [names for _, names in self.taken.values() if len(names) > 1]
        return Manifest(
            source=said(source),
            origin=offer.origin,
            licence=offer.licence,
            attribution=offer.attribution,
            resolution=source.resolution,
            count=count,
            splits=Splits(
                train=self._split("train", 0, source.train),
                held_out=self._split("held_out", source.train, count),
            ),
            duplicates=Duplicates(
                kept_groups=len(kept),
                kept=kept[:LISTED],
                passed_over_count=len(self.passed_over),
                passed_over=self.passed_over[:LISTED],
            ),
            bad_images=BadImages(count=len(self.bad), all=self.bad),
            conversions=dict(sorted(self.conversions.items())),
            ignored_files=offer.ignored,
            formats=dict(sorted(self.formats.items())),
            labels=self._labels(),
        )

    def _labels(self) -> Labels | None:
        if not self.labels:
            return None
        classes, numbers = self.source.classes(), np.array(self.labels, LABEL)
        return Labels(
            classes=classes,
            train=np.bincount(numbers[: self.source.train], minlength=len(classes)).tolist(),
            held_out=np.bincount(numbers[self.source.train :], minlength=len(classes)).tolist(),
            sha256=hashlib.sha256(numbers.data).hexdigest(),
        )

    def _split(self, name: SetName, start: int, stop: int) -> Split:
        return Split(start=start, stop=stop, sha256=self.hashes[name].hexdigest())

    def _fill(
        self,
        name: SetName,
        wanted: int,
        candidates: Candidates,
        order: Iterator[int],
        read: Reader,
    ) -> Iterator[NDArray[np.uint8]]:
        """Yield the images that enter the set `name`, until it has `wanted` of them."""
        while wanted:
            # In ascending order, so that a file of many images is read once from front to back.
            chosen = sorted(itertools.islice(order, wanted))
            if not chosen:
                raise BenchmarkError(self._too_few(name, wanted))
            for picture in read(self.source, candidates.read(chosen)):
                pixels = self._accept(name, picture)
                if pixels is not None:
                    wanted -= 1
                    yield pixels

    def _accept(self, name: SetName, picture: ReadImage) -> NDArray[np.uint8] | None:
        """Return the pixels of an image that enters the set `name`; None if it does not."""
        if picture.pixels is None:
            problem = f"{picture.name}: {picture.problem}"
            if not self.offer.skip_bad:
                raise BenchmarkError(f"{self.offer.origin}: {problem}")
            print(f"{self.offer.origin}: skipped: {problem}", file=sys.stderr)
            self.bad.append(problem)
            return None
        digest = hashlib.sha256(picture.pixels.data).digest()
        owner, names = self.taken.setdefault(digest, (name, []))
        if names and (owner != name or self.offer.distinct):
            self.passed_over.append([picture.name, names[0]])
            return None
        names.append(picture.name)
        self.hashes[name].update(picture.pixels.data)
        self.conversions.update(picture.notes)
        if picture.format:
            self.formats[picture.format] += 1
        if picture.label is not None:
            self.labels.append(picture.label)
        return picture.pixels

    def _too_few(self, name: SetName, missing: int) -> str:
        asked = getattr(self.source, name)
        return (
            f"{self.offer.origin}: {name}: {asked} images asked for, {asked - missing} found: "
            f"{len(self.bad)} unreadable, {len(self.passed_over)} with the pixels of another one; "
            "ask for fewer"
        )


def _check_count(source: Source, offer: Offer) -> None:
    asked = {"train": source.train, "held_out": source.held_out}
    found = {"train": len(offer.train.order)}
    if offer.held_out:
        found["held_out"] = len(offer.held_out.order)
    else:
        asked = {"train + held_out": source.train + source.held_out}
        found = {"train + held_out": len(offer.train.order)}
    for name, count in asked.items():
        if found[name] < count:
            raise BenchmarkError(
                f"{offer.origin}: {name}: {count} images asked for, {found[name]} found"
            )
