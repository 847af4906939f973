"""Exports a trained network as one small file, with a model card beside it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import torch
import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmark.config.building import train_job
from benchmark.config.config import Config
from benchmark.core.closure import TEMPLATES
from benchmark.core.errors import BenchmarkError
from benchmark.data.prepared import read_manifest
from benchmark.models.checkpoints.zoo import ZOO
from benchmark.models.weights import load_weights, save_weights
from benchmark.records.record import Cell, Curve, read_record, read_records
from benchmark.records.rows import Row, collect, metric_name, name_of, table_names
from benchmark.report.formats import to_markdown
from benchmark.report.results_table import results_table
from benchmark.storage.atomic import write_text
from benchmark.storage.paths import Run

TASK = "unconditional-image-generation"  # what the hub calls it


def export(config: Config, training: str, run: Run, file: Path) -> list[Path]:
    """Write the weights of a finished training as float16, and a model card beside them.

    Args:
        config: the config of the training.
        training: name of the training, as MODEL-SCHEDULE.
        run: the run that has its weights.
        file: the file to write, .safetensors; the card has the suffix .md.

    Returns:
        The paths of the weights and of the card.

    Raises:
        BenchmarkError: the training is unknown or not finished, or a weight is too large for
            float16.
    """
    if file.suffix != ".safetensors":
        raise BenchmarkError(f"{file}: weights are written as .safetensors: give such a name")
    spec = train_job(config, training).spec()
    _check_loadable(config, training)
    weights, trained = load_weights(run.weights(training))
    if trained != spec:
        raise BenchmarkError(f"{run.weights(training)}: not of this config: train it again")
    halves = {name: tensor.half() for name, tensor in weights.items()}
    for name, tensor in halves.items():
        if not torch.isfinite(tensor).all():
            raise BenchmarkError(f"{training}: {name} has values that float16 cannot hold")
    save_weights(file, halves, spec)
    card = file.with_suffix(".md")
    write_text(card, _card(config, training, run, file))
    return [file, card]


def _check_loadable(config: Config, training: str) -> None:
    """Refuse to export a network of the user's own, whose code would not be in the file.

    Raises:
        BenchmarkError: the network is not one of this package.
    """
    trained = config.network_and_training(config.trainings[training].model)
    assert trained is not None
    if code := trained[0].users_code():
        raise BenchmarkError(
            f"{training}: its network is code of your own, {code}, which is not run "
            "from a file of weights: only built-in networks are exported"
        )


def _card(config: Config, training: str, run: Run, file: Path) -> str:
    """Return the model card in Markdown."""
    cell = config.trainings[training]
    record = read_record(run.record("train", training))
    trained, machine = record.trained, record.provenance
    if trained is None:
        raise BenchmarkError(f"{training}: its record lacks what was trained: train it again")
    weights = f"{{kind: own, path: {file.as_posix()}}}"
    if file.resolve().parent == ZOO:
        weights = f"{{kind: zoo, name: {file.stem}}}"
    templates = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown
    )
    rows = [
        row
        for row in collect(read_records(run.root))
        if row.cell is None or row.cell.trained_as == training
    ]
    return templates.get_template("model-card.md.jinja").render(
        front=_front_matter(file.stem, cell, rows),
        name=file.stem,
        weights=weights,
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        parameters=f"{trained.parameters / 1e6:.2f}",
        model=cell.model,
        family=cell.family,
        dataset=cell.dataset,
        resolution=cell.resolution,
        schedule=cell.schedule,
        manifest=read_manifest(run.manifest(cell.dataset)),
        spec=yaml.safe_dump(record.spec, sort_keys=False, default_flow_style=None),
        images=trained.images,
        steps=trained.steps,
        batch=trained.batch,
        minutes=math.ceil(record.values["train_seconds"].value / 60),
        loss=f"{record.values['final_loss'].value:.3g}",
        threads=machine.threads,
        machine=machine.gpu or machine.cpu,
        precision=machine.precision,
        date=machine.started[:10],
        busy=record.busy,
        curve=_curve(record.curve),
        table="\n".join(to_markdown(results_table(name, rows, {})) for name in table_names(rows)),
    )


def _curve(curve: Curve | None) -> str:
    """Return the loss of the training images and of the held-out ones, in Markdown."""
    if curve is None or not curve.held_out:
        return "The loss of held-out images was not measured."
    rows = [
        "| step | loss of the steps since the last line | loss of held-out images |",
        "|--:" * 3 + "|",
    ]
    first = 0
    for step, held_out in curve.held_out:
        losses = [
            loss for at, loss in zip(curve.steps, curve.loss, strict=True) if first < at <= step
        ]
        mean = f"{fmean(losses):.4f}" if losses else "–"
        rows.append(f"| {step} | {mean} | {held_out:.4f} |")
        first = step
    return "\n".join(rows)


def _front_matter(name: str, cell: Cell, rows: Sequence[Row]) -> str:
    """Return the head of the card, in YAML, by which the hub lists a network and its figures."""
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult(
            task_type=TASK,
            dataset_type=row.dataset,
            dataset_name=f"{row.dataset} at {cell.resolution}×{cell.resolution}",
            metric_type="fid" if metric_name(row.metrics, key) == "FID" else key,
            metric_name=f"{metric_name(row.metrics, key)}, n = {row.protocol.n_fake}",
            metric_value=value.value,
            metric_config=f"{name_of(row.cell)}, seed {row.cell.seed}",
        )
        for row in rows
        if row.cell and row.metrics and row.protocol
        for key, value in row.metrics.values.items()
    ]
    data = ModelCardData(
        model_name=name,
        library_name="diffusion-benchmark",
        pipeline_tag=TASK,
        tags=["diffusion", cell.family],
        eval_results=results or None,
    )
    return str(data.to_yaml())
