"""A trained network as one small file with its card: the same samples, all that one must know."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from huggingface_hub import ModelCard
from stages import do
from test_contention import seen

from benchmark.config.building import sample_job
from benchmark.config.config import Config
from benchmark.config.loading import parse_config
from benchmark.core.errors import BenchmarkError
from benchmark.models.checkpoints.zoo import ZOO
from benchmark.models.weights import load_weights, save_weights
from benchmark.records.record import read_record
from benchmark.stages import sample
from benchmark.storage.paths import Run
from benchmark.tools.export import export

TRAINING, CELL = "DDPM-linear", "DDPM-linear-ddpm-10-s0"


@pytest.fixture
def trained(smoke: Config, run: Run) -> Run:
    torch.set_num_threads(1)
    do("train", smoke, TRAINING, run)
    do("sample", smoke, CELL, run)
    for name in ("tiny", CELL):
        do("features", smoke, name, run)
    for subject in (CELL, "held-out-tiny"):
        do("evaluate", smoke, subject, run)
    return run


def test_the_file_is_half_as_large_and_samples_alike(
    smoke: Config, trained: Run, tmp_path: Path
) -> None:
    file = tmp_path / "zoo" / "tiny-ddpm.safetensors"
    paths = export(smoke, TRAINING, trained, file)
    assert paths == [file, file.with_suffix(".md")]
    weights, spec = load_weights(file)
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}
    assert spec == smoke.job("train", TRAINING).spec()

    content = smoke.model_dump(mode="json")
    snippet = file.with_suffix(".md").read_text().split("```yaml\n")[1].split("```")[0]
    content["models"] |= yaml.safe_load(snippet)["models"]
    content["grid"][0]["schedule"] = ["linear"]
    config = parse_config(content)
    assert config.cell(CELL).weights == "pretrained"
    sampling = sample.CellSampling(sample_job(config, CELL), trained, torch.device("cpu"))
    before = np.load(trained.samples(CELL)).astype(int)
    after = np.concatenate(list(sampling.batches()))
    assert np.abs(after - before).mean() < 0.5  # of 255 grey levels


def test_the_card_says_what_the_weights_are(smoke: Config, trained: Run, tmp_path: Path) -> None:
    file = tmp_path / "tiny.safetensors"
    card = export(smoke, TRAINING, trained, file)[1].read_text()
    for fact in (
        hashlib.sha256(file.read_bytes()).hexdigest(),
        "CC BY 4.0",
        "24 training images",
        "12 steps of 8 images",
        "style: toon-head",
        "FD-EffNetLite0",
        "held-out images",
        "in 1 minute on 1 thread of",
    ):
        assert fact in card
    spec = yaml.safe_load(card.split("```yaml\n")[2].split("```")[0])
    assert spec == smoke.job("train", TRAINING).spec()


def test_the_hub_reads_the_figures_of_the_card(smoke: Config, trained: Run, tmp_path: Path) -> None:
    card = ModelCard.load(export(smoke, TRAINING, trained, tmp_path / "tiny.safetensors")[1])
    assert card.data.model_name == "tiny"
    assert card.data.pipeline_tag == "unconditional-image-generation"
    record = read_record(trained.record("metrics", CELL))
    found = {result.metric_type: result for result in card.data.eval_results}
    assert {k: found[k].metric_value for k in found} == {
        key: pytest.approx(value.value) for key, value in record.values.items()
    }
    assert all("n = " in result.metric_name for result in found.values())


@pytest.mark.parametrize("others", [0.0, 0.8])
def test_the_card_says_whether_the_minutes_are_of_a_busy_machine(
    smoke: Config, trained: Run, tmp_path: Path, others: float
) -> None:
    path = trained.record("train", TRAINING)
    record = read_record(path).model_copy(update={"contention": [seen(others=others)]})
    path.write_text(record.model_dump_json())
    card = export(smoke, TRAINING, trained, tmp_path / "tiny.safetensors")[1].read_text()
    assert ("; the machine was busy: 0.8 of a core by others." in card) == bool(others)


def test_what_cannot_be_exported_is_one_line_and_writes_nothing(
    smoke: Config, trained: Run, tmp_path: Path
) -> None:
    file = tmp_path / "tiny.safetensors"
    with pytest.raises(BenchmarkError, match=r"tiny\.pth: weights are written as"):
        export(smoke, TRAINING, trained, tmp_path / "tiny.pth")
    with pytest.raises(BenchmarkError, match="no training 'DDPM-linaer': did you mean"):
        export(smoke, "DDPM-linaer", trained, file)
    with pytest.raises(
        BenchmarkError, match=r"DDPM-cosine\.safetensors: no such file of weights: tr"
    ):
        export(smoke, "DDPM-cosine", trained, file)
    content = smoke.model_dump(mode="json")
    content["networks"]["net"] = {"kind": "custom", "factory": "mine:network"}
    with pytest.raises(BenchmarkError, match="code of your own, mine:network, which is not run"):
        export(parse_config(content), TRAINING, trained, file)
    weights, spec = load_weights(trained.weights(TRAINING))
    save_weights(trained.weights(TRAINING), weights, {**spec, "seed": 5})
    with pytest.raises(BenchmarkError, match="not of this config: train it again"):
        export(smoke, TRAINING, trained, file)
    huge = {name: tensor * 1e9 for name, tensor in weights.items()}
    save_weights(trained.weights(TRAINING), huge, spec)
    with pytest.raises(BenchmarkError, match="has values that float16 cannot hold"):
        export(smoke, TRAINING, trained, file)
    assert not file.exists()


@pytest.mark.parametrize("file", sorted(ZOO.glob("*.safetensors")), ids=lambda file: file.stem)
def test_the_card_of_a_network_of_the_zoo_is_of_this_file_and_names_it_so(file: Path) -> None:
    card = file.with_suffix(".md").read_text()
    assert hashlib.sha256(file.read_bytes()).hexdigest() in card
    assert f"weights: {{kind: zoo, name: {file.stem}}}" in card


@pytest.mark.parametrize("card", sorted(ZOO.glob("*.md")), ids=lambda card: card.stem)
def test_the_hub_reads_the_cards_of_the_networks_that_come_along(card: Path) -> None:
    data = ModelCard.load(card).data
    assert data.model_name == card.stem
    figures = {f"{result.metric_value:g}" for result in data.eval_results}
    assert figures
    assert all(figure in card.read_text().split("## Metrics")[1] for figure in figures)
