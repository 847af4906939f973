"""Classifiers of noisy images, and samples that their gradients steer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from analytic import ON_PATHS, PROCESSES
from mixtures import MEANS, SHAPE, STDS, WEIGHTS, Mixture, ToldTimes, models, noises
from stages import do
from test_guidance import refusal
from torch import Tensor

from benchmark.config.building import sample_job
from benchmark.config.config import Config
from benchmark.config.expected import expected_records
from benchmark.config.loading import filled_in, parse_config
from benchmark.config.training import Training
from benchmark.core.errors import BenchmarkError
from benchmark.diffusion.classifier import LEVELS, cross_entropy, right_at
from benchmark.diffusion.denoiser import Denoiser
from benchmark.diffusion.guidance import ClassGradient
from benchmark.diffusion.noise_levels import times_of_levels
from benchmark.diffusion.processes.base import ends_in_noise
from benchmark.diffusion.samplers import SAMPLERS
from benchmark.diffusion.schedules import SCHEDULES
from benchmark.models.modules.classifier import ClassifierModule
from benchmark.models.networks.unet import UNet
from benchmark.records.record import read_record, read_records
from benchmark.records.rows import collect, name_of
from benchmark.report.classifiers_table import classifiers_table
from benchmark.report.formats import FORMATS
from benchmark.stages.sample import CellSampling
from benchmark.stages.trainer import Trainer, TrainingSet
from benchmark.storage.arrays import open_array
from benchmark.storage.paths import TABLE_FORMATS, Run
from benchmark.tools.estimate import estimate

# the exact gradient


@pytest.mark.parametrize("key", PROCESSES)
def test_the_exact_classifier_gives_the_exact_score_of_the_class(key: str) -> None:
    process, labels = PROCESSES[key], torch.arange(6) % 3
    x = noises(0, (6, *SHAPE))()
    for t in (0.25, 0.5, 0.875) if process.length is None else (3.0, 100.0, 250.0):
        steered, exact = models(process, labels)
        found, expected = steered(x, t), exact(x, t)
        assert torch.allclose(found.score, expected.score, rtol=0, atol=1e-9)
        assert torch.allclose(found.x0, expected.x0, rtol=0, atol=1e-9)
        assert steered.evaluations == 3 * exact.evaluations == 18


def test_the_scale_multiplies_the_gradient() -> None:
    process, labels = PROCESSES["vp"], torch.tensor([0, 1, 2])
    x, t = noises(1, (3, *SHAPE))(), 0.5
    steered, exact = models(process, labels, 2.5)
    plain = Denoiser(steered.network, steered.process, "eps")(x, t).score
    expected = plain + 2.5 * (exact(x, t).score - plain)
    assert torch.allclose(steered(x, t).score, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("prediction", ["eps", "x0", "v", "score", "velocity", "edm"])
def test_it_is_the_same_whatever_the_network_predicts(prediction: str) -> None:
    process, labels, t = PROCESSES["vp"], torch.tensor([0, 1, 2]), 0.5
    data, x = Mixture(process), noises(2, (3, *SHAPE))()
    alpha, sigma = float(process.alpha(t)), float(process.sigma(t))

    def network(x: Tensor, t: Tensor) -> Tensor:
        eps = data.eps(x, t)
        x0 = (x - sigma * eps) / alpha
        total = sigma**2 + (process.sigma_data * alpha) ** 2
        image = process.sigma_data**2 * alpha / total * x
        return {
            "eps": eps,
            "x0": x0,
            "v": alpha * eps - sigma * x0,
            "score": -eps / sigma,
            "velocity": eps - x0,
            "edm": (x0 - image) / (sigma * process.sigma_data / total**0.5),
        }[prediction]

    steered, exact = models(process, labels)
    other = Denoiser(network, steered.process, prediction)  # type: ignore[arg-type]
    other.towards = steered.towards
    assert torch.allclose(other(x, t).eps, exact(x, t).eps, rtol=0, atol=1e-9)


def test_a_process_whose_network_sees_a_scaled_state_has_the_gradient_of_the_state() -> None:
    process, data = PROCESSES["edm"], Mixture(PROCESSES["edm"])
    x, labels = noises(3, (3, *SHAPE))(), torch.tensor([0, 1, 2])
    t = torch.full((3,), 0.5, dtype=torch.float64)
    half = ClassGradient(lambda y, t, k: data.classify(2 * y, t, k), labels, 1.0)(x, 0.5, t)
    assert torch.allclose(half, ClassGradient(data.classify, labels, 1.0)(x, 1.0, t), atol=1e-12)
    assert float(process.input_scale(0.5)) != 1


def test_where_nothing_is_left_of_the_image_the_classifier_is_not_asked() -> None:
    process, labels = PROCESSES["flow"], torch.tensor([0, 1, 2])
    assert ends_in_noise(process)
    steered, _ = models(process, labels)
    x = noises(4, (3, *SHAPE))()
    steered.network = lambda x, t: x  # no image follows from the noise there
    assert torch.equal(steered(x, 1.0).eps, x)
    assert steered.evaluations == 3


@pytest.mark.parametrize("name", ON_PATHS)
def test_every_sampler_draws_as_with_the_network_of_the_classes(name: str) -> None:
    known = [SCHEDULES.make(kind).process() for kind in ("linear", "vp", "ve", "geometric", "edm")]
    sampler = SAMPLERS.make(name)
    process = next(process for process in known if sampler.is_defined_for(process))
    times, labels = sampler.plan(process, 10), torch.arange(6) % 3
    found = []
    for model in models(process, labels):
        noise = noises(5, (6, *SHAPE))
        x_T = process.prior(noise())
        with torch.inference_mode():
            found.append(sampler.sample(model, process, x_T, times, noise))
    assert torch.allclose(found[0], found[1], atol=1e-5)


@pytest.mark.parametrize("key", ["linear", "ve", "sub-vp", "flow"])
def test_samples_have_the_mean_and_the_covariance_of_their_class(key: str) -> None:
    process, sampler, count = PROCESSES[key], SAMPLERS.make("heun"), 500
    labels = torch.arange(3 * count) // count
    noise = noises(6, (3 * count, *SHAPE))
    model, _ = models(process, labels)
    # Of the noise no image follows at the first time of the flow.
    model.network, model.prediction = Mixture(process).x0, "x0"
    times = sampler.plan(process, 40)
    with torch.inference_mode():
        x = sampler.sample(model, process, process.prior(noise()), times, noise)
    for label, std in enumerate(STDS.tolist()):
        own = x[labels == label].flatten(1)
        assert ((own.mean(0) - MEANS[label].flatten()).abs() < 5 * std / count**0.5).all()
        expected = std**2 * torch.eye(4, dtype=torch.float64)
        assert ((own.T.cov() - expected).abs() < 5 * std**2 * (2 / count) ** 0.5).all()


def test_without_guidance_samples_are_of_all_classes() -> None:
    process, sampler, count = PROCESSES["linear"], SAMPLERS.make("heun"), 1000
    noise = noises(7, (count, *SHAPE))
    model = Denoiser(Mixture(process).eps, ToldTimes(process), "eps")  # type: ignore[arg-type]
    x = sampler.sample(model, process, process.prior(noise()), sampler.plan(process, 20), noise)
    clean = torch.zeros(count, dtype=torch.float64)
    shares = Mixture(process).log_joint(x, clean)[0].softmax(1).mean(0)
    assert torch.allclose(shares, WEIGHTS, atol=0.06)


# training


@pytest.mark.parametrize("key", PROCESSES)
def test_accuracy_is_measured_at_even_noise(key: str) -> None:
    process = PROCESSES[key]
    times = times_of_levels(process, LEVELS)
    noise = [float(process.sigma(t)) / float(process.alpha(t)) for t in times]
    least = float(process.sigma(process.t_min)) / float(process.alpha(process.t_min))
    expected = [level for level in LEVELS if level >= least]
    assert noise == pytest.approx(expected[: len(noise)], rel=0.05)
    assert len(times) >= 5
    assert all(isinstance(t, float) for t in times)


def flat_images(count: int) -> tuple[Tensor, Tensor]:
    """Return dark images of class 0 and bright ones of class 1, uint8 N×8×8×1, and their labels."""
    labels = torch.arange(count) % 2
    grey = torch.where(labels == 0, 88, 168).to(torch.uint8)
    return grey.reshape(-1, 1, 1, 1).expand(count, 8, 8, 1).contiguous(), labels


@pytest.mark.parametrize("key", ["linear", "ve", "levels"])
def test_a_classifier_learns_to_see_through_noise(key: str, tmp_path: Path) -> None:
    """Of N(±m, σ²) in 64 pixels the best classifier is right with the probability Φ(8 m/σ)."""
    torch.manual_seed(0)
    process = PROCESSES[key]
    fourier = {"time_embedding": "fourier", "sigma_data": 0.5} if key == "ve" else {}
    spec = UNet.model_validate(
        {"channels": [8, 8], "attention": [False, False], "groups": 4, "layers": 1}
        | {"mid_attention": False, "image_channels": 1, **fourier}
    )
    network = ClassifierModule(spec, 2)
    images, labels = flat_images(64)
    settings = Training(steps=60, batch=16, lr=1e-2, warmup=10, ema=0.9, label_dropout=0)
    data = TrainingSet(images, images, labels, labels)
    trainer = Trainer(network, cross_entropy(process), data, settings, 0, tmp_path)
    trainer.run("classifier")
    network.load_state_dict(trainer.averaged)
    generator, x_0 = torch.Generator().manual_seed(0), images.permute(0, 3, 1, 2) / 127.5 - 1
    with torch.inference_mode():
        right = [
            right_at(network.eval().log_probabilities, process, t, x_0, labels, generator)
            for t in times_of_levels(process, LEVELS)
        ]
    assert right[0].all()
    assert right[-1].double().mean() < 0.85
    assert trainer.progress.losses[-1] < trainer.progress.losses[0]


def test_log_probabilities_add_up_and_are_those_of_the_labels() -> None:
    torch.manual_seed(0)
    network = ClassifierModule(UNet.model_validate(NET | {"image_channels": 1}), 3)
    x, t, labels = torch.randn(4, 1, 8, 8), torch.full((4,), 10.0), torch.tensor([0, 2, 1, 1])
    found = network.log_probabilities(x, t)
    assert torch.allclose(found.exp().sum(1), torch.ones(4))
    assert torch.equal(network(x, t, labels), found[torch.arange(4), labels])


NET = {"kind": "unet", "patch": 2, "channels": [8, 8], "layers": 1, "groups": 4} | {
    "attention": [False, False],
    "mid_attention": False,
}


# runs


def steered_cell(scale: str) -> str:
    return f"DDPM-linear-ddim-4-guide-g{scale}-s0"


@pytest.fixture(scope="module")
def steered(smoke: Config) -> Config:
    """The smallest run, of a network without classes, and a classifier of backgrounds."""
    content = filled_in(smoke)
    content["data"]["tiny"]["label"] = "background"
    content["models"] = {"DDPM": content["models"]["DDPM"]}
    content["networks"]["trunk"] = NET
    content["classifiers"] = {
        "guide": {"data": "tiny", "schedule": "linear", "network": "trunk", "training": "short"}
    }
    entry = {"table": "t", "model": "DDPM", "schedule": "linear", "samples": 8}
    entry |= {"sampler": "ddim", "steps": 4}
    content["grid"] = [entry, entry | {"classifier": "guide", "guidance": [0, 1, 50]}]
    return parse_config(content)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory, steered: Config) -> Run:
    run = Run(tmp_path_factory.mktemp("results") / "steered")
    do("prepare", steered, "tiny", run)
    do("train", steered, "DDPM-linear", run)
    do("classifier", steered, "guide", run)
    for cell in steered.cells:
        do("sample", steered, cell.id, run)
    return run


def test_the_record_of_a_classifier_has_its_accuracy_by_noise(drawn: Run) -> None:
    record = read_record(drawn.record("classifier", "guide"))
    section = record.classified
    assert section is not None
    assert section.classes == ["b6e3f4", "c0aede", "ffd5dc"]
    assert (section.images, section.held_out, section.steps) == (24, 8, 12)
    assert [level.noise for level in section.levels] == pytest.approx(LEVELS, rel=0.05)
    assert all(0 <= level.accuracy.value <= 1 for level in section.levels)
    assert record.curve is not None


def test_the_table_of_classifiers_has_a_row_for_each_level(drawn: Run) -> None:
    records = read_records(drawn.root)
    table = classifiers_table(records)
    assert [row["noise"] for row in table.rows] == pytest.approx(LEVELS, rel=0.05)
    assert {row["classifier"] for row in table.rows} == {"guide"}
    assert all(FORMATS[suffix](table) for suffix in TABLE_FORMATS)
    cells = [row.cell for row in collect(records) if row.cell]
    assert [name_of(cell) for cell in cells] == [
        "DDPM linear ddim 4",
        *(f"DDPM linear ddim 4 w = {scale} by guide" for scale in (0, 1, 50)),
    ]


def test_scale_0_changes_nothing_and_others_do(steered: Config, drawn: Run) -> None:
    plain, none, one, more = (open_array(drawn.samples(cell.id)) for cell in steered.cells)
    assert np.array_equal(plain, none)
    assert not np.array_equal(plain, one)
    assert not np.array_equal(one, more)
    records = [read_record(drawn.record("sample", cell.id)) for cell in steered.cells]
    counts = [record.timing.network_evaluations for record in records if record.timing]
    assert counts == [4, 4, 12, 12]
    assert [record.asked is not None for record in records] == [False, True, True, True]


def test_an_estimate_has_the_classifier_and_its_gradients(
    steered: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmark.tools.network_cost.LEAST_SECONDS", 0.0)
    monkeypatch.setattr("benchmark.tools.estimate.PROBE_SECONDS", 0.0)
    rows = {row.name: row for row in estimate(steered, Run(Path("nowhere")), threads=1).rows}
    assert [rows[cell.id].evaluations for cell in steered.cells] == [4, 4, 12, 12]
    assert rows["guide"].stage == "classifier"
    assert rows["guide"].images == 12 * 8
    network, classifier = rows[steered.cells[0].id].flops, rows["guide"].flops
    assert network
    assert classifier
    found, expected = rows[steered_cell("1")].flops, network + classifier / (12 * 8) * 4 * 8
    assert found == pytest.approx(expected, rel=0.01)


def test_a_sample_is_the_same_whatever_the_batch(steered: Config, drawn: Run) -> None:
    sampling = CellSampling(sample_job(steered, steered_cell("50")), drawn, torch.device("cpu"))
    whole = sampling.draw(range(8), sampling.timesteps)
    part = sampling.draw(range(3, 6), sampling.timesteps)
    assert torch.allclose(part, whole[3:6], atol=1e-4)


def test_only_steered_cells_depend_on_the_classifier(steered: Config) -> None:
    jobs = {cell.id: sample_job(steered, cell.id) for cell in steered.cells}
    found = {name for name, job in jobs.items() if "classifier" in job.spec()}
    assert found == {steered_cell("1"), steered_cell("50")}
    assert steered.guides == ["guide"]
    assert ("classifier", "guide") in expected_records(steered)
    module = "benchmark.models.modules.classifier"
    assert {name for name, job in jobs.items() if module in job.modules()} == found


def test_weights_of_another_classifier_are_refused(steered: Config, drawn: Run) -> None:
    content = filled_in(steered)
    content["training"]["other"] = content["training"]["short"] | {"steps": 13}
    content["classifiers"]["guide"]["training"] = "other"
    job = sample_job(parse_config(content), steered_cell("1"))
    with pytest.raises(BenchmarkError, match="not of this config: train the classifier again"):
        CellSampling(job, drawn, torch.device("cpu"))


# what does not fit


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            [("data.tiny.label", None)],
            "classifiers.guide.data: data.tiny has no labels: choose data that have",
        ),
        (
            [("classifiers.guide.schedule", "cosine")],
            "grid.1.classifier: classifiers.guide has learnt the noise of {'kind': 'cosine'",
        ),
        (
            [("classifiers.guide.network", "dit"), ("networks.dit", {"kind": "dit"})],
            "classifiers.guide.network: networks.dit is a dit, and a classifier is the way down "
            "of a unet: choose one",
        ),
        (
            [("networks.trunk.classes", 3)],
            "classifiers.guide.network: networks.trunk is told the classes that a classifier is "
            "to find: choose a unet without classes",
        ),
        ([("networks.trunk.patch", 32)], "networks.trunk: halves its images too often"),
        (
            [("networks.trunk.time_embedding", "fourier")],
            "networks.trunk.time_embedding: fourier cannot embed the times of the schedule linear",
        ),
        (
            [
                ("training.odd", {"steps": 2, "prediction": "v"}),
                ("classifiers.guide.training", "odd"),
            ],
            "training.odd.prediction: a classifier has no such option: give it a training of its "
            "own",
        ),
        (
            [
                ("training.odd", {"steps": 2, "loss": "sliced-score-matching"}),
                ("classifiers.guide.training", "odd"),
            ],
            "training.odd.loss: a classifier has no such option: give it a training of its own",
        ),
        ([("classifiers.guide.data", "tina")], "classifiers.guide.data: no 'tina'"),
        ([("grid.1.classifier", "guode")], "grid.1.classifier: no 'guode'"),
        (
            [("grid.1.guidance", [])],
            "grid.1.guidance: is missing: factors of the gradient of classifiers.guide",
        ),
        (
            [("networks.net.classes", 3)],
            "grid.1.classifier: models.DDPM is told classes by itself: leave the classifier out, "
            "or choose a network without classes",
        ),
        (
            [("grid.1.task", {"kind": "denoise", "method": "pigdm"})],
            "grid.1.classifier: a task steers by what is given, and not by class: leave one of "
            "them out",
        ),
    ],
)
def test_what_does_not_fit_is_refused_when_the_config_is_read(
    steered: Config, changes: list[tuple[str, Any]], said: str
) -> None:
    assert f"config: {said}" in refusal(steered, *changes)


def test_a_classifier_of_other_data_or_named_as_a_training_is_refused(steered: Config) -> None:
    other = filled_in(steered)["data"]["tiny"]
    said = refusal(steered, ("data.other", other), ("classifiers.guide.data", "other"))
    assert said == (
        "config: grid.1.classifier: classifiers.guide knows the classes of data.other, and "
        "models.DDPM makes images of data.tiny: one of data.tiny would do"
    )
    spec = filled_in(steered)["classifiers"]["guide"]
    said = refusal(steered, ("classifiers.DDPM-linear", spec))
    assert said.startswith("config: classifiers.DDPM-linear: a training of the grid has this name")


def test_one_class_and_images_made_elsewhere_are_refused(steered: Config, tmp_path: Path) -> None:
    said = refusal(steered, ("data.tiny.background", ["b6e3f4"]))
    assert "data.tiny: label: all faces have the same background" in said
    model = {"family": "GAN", "data": "tiny", "images": str(tmp_path)}
    entry = {"table": "t", "model": "GAN", "samples": 8, "classifier": "guide"}
    said = refusal(steered, ("models.GAN", model), ("grid", [entry]))
    assert "grid.0.classifier: models.GAN.images were made elsewhere" in said
