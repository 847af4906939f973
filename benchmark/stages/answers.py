"""Compare answers to questions about held-out images with the truth and with what was given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.core.values import Value
from benchmark.data import load_dataset
from benchmark.metrics.distances import column_medians, row_slices, squared_distances
from benchmark.metrics.memorisation import pixels
from benchmark.metrics.similarity import psnr, ssim
from benchmark.metrics.uncertainty import mean, proportion
from benchmark.records.draft import Draft
from benchmark.records.record import Record
from benchmark.records.sections import Answered
from benchmark.runtime.model_range import to_model_range, to_uint8
from benchmark.runtime.questions import Questions
from benchmark.stages.image_sets import load_features, load_images
from benchmark.storage.arrays import open_array, write_blocks
from benchmark.storage.pictures import save_answers

if TYPE_CHECKING:
    from benchmark.config.jobs.answers import AnswersJob
    from benchmark.storage.paths import Run

Images = NDArray[np.uint8]  # N×H×W×C
Floats = NDArray[np.float64]


def stage(job: AnswersJob, run: Run) -> Record:
    """Judge the answers of a cell and the controls of its task; draw some, and write the record.

    Args:
        job: the cell and its task.
        run: the run that has its samples and features, and the data set.

    Raises:
        BenchmarkError: samples, features or images are missing or damaged.
    """
    subject, task = job.subject, job.task
    draft = Draft(job.kind, job.name, job.spec())
    answers = load_images(subject, run)
    count = len(answers) // task.answers
    questions = Questions.of(task, run.data(subject.dataset))
    judge = _judge(job, run, questions, count)
    features, _ = load_features(job.extractor, subject, run)
    values = judge.values(answers, features, task.answers)
    given = to_uint8(task.shown(judge.given)).numpy()
    write_blocks(run.given(job.name), [given], given.shape, np.uint8)
    shown = answers.reshape(count, task.answers, *answers.shape[1:])
    save_answers(
        np.concatenate([given[:, None], shown, judge.truth[:, None]], axis=1)[: job.panel_rows],
        run.answers(job.name),
    )
    return draft.write(
        run,
        cell=subject.cell,
        values=values,
        answered=Answered(
            dataset=subject.dataset,
            questions=count,
            psnr=judge.psnr(answers, task.answers).tolist(),
            controls=judge.controls(given),
        ),
    )


@dataclass(frozen=True)
class _Judge:
    """What answers to Q questions are compared with.

    Attributes:
        questions: the questions.
        given: what was given, Q×….
        truth: the images asked about, uint8 Q×H×W×C.
        truth_features: their features, Q×d.
        train: the training images, uint8 M×H×W×C.
        train_features: their features, M×d.
    """

    questions: Questions
    given: torch.Tensor
    truth: Images
    truth_features: NDArray[np.float32]
    train: Images
    train_features: NDArray[np.float32]

    def values(
        self, images: Images, features: NDArray[np.float32] | None, answers: int
    ) -> dict[str, Value]:
        """Return the values of answers, uint8 (Q·answers)×H×W×C, and of their features.

        Each is the mean over questions of the mean over the answers to one, with Student's interval
        over questions.
        """
        truth = self.truth.repeat(answers, axis=0)
        found = {"psnr": psnr(images, truth), "ssim": ssim(images, truth)}
        if features is not None:
            off = features - self.truth_features.repeat(answers, axis=0)
            found["feature_distance"] = np.sqrt((off.astype(np.float64) ** 2).sum(axis=1))
        found["given_error"] = self._given_error(images, answers)
        values = {name: over_questions(own, answers) for name, own in found.items()}
        if answers > 1:
            grouped = images.reshape(-1, answers, images[0].size) / 127.5
            spread = np.sqrt(grouped.var(axis=1, ddof=1).mean(axis=1))
            values["spread"] = over_questions(spread, 1)
        values["nearer_to_training"] = proportion(self._nearer_to_training(images, answers))
        return values

    def psnr(self, images: Images, answers: int) -> Floats:
        """Return the PSNR for each question, the mean over its answers: (Q)."""
        found = psnr(images, self.truth.repeat(answers, axis=0))
        return np.asarray(found.reshape(-1, answers).mean(axis=1))

    def controls(self, given: Images) -> dict[str, dict[str, Value]]:
        """Return the values of images that no network made, by what they are."""
        nearest = self._nearest_by_given()
        average = self.train.mean(axis=0).round().astype(np.uint8)
        least = to_uint8(self.questions.task.pseudo_inverse(self.given)).numpy()
        return {
            "untouched": self.values(self.truth, self.truth_features, 1),
            "nearest-training": self.values(self.train[nearest], self.train_features[nearest], 1),
            "mean-training": self.values(np.stack([average] * len(given)), None, 1),
            "pseudo-inverse": self.values(least, None, 1),
        }

    def _given_error(self, images: Images, answers: int) -> Floats:
        """Return the root mean square of A x - y of answers, of pixels in [-1, 1]: (Q·answers)."""
        off = self._forward(images) - self.given.repeat_interleave(answers, 0).flatten(1)
        kept = self._given_values()
        return np.asarray(np.sqrt((off[:, kept].double() ** 2).mean(dim=1).numpy()))

    def _given_values(self) -> torch.Tensor:
        """Return which values of y are given: a mask leaves the others 0."""
        ones = self.questions.task.noise_from(torch.ones(1, *self._shape()))
        return ones.flatten().abs() > 0

    def _shape(self) -> tuple[int, int, int]:
        _, height, width, channels = self.truth.shape
        return channels, height, width

    def _forward(self, images: Images) -> torch.Tensor:
        """Return A x of images, uint8 N×H×W×C, as rows: N×D."""
        x = to_model_range(torch.from_numpy(np.array(images)))  # a file on disk is read-only
        return self.questions.task.forward(x).flatten(1)

    def _nearest_by_given(self) -> NDArray[np.int64]:
        """Return which training image is nearest to each question by what is given of it: (Q)."""
        given = self.given.flatten(1).numpy()
        centre = column_medians(given)
        parts = [
            squared_distances(given, self._forward(self.train[rows]).numpy(), centre)
            for rows in row_slices(len(self.train))
        ]
        return np.asarray(np.concatenate(parts, axis=1).argmin(axis=1))

    def _nearer_to_training(self, images: Images, answers: int) -> NDArray[np.bool_]:
        """Return which answers are nearer to a training image than to the truth, in pixels."""
        own, train = pixels(images), pixels(self.train)
        truth = pixels(self.truth).repeat(answers, axis=0)
        to_truth = ((own - truth).astype(np.float64) ** 2).sum(axis=1)
        centre = column_medians(train)
        parts = [
            squared_distances(own, train[rows], centre).min(axis=1)
            for rows in row_slices(len(train))
        ]
        return np.asarray(np.min(parts, axis=0) < to_truth)


def _judge(job: AnswersJob, run: Run, questions: Questions, count: int) -> _Judge:
    """Return the judge of the answers to the first `count` questions."""
    dataset = load_dataset(run.data(job.subject.dataset), verify=True)
    splits = dataset.manifest.splits
    real = open_array(run.features(job.extractor.kind, job.subject.dataset))
    held_out = slice(splits.held_out.start, splits.held_out.start + count)
    return _Judge(
        questions=questions,
        given=questions.given(range(count)),
        truth=np.asarray(dataset.held_out[:count]),
        truth_features=real[held_out],
        train=np.asarray(dataset.train),
        train_features=real[splits.train.start : splits.train.stop],
    )


def over_questions(values: Floats, answers: int) -> Value:
    """Return the mean of values (Q·answers) with Student's interval over Q questions."""
    return mean(values.reshape(-1, answers).mean(axis=1))
