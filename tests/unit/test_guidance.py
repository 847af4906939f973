"""Networks that know classes, and guidance by their scale."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from analytic import ON_PATHS
from diffusers import UNet2DModel
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from stages import do
from torch import Tensor, nn

import benchmark as db
from benchmark.config.building import sample_job
from benchmark.config.config import Config
from benchmark.config.loading import filled_in, parse_config
from benchmark.config.training import Training
from benchmark.core.errors import BenchmarkError
from benchmark.data import load_dataset
from benchmark.data.asked import asked
from benchmark.diffusion.denoiser import Denoiser
from benchmark.diffusion.guidance import Told
from benchmark.diffusion.objective import objective
from benchmark.diffusion.processes.base import Process
from benchmark.diffusion.samplers import SAMPLERS
from benchmark.diffusion.schedules import SCHEDULES
from benchmark.models.checkpoints.diffusers import DiffusersCheckpoint
from benchmark.models.networks import NETWORKS
from benchmark.models.networks.unet import UNet
from benchmark.records.record import read_record, read_records
from benchmark.records.rows import Row, collect
from benchmark.report import style
from benchmark.report.classes_table import classes_table
from benchmark.report.guidance_plot import guidance_plot
from benchmark.stages.sample import CellSampling
from benchmark.stages.trainer import Trainer, TrainingSet
from benchmark.storage.arrays import open_array
from benchmark.storage.paths import Run
from benchmark.tools.estimate import estimate

MEANS = torch.tensor([-0.6, 0.1, 0.8], dtype=torch.float64)  # of the classes
STD = 0.2  # of every class
NONE = 3
TINY: dict[str, dict[str, Any]] = {
    "unet": {"channels": [8, 8], "attention": [False, False], "groups": 4, "layers": 1},
    "dit": {"width": 16, "depth": 1, "heads": 2},
    "unet-2015": {"channels": [4, 8]},
    "refinenet": {"channels": 4, "levels": 3},
}


class Exact:
    """The exact ε of classes N(m_k, STD²), and of their even mixture for the label NONE."""

    def __init__(self, process: Process, variance: bool = False) -> None:
        self.process, self.variance = process, variance
        self.sizes: list[int] = []

    def __call__(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        self.sizes.append(len(x))
        alpha, sigma = (float(f(float(t[0]))) for f in (self.process.alpha, self.process.sigma))
        total = (alpha * STD) ** 2 + sigma**2
        gaps = x[..., None] - alpha * MEANS  # (B, C, H, W, K)
        chance = (-(gaps**2) / (2 * total)).softmax(-1)
        of_none = sigma * (chance * gaps).sum(-1) / total
        gap = gaps.gather(-1, labels.clamp(max=2).reshape(-1, 1, 1, 1, 1).expand(*x.shape, 1))
        told = sigma * gap[..., 0] / total
        eps = torch.where((labels == NONE).reshape(-1, 1, 1, 1), of_none, told)
        return torch.cat([eps, labels.reshape(-1, 1, 1, 1) + 0 * x], 1) if self.variance else eps


def noises(seed: int, shape: tuple[int, ...] = (6, 1, 2, 2)) -> Callable[[], Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(shape, generator=generator, dtype=torch.float64)


LABELS = torch.tensor([0, 1, 2, 0, 1, 2])
LINEAR = SCHEDULES.make("linear").process()


# the wrapper


def test_guidance_is_the_sum_of_both_scores_in_one_batch_of_twice_the_size() -> None:
    network, x, t = Exact(LINEAR), noises(0)(), torch.full((6,), 300.0, dtype=torch.float64)
    told, untold = network(x, t, LABELS), network(x, t, torch.full((6,), NONE))
    network.sizes.clear()
    guided = Told(network, LABELS, 2.5, NONE)
    assert torch.allclose(guided(x, t), untold + 2.5 * (told - untold), atol=1e-12)
    assert network.sizes == [12]
    assert guided.passes == 2


@pytest.mark.parametrize(("scale", "labels"), [(1, LABELS), (0, torch.full((6,), NONE))])
def test_scales_1_and_0_are_the_network_itself(scale: float, labels: Tensor) -> None:
    network, x, t = Exact(LINEAR), noises(0)(), torch.full((6,), 300.0, dtype=torch.float64)
    guided = Told(network, LABELS, scale, NONE)
    assert torch.equal(guided(x, t), network(x, t, labels))
    assert guided.passes == 1
    assert network.sizes == [6, 6]


def test_another_scale_needs_a_network_that_knows_no_class() -> None:
    assert Told(Exact(LINEAR), LABELS).passes == 1
    with pytest.raises(ValueError, match="learnt of no class"):
        Told(Exact(LINEAR), LABELS, 2.0)


def test_a_predicted_variance_stays_that_of_the_class() -> None:
    network, x, t = Exact(LINEAR, variance=True), noises(0)(), torch.full((6,), 300.0)
    found = Told(network, LABELS, 3.0, NONE)(x, t.double())
    assert torch.equal(found[:, 1, 0, 0], LABELS.double())
    assert torch.allclose(found[:, :1], Told(Exact(LINEAR), LABELS, 3.0, NONE)(x, t.double()))


@pytest.mark.parametrize("prediction", ["eps", "x0", "v", "score", "velocity", "edm"])
def test_it_is_the_same_whatever_the_network_predicts(prediction: str) -> None:
    x, t = noises(1)(), 400.0
    alpha, sigma = float(LINEAR.alpha(t)), float(LINEAR.sigma(t))

    def network(x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        eps = Exact(LINEAR)(x, t, labels)
        x0 = (x - sigma * eps) / alpha
        total = sigma**2 + (LINEAR.sigma_data * alpha) ** 2
        image = LINEAR.sigma_data**2 * alpha / total * x
        return {
            "eps": eps,
            "x0": x0,
            "v": alpha * eps - sigma * x0,
            "score": -eps / sigma,
            "velocity": eps - x0,
            "edm": (x0 - image) / (sigma * LINEAR.sigma_data / total**0.5),
        }[prediction]

    guided = Denoiser(Told(network, LABELS, 1.7, NONE), LINEAR, prediction)(x, t)  # type: ignore[arg-type]
    expected = Denoiser(Told(Exact(LINEAR), LABELS, 1.7, NONE), LINEAR, "eps")(x, t)
    assert torch.allclose(guided.eps, expected.eps, atol=1e-9)
    assert torch.allclose(guided.x0, expected.x0, atol=1e-9)


def process_of(sampler: str) -> Process:
    known = [SCHEDULES.make(name).process() for name in ("linear", "vp", "ve", "geometric", "edm")]
    return next(p for p in known if SAMPLERS.get(sampler).is_defined_for(p))


@pytest.mark.parametrize("name", ON_PATHS)
def test_every_sampler_can_be_guided_and_counts_both_passes(name: str) -> None:
    process, sampler = process_of(name), SAMPLERS.make(name)
    times = sampler.plan(process, 10)

    def drawn(scale: float) -> tuple[Tensor, int]:
        noise, network = noises(2), Exact(process)
        network.process = _by_time(process)
        model = Denoiser(Told(network, LABELS, scale, NONE), process, "eps")
        x = sampler.sample(model, process, process.prior(noise()), times, noise)
        return x, model.evaluations

    once, calls = drawn(1.0)
    means = once.mean((1, 2, 3))
    assert (means[:1] < means[1:2]).all()  # each image is of its own class
    assert calls > 0
    more, both = drawn(3.0)
    assert not torch.equal(more, once)
    if not sampler.adaptive:
        assert both == 2 * calls


def _by_time(process: Process) -> Any:
    """Return a process whose α and σ are asked by what a network is told instead of the time."""
    times = np.linspace(process.t_min, process.t_max, 4001)
    told = np.array([float(process.condition(t)) for t in times])
    order = np.argsort(told)

    class ByCondition:
        def alpha(self, c: float) -> float:
            return float(process.alpha(np.interp(c, told[order], times[order])))

        def sigma(self, c: float) -> float:
            return float(process.sigma(np.interp(c, told[order], times[order])))

    return ByCondition()


@pytest.mark.parametrize("name", ["ddim", "dpm-solver++", "heun", "ddpm"])
def test_told_classes_are_the_classes_that_are_drawn(name: str) -> None:
    """With the exact network at scale 1, what is drawn of class k is N(m_k, STD²)."""
    sampler, noise = SAMPLERS.make(name), noises(3, (3, 1, 40, 50))
    model = Denoiser(Told(Exact(LINEAR), torch.arange(3), 1.0, NONE), LINEAR, "eps")
    x = sampler.sample(model, LINEAR, noise(), sampler.plan(LINEAR, 100), noise)
    assert torch.allclose(x.mean((1, 2, 3)), MEANS, atol=0.02)
    assert torch.allclose(x.std((1, 2, 3)), torch.tensor(STD, dtype=torch.float64), atol=0.03)


# networks


@pytest.mark.parametrize("kind", TINY)
def test_a_network_without_classes_is_what_it_was(kind: str) -> None:
    plain = NETWORKS.make(kind, **TINY[kind])
    assert "classes" not in plain.model_dump(mode="json")
    known = NETWORKS.make(kind, **TINY[kind], classes=3)
    assert known.model_dump(mode="json") == plain.model_dump(mode="json") | {"classes": 3}
    torch.manual_seed(0)
    before = plain.build(8).state_dict()
    torch.manual_seed(0)
    after = known.build(8).state_dict()
    if kind != "refinenet":  # whose classes are part of its normalisations
        assert all(torch.equal(after[name], value) for name, value in before.items())
        assert after.keys() - before.keys() == {"class_embedding.weight"}


@pytest.mark.parametrize("kind", TINY)
def test_a_network_tells_classes_apart_and_takes_none_for_the_last(kind: str) -> None:
    torch.manual_seed(0)
    network = NETWORKS.make(kind, **TINY[kind], classes=3).build(8)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    x, t = torch.randn(4, 3, 8, 8), torch.ones(4)
    with torch.inference_mode():
        found = [network(x, t, torch.full((4,), label)) for label in range(4)]
        none = network(x, t)
        mixed = network(x, t, torch.arange(4))
    assert torch.equal(none, found[3])
    for a in range(4):
        assert torch.allclose(mixed[a], found[a][a], atol=1e-4)
        assert all((found[a] - found[b]).abs().max() > 1e-4 for b in range(a))


def test_ours_is_diffusers_network_of_classes() -> None:
    spec = UNet.model_validate(TINY["unet"] | {"classes": 4, "mid_attention": False})
    theirs = UNet2DModel(
        sample_size=8,
        block_out_channels=(8, 8),
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        norm_num_groups=4,
        norm_eps=1e-6,
        freq_shift=1,
        flip_sin_to_cos=False,
        downsample_padding=0,
        add_attention=False,
        num_class_embeds=5,
    )
    ours = spec.build(8)
    ours.load_state_dict(theirs.state_dict())
    x, t, labels = (
        torch.randn(3, 3, 8, 8),
        torch.tensor([1.0, 50.0, 999.0]),
        torch.tensor([0, 4, 2]),
    )
    with torch.inference_mode():
        expected = theirs(x, t, class_labels=labels).sample
        assert torch.allclose(ours(x, t, labels), expected, atol=1e-5)


# training


def flat_images(count: int) -> tuple[Tensor, Tensor]:
    """Return dark images of class 0 and bright ones of class 1, uint8 N×8×8×1, and their labels."""
    labels = torch.arange(count) % 2
    grey = torch.where(labels == 0, 40, 215).to(torch.uint8)
    return grey.reshape(-1, 1, 1, 1).expand(count, 8, 8, 1).contiguous(), labels


def test_labels_are_dropped_as_often_as_is_asked_and_by_the_step_alone(tmp_path: Path) -> None:
    images, labels = flat_images(1000)
    seen: list[Tensor] = []

    class Remembers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(()))

        def forward(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
            seen.append(labels)
            return self.weight * x

    data = TrainingSet(images, labels=labels, none=2)
    settings = Training(steps=1, batch=1000, label_dropout=0.25)
    trainer = Trainer(Remembers(), objective(LINEAR), data, settings, 0, tmp_path)
    for step in (0, 0, 1):
        trainer.step(step)
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], seen[2])
    share = (seen[0] == 2).double().mean()
    assert abs(share - 0.25) < 4 * (0.25 * 0.75 / 1000) ** 0.5
    order = trainer._batch(0)
    kept = seen[0] != 2
    assert torch.equal(seen[0][kept], labels[order][kept])


def test_a_network_learns_what_a_class_is(tmp_path: Path) -> None:
    torch.manual_seed(0)
    options = {**TINY["unet"], "classes": 2, "image_channels": 1, "output_gates": True}
    network = UNet.model_validate(options).build(8)
    images, labels = flat_images(64)
    settings = Training(steps=150, batch=32, lr=1e-2, warmup=10, ema=0.9, save_seconds=1e9)
    data = TrainingSet(images, images, labels, labels, none=2)
    trainer = Trainer(network, objective(LINEAR), data, settings, 0, tmp_path)
    trainer.run("classes")
    network.load_state_dict(trainer.averaged)
    told, none = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1]), 2
    sampler, noise = SAMPLERS.make("ddim"), noises(0, (8, 1, 8, 8))
    for scale in (1.0, 2.0):
        model = Denoiser(Told(network.eval(), told, scale, none), LINEAR, "eps", clip=True)
        with torch.inference_mode():
            x_T = noise().float()
            x = sampler.sample(model, LINEAR, x_T, sampler.plan(LINEAR, 20), noise)
        assert (x[:4].mean((1, 2, 3)) < 0).all()
        assert (x[4:].mean((1, 2, 3)) > 0).all()


# which classes are asked for


@given(st.lists(st.integers(0, 50), min_size=2, max_size=8).filter(any))
def test_classes_are_asked_for_as_often_as_the_training_set_has_them(counts: list[int]) -> None:
    total = sum(counts)
    labels = asked(counts, 2 * total)
    assert np.bincount(labels, minlength=len(counts)).tolist() == [2 * count for count in counts]
    share = np.array(counts) / total
    seen = np.cumsum(labels[:, None] == np.arange(len(counts)), axis=0)
    due = np.arange(1, 2 * total + 1)[:, None] * share
    assert np.abs(seen - due).max() < len(counts) - 1 + 1e-9


def test_even_classes_are_asked_for_in_turns() -> None:
    assert asked([5, 5, 5], 7).tolist() == [0, 1, 2, 0, 1, 2, 0]


# runs


@pytest.fixture(scope="module")
def told(smoke: Config) -> Config:
    """The smallest run, of a network that knows the colours of the backgrounds."""
    content = filled_in(smoke)
    content["data"]["tiny"]["label"] = "background"
    content["networks"]["net"]["classes"] = 3
    content["models"] = {"DDPM": content["models"]["DDPM"]}
    entry = {"table": "t", "model": "DDPM", "schedule": "linear", "samples": 8}
    content["grid"] = [
        entry | {"sampler": "ddim", "steps": 4},
        entry | {"sampler": "ddim", "steps": 4, "guidance": [0, 1, 2.5]},
    ]
    return parse_config(content)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory, told: Config) -> Run:
    run = Run(tmp_path_factory.mktemp("results") / "told")
    do("prepare", told, "tiny", run)
    do("train", told, "DDPM-linear", run)
    for cell in told.cells:
        do("sample", told, cell.id, run)
    return run


CELL = "DDPM-linear-ddim-4-s0"


def test_cells_are_named_after_their_scale(told: Config) -> None:
    names = [cell.id for cell in told.cells]
    scales = [f"DDPM-linear-ddim-4-g{scale}-s0" for scale in ("0", "1", "2.5")]
    assert names == [CELL, *scales]
    assert "guidance" not in sample_job(told, CELL).spec()
    assert sample_job(told, scales[2]).spec()["guidance"] == 2.5


def test_all_cells_are_asked_for_the_same_classes(told: Config, drawn: Run) -> None:
    data = load_dataset(drawn.data("tiny"))
    assert data.manifest.labels is not None
    expected = asked(data.manifest.labels.train, 8).tolist()
    for cell in told.cells:
        section = read_record(drawn.record("sample", cell.id)).asked
        assert section is not None
        assert section.classes == ["b6e3f4", "c0aede", "ffd5dc"]
        assert section.labels == expected


def test_scale_1_changes_nothing_and_others_do(told: Config, drawn: Run) -> None:
    plain, none, one, more = (open_array(drawn.samples(cell.id)) for cell in told.cells)
    assert np.array_equal(plain, one)
    assert not np.array_equal(plain, none)
    assert not np.array_equal(plain, more)
    counts = [
        read_record(drawn.record("sample", cell.id)).timing.network_evaluations  # type: ignore[union-attr]
        for cell in told.cells
    ]
    assert counts == [4, 4, 4, 8]


def test_an_estimate_counts_both_passes(told: Config) -> None:
    rows = estimate(told, Run(Path("nowhere")), threads=1).rows
    counts = {row.name: row.evaluations for row in rows if row.stage == "sample"}
    assert [counts[cell.id] for cell in told.cells] == [4, 4, 4, 8]


def test_the_judge_s_accuracy_and_distances_by_class_are_in_record_and_table(
    told: Config, drawn: Run
) -> None:
    for name in ("tiny", told.cells[0].id, told.cells[3].id):
        do("features", told, name, drawn)
    for name in (told.cells[0].id, told.cells[3].id, "held-out-tiny"):
        [record] = do("evaluate", told, name, drawn)
        assert record.by_class is not None
        assert sum(figures.images for figures in record.by_class.values()) == 8
        assert all(0 <= figures.accuracy.value <= 1 for figures in record.by_class.values())
    table = classes_table(collect(read_records(drawn.root)))
    heads = [column.key for column in table.shown]
    assert [*heads[-4:]] == ["class", "images", "accuracy", "distance"]
    whole = [row for row in table.rows if row["class"] == "all"]
    assert [row.get("guidance") for row in whole] == [None, 2.5, None]
    assert len(table.rows) == 3 * 4
    with style.applied():
        figure = guidance_plot(collect(read_records(drawn.root)))
    assert figure is not None
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "FD-EffNetLite0 of 8 images",
        "accuracy",
    ]
    assert any(list(line.get_xdata()) == [2.5] for line in figure.axes[1].get_lines())
    assert guidance_plot([Row(dataset="tiny")]) is None


def test_a_guided_sample_is_the_same_whatever_the_batch(told: Config, drawn: Run) -> None:
    job = sample_job(told, told.cells[3].id)
    sampling = CellSampling(job, drawn, torch.device("cpu"))
    whole = sampling.draw(range(8), sampling.timesteps)
    part = sampling.draw(range(3, 6), sampling.timesteps)
    assert torch.allclose(part, whole[3:6], atol=1e-4)


def test_shards_are_asked_for_the_classes_of_the_whole(told: Config, drawn: Run) -> None:
    content = filled_in(told)
    content["sampling_batch"] = 4
    content["grid"] = [content["grid"][1] | {"guidance": 2.5, "shard": 4}]
    config = parse_config(content)
    [cell] = config.cells
    before = open_array(drawn.samples(cell.id)).copy()
    for shard in ("0-4", "4-8"):
        do("sample", config, cell.id, drawn, shard=shard)
    record = do("merge_samples", config, cell.id, drawn)
    assert record.asked == read_record(drawn.record("sample", CELL)).asked
    difference = np.abs(open_array(drawn.samples(cell.id)).astype(int) - before)
    assert difference.max() <= 1


# what does not fit


def refusal(config: Config, *changes: tuple[str, Any]) -> str:
    content = filled_in(config)
    for key, value in changes:
        *path, last = key.split(".")
        place: Any = content
        for part in path:
            place = place[int(part) if isinstance(place, list) else part]
        place[last] = value
    with pytest.raises(BenchmarkError) as caught:
        parse_config(content)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_classes_that_the_data_do_not_have_are_refused(told: Config) -> None:
    assert refusal(told, ("networks.net.classes", 4)) == (
        "config: networks.net.classes: data.tiny has 3 classes: 3 would be right, not 4"
    )
    assert refusal(told, ("data.tiny.label", None)) == (
        "config: networks.net.classes: data.tiny has no labels: choose data that have, or leave "
        "the classes out"
    )


def test_guidance_of_a_network_that_cannot_follow_is_refused(told: Config) -> None:
    assert refusal(told, ("networks.net.classes", None)) == (
        "config: grid.1.guidance: networks.net is told no classes: leave it out, or give the "
        "network some"
    )
    assert refusal(told, ("training.short.label_dropout", 0)) == (
        "config: grid.1.guidance: networks.net has not learnt to do without a class: "
        "training.short.label_dropout above 0 would do"
    )
    assert "grid.1.guidance.0: " in refusal(told, ("grid.1.guidance", [-1]))
    zoo = {"family": "DDIM", "data": "tiny", "weights": {"kind": "zoo", "name": "avatars-ddpm"}}
    said = refusal(told, ("models.DDPM", zoo), ("data.tiny.resolution", 32))
    assert "grid.1.guidance: models.DDPM.weights is told no classes" in said


def test_guidance_of_images_made_elsewhere_is_refused(told: Config, tmp_path: Path) -> None:
    model = {"family": "GAN", "data": "tiny", "images": str(tmp_path)}
    entry = {"table": "t", "model": "DDPM", "samples": 8, "guidance": 2}
    said = refusal(told, ("models.DDPM", model), ("grid", [entry]))
    assert "grid.0.guidance: models.DDPM.images were made elsewhere" in said


# checkpoints of diffusers


def pipeline(folder: Path, classes: int | None, **settings: Any) -> dict[str, Any]:
    """Write a small pipeline of diffusers, and return its model in a config."""
    unet = UNet2DModel(
        sample_size=16,
        block_out_channels=(8, 8),
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        norm_num_groups=4,
        num_class_embeds=classes,
        **settings,
    )
    unet.save_pretrained(folder / "unet")
    (folder / "scheduler").mkdir()
    scheduler = {"_class_name": "DDPMScheduler", "_diffusers_version": "0.38.0"}
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    weights = {"kind": "diffusers", "source": str(folder)}
    return {"family": "DDIM", "data": "tiny", "weights": weights}


@pytest.mark.parametrize("dropout", [0.0, 0.1])  # 0.1 needs diffusers' own network
def test_a_pipeline_with_classes_is_sampled_on_data_with_labels(
    told: Config, drawn: Run, tmp_path: Path, dropout: float
) -> None:
    content = filled_in(told)
    content["models"] = {"P": pipeline(tmp_path / "p", 4, dropout=dropout)}
    content["grid"] = [content["grid"][0] | {"model": ["P"], "guidance": [1, 2]}]
    config = parse_config(content)
    for cell in config.cells:
        sampling = CellSampling(sample_job(config, cell.id), drawn, torch.device("cpu"))
        assert sampling.none == 3
        assert sampling.draw(range(3), sampling.timesteps).isfinite().all()
    sampling.model.network = sampling.network  # without classes
    assert len(list(DiffusersCheckpoint(source=str(tmp_path / "p")).local_files()[1])) == 3


def test_single_images_of_a_pipeline_are_of_the_classes_that_are_asked_for(tmp_path: Path) -> None:
    pipeline(tmp_path / "p", 3)
    draw = partial(db.sample, tmp_path / "p", sampler="ddim", steps=2, n=4, device="cpu")
    mixed, alike = draw(labels=[0, 2, 1, 0]), draw(labels=[0, 0, 0, 0])
    assert [(a == b).all() for a, b in zip(mixed, alike, strict=True)] == [True, False, False, True]
    with pytest.raises(BenchmarkError, match=r"labels: .* knows 3: give 4"):
        draw()
    for wrong in ([0, 1], [0, 1, 2, 3], [0, 0, 0, -1]):
        with pytest.raises(BenchmarkError, match="labels: 4 numbers from 0 to 2 would be right"):
            draw(labels=wrong)


def test_a_pipeline_of_other_classes_is_refused(told: Config, tmp_path: Path) -> None:
    model = pipeline(tmp_path / "p", 3)
    entry = filled_in(told)["grid"][0] | {"model": ["P"]}
    base = (("models", {"P": model}), ("grid", [entry]))
    assert refusal(told, *base, ("data.tiny.label", None)) == (
        "config: models.P.weights: the network wants a class, and data.tiny has no labels: "
        "labelled data, or an unconditional network would do"
    )
    assert refusal(told, *base, ("data.tiny.label", "eyes")) == (
        "config: models.P.weights: the network has learnt 3 classes, and data.tiny has 5: as many, "
        "or one more for no class, would be right"
    )
    said = refusal(told, *base[:1], ("grid", [entry | {"guidance": 2}]))
    assert "models.P.weights has not learnt to do without a class" in said


def test_a_pipeline_that_is_told_classes_otherwise_is_refused(told: Config, tmp_path: Path) -> None:
    model = pipeline(tmp_path / "p", None, class_embed_type="timestep")
    entry = filled_in(told)["grid"][0] | {"model": ["P"]}
    said = refusal(told, ("models", {"P": model}), ("grid", [entry]))
    assert "class_embed_type is 'timestep': null would be right" in said


def test_pictures_of_told_cells_are_drawn(drawn: Run) -> None:
    with Image.open(drawn.grid(CELL)) as picture:
        assert picture.size[0] > 64
