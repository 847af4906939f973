"""Makes the jobs of a run from its config, each with all that it needs."""

from __future__ import annotations

from collections.abc import Callable

from benchmark.config.grid import Grid, look_up
from benchmark.config.jobs.answers import AnswersJob
from benchmark.config.jobs.base import Job
from benchmark.config.jobs.classifier import ClassifierJob
from benchmark.config.jobs.controls import ControlsJob
from benchmark.config.jobs.evaluate import EvaluateJob
from benchmark.config.jobs.features import FeaturesJob
from benchmark.config.jobs.gather import GatherJob
from benchmark.config.jobs.likelihood import LikelihoodJob
from benchmark.config.jobs.merge import MergeJob
from benchmark.config.jobs.prepare import PrepareJob
from benchmark.config.jobs.report import ReportJob
from benchmark.config.jobs.retrieve import RetrieveJob
from benchmark.config.jobs.sample import SampleJob
from benchmark.config.jobs.train import TrainJob
from benchmark.core.errors import BenchmarkError
from benchmark.data.controls import CONTROLS
from benchmark.extractors import EXTRACTORS
from benchmark.storage.paths import HELD_OUT


def prepare_job(config: Grid, name: str) -> PrepareJob:
    """Return the job that prepares a data set."""
    return PrepareJob(name=name, source=look_up(name, config.data, "data set"))


def gather_job(config: Grid, name: str) -> GatherJob:
    """Return the job that gathers the images of a cell.

    Raises:
        BenchmarkError: the cell is sampled from a network.
    """
    cell = config.cell(name)
    model = config.models[cell.model]
    if model.images is None:
        raise BenchmarkError(f"{name}: models.{cell.model} has no images: it is sampled")
    return GatherJob(
        name=name,
        cell=cell,
        source=config.data[cell.dataset],
        made=model.made(f"models.{cell.model}"),
        classes=config.classes_of(cell.dataset) if model.labels is not None else (),
    )


def controls_job(config: Grid, dataset: str) -> ControlsJob:
    """Return the job that makes the controls of a data set."""
    source = look_up(dataset, config.data, "data set")
    return ControlsJob(
        name=config.controls_of(dataset),
        dataset=dataset,
        source=source,
        controls=tuple(CONTROLS.make(kind) for kind in config.evaluation.controls),
        count=config.control_count(dataset),
        seed=config.seed,
    )


def train_job(config: Grid, name: str) -> TrainJob:
    """Return the job that trains a network."""
    cell = look_up(name, config.trainings, "training")
    trained = config.network_and_training(cell.model)
    assert trained is not None
    network, settings = trained
    return TrainJob(
        name=name,
        cell=cell,
        models=tuple(sorted({c.model for c in config.cells if c.trained_as == name})),
        seed=config.seed,
        schedule=config.schedule(cell.sampling.schedule),
        network=network,
        key=f"networks.{config.models[cell.model].network}",
        settings=settings,
        source=config.data[cell.dataset],
        computing=config.computing,
        kept=config.kept_of(name),
        keeps_raw=config.keeps_raw(name),
    )


def classifier_job(config: Grid, name: str) -> ClassifierJob:
    """Return the job that trains a classifier."""
    spec = look_up(name, config.classifiers, "classifier")
    source = config.data[spec.data]
    return ClassifierJob(
        name=name,
        dataset=spec.data,
        source=source,
        classes=len(config.classes_of(spec.data)),
        seed=config.seed,
        schedule_name=spec.schedule,
        schedule=config.schedule(spec.schedule),
        network=config.network_of(name),
        settings=config.training[spec.training],
        computing=config.computing,
    )


def sample_job(config: Grid, name: str) -> SampleJob:
    """Return the job that samples a cell.

    Raises:
        BenchmarkError: the images of the cell were made elsewhere.
    """
    cell = config.cell(name)
    schedule, sampler, _ = cell.sampling
    return SampleJob(
        name=name,
        cell=cell,
        sampler=config.sampler(sampler),
        schedule=config.schedule_of(cell.model, schedule),
        trained=train_job(config, cell.trained_as) if cell.trained_as else None,
        ready=None if cell.trained_as else config.ready(cell.model, schedule),
        batch=config.sampling_batch,
        clip=config.models[cell.model].clip,
        computing=config.computing,
        classifier=classifier_job(config, cell.guide) if cell.guide else None,
        task=config.task(name),
        source=config.data[cell.dataset],
        shard=config.shard(name),
    )


def features_job(config: Grid, name: str) -> FeaturesJob:
    """Return the job that embeds a data set, a cell or all controls of a data set."""
    embedded = config.embedded(name)
    cell = config.cells_by_id.get(embedded)
    return FeaturesJob(
        name=embedded,
        extractor=EXTRACTORS.make(config.evaluation.extractor),
        batch=config.feature_batch,
        device=config.device,
        is_data=embedded in config.data,
        cell=cell,
        shard=config.shard(embedded) if cell else None,
    )


def merge_samples_job(config: Grid, name: str) -> MergeJob:
    """Return the job that merges the samples of a cell."""
    return MergeJob(name=name, cell=config.cell(name), whole=sample_job(config, name))


def merge_features_job(config: Grid, name: str) -> MergeJob:
    """Return the job that merges the features of a cell."""
    return MergeJob(name=name, cell=config.cell(name), whole=features_job(config, name))


def evaluate_job(config: Grid, name: str) -> EvaluateJob:
    """Return the job that evaluates a cell, a control, or all controls of a data set."""
    subjects = tuple(config.subjects_called(name))
    return EvaluateJob(
        name=name,
        subjects=subjects,
        sizes={subject.name: config.sizes(subject) for subject in subjects},
        extractor=EXTRACTORS.make(config.evaluation.extractor),
        metrics=config.evaluation.metrics,
        few=config.evaluation.few,
    )


def retrieve_job(config: Grid, name: str) -> RetrieveJob:
    """Return the job that retrieves for a cell, a control, or all controls of a data set.

    Raises:
        BenchmarkError: the name is unknown, or the config wants no neighbours.
    """
    if config.evaluation.neighbours == 0:
        raise BenchmarkError(
            "evaluation.neighbours: 0 neighbours are not retrieved: at least 1 would be"
        )
    subjects = tuple(config.subjects_called(name))
    return RetrieveJob(
        name=name,
        subjects=subjects,
        held_out=config.subjects[f"{HELD_OUT}-{subjects[0].dataset}"],
        extractor=EXTRACTORS.make(config.evaluation.extractor),
        neighbours=config.evaluation.neighbours,
        panel_rows=config.evaluation.panel_rows,
    )


def answers_job(config: Grid, name: str) -> AnswersJob:
    """Return the job that judges the answers of a cell.

    Raises:
        BenchmarkError: the cell was asked nothing.
    """
    task = config.task(name)
    if task is None:
        raise BenchmarkError(f"{name}: this cell has no task: nothing is answered")
    return AnswersJob(
        name=name,
        subject=config.subjects[name],
        task=task,
        extractor=EXTRACTORS.make(config.evaluation.extractor),
        panel_rows=config.evaluation.panel_rows,
    )


def likelihood_job(config: Grid, name: str) -> LikelihoodJob:
    """Return the job that measures the likelihood of images under a network."""
    cells = look_up(name, config.likelihoods, "likelihood")
    assert config.likelihood
    return LikelihoodJob(
        name=name,
        network=sample_job(config, cells[0].id),
        subjects=tuple(config.subjects[cell.id] for cell in cells if not cell.task),
        settings=config.likelihood,
        seed=config.seed,
    )


def report_builder(rule: str) -> Callable[[Grid, str], ReportJob]:
    """Return the function that makes the job of a rule of the report; it ignores the job's name."""
    writers = (f"benchmark.report.{rule}",)
    return lambda config, name: ReportJob(name=rule, run=config.run, writers=writers)


def comparison_job(config: Grid, name: str) -> ReportJob:
    """Return the job that compares the run with another one; `name` is not used."""
    # these say which of two values is better
    metrics = [type(metric).__module__ for metric in config.evaluation.metrics.values()]
    writers = ("benchmark.report.compare", "benchmark.report.compare_formats", *metrics)
    return ReportJob(name="comparison", run=config.run, writers=writers)


# The functions that make the jobs, by rule of the workflow.
BUILDERS: dict[str, Callable[[Grid, str], Job]] = {
    "prepare": prepare_job,
    "controls": controls_job,
    "gather": gather_job,
    "train": train_job,
    "classifier": classifier_job,
    "sample": sample_job,
    "merge_samples": merge_samples_job,
    "features": features_job,
    "merge_features": merge_features_job,
    "evaluate": evaluate_job,
    "retrieve": retrieve_job,
    "answers": answers_job,
    "likelihood": likelihood_job,
    **{rule: report_builder(rule) for rule in ("tables", "plots", "site")},
    "comparison": comparison_job,
}
