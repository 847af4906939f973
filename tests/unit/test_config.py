"""A wrong config is one line that names the key and the nearest right name."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file

from benchmark.config.config import Config
from benchmark.config.loading import check_writable, load_config, parse_config, resolved
from benchmark.core.errors import BenchmarkError

SMOKE = Path(__file__).parents[1] / "workflow" / "smoke.yaml"


@pytest.fixture
def smoke() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(SMOKE.read_text())
    return copy.deepcopy(content)


def set_key(content: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    at: Any = content
    for part in parents:
        at = at[int(part)] if isinstance(at, list) else at[part]
    at[int(last) if isinstance(at, list) else last] = value


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("devise", "cpu", "unknown key 'devise': did you mean 'device'"),
        ("device", "gpu", "device: "),
        ("models.DDPM.trainig", "short", "models.DDPM: unknown key 'trainig': did you mean 'training'"),  # noqa: E501
        ("models.DDPM.network", "nets", "models.DDPM.network: no 'nets': did you mean 'net'"),
        ("training.short.lr", "fast", "training.short.lr: "),
        ("training.short.epochs", 3, "training.short: give either steps or epochs"),
        ("grid.0.schedule", ["linaer"], "grid.0.schedule: no 'linaer': did you mean 'linear'"),
        ("grid.0.sampler", "ddqm", "grid.0.sampler: no 'ddqm': did you mean 'ddpm'"),
        ("grid.0.steps", 0, "grid.0.steps: Input should be greater than or equal to 1"),
        ("grid.0.steps", 1001, "grid.0.steps: 1001 are more than the 1000"),
        ("grid.0.model", "DPM", "grid.0.model: no 'DPM': did you mean 'DDPM'"),
        ("grid.1", {"table": "trained", "model": "DDPM", "schedule": "linear", "sampler": "ddpm",
                    "steps": 10, "samples": 4}, "DDPM-linear-ddpm-10-s0 is named twice"),
        ("data.tiny.source", "avatar", "no source 'avatar': did you mean 'avatars'"),
        ("data.tiny.resolutoin", 16, "unknown key 'resolutoin': did you mean 'resolution'"),
        ("samplers", {"ddim": {"kind": "ddim", "etta": 0}}, "key 'etta': did you mean 'eta'"),
        ("samplers", {"ddim": {"kind": "ddim", "eta": -1}}, "samplers.ddim.eta: "),
        ("samplers", {"ddim": {"kind": "dim"}}, "no kind 'dim': did you mean"),
        ("evaluation.neighbours", 25, "25 neighbours cannot be found among the 24 training images"),
        ("evaluation.extractor", "inception", "evaluation.extractor: no 'inception'"),
        ("evaluation.metrics", {"fd": {"kind": "frechett"}}, "did you mean 'frechet'"),
        ("run", "../elsewhere", "run: "),
        ("evaluation.metrics", {"kid": {"kind": "kernel"}}, "exactly one of kind frechet"),
        ("evaluation.metrics.steps", {"kind": "kernel"}, "every table has a column steps"),
        ("data.held-out-tiny", {"source": "avatars", "resolution": 16, "train": 9, "held_out": 9},
         "data.held-out-tiny: this is the name of a control: rename it"),
        ("data.controls-tiny", {"source": "avatars", "resolution": 16, "train": 9, "held_out": 9},
         "data.controls-tiny: this is the name of a control: rename it"),
        ("data.DDPM-linear-ddpm-10-s0", {"source": "avatars", "resolution": 16, "train": 9,
                                         "held_out": 9}, "has the name of a data set or a control"),
        ("evaluation.controls", ["noise", "blurr"], "no 'blurr': did you mean 'blur'"),
        ("evaluation.controls", ["noise", "noise"], "controls: one is named twice"),
        ("evaluation.sizes", [9], "evaluation.sizes: no cell has more than 8 samples"),
        ("evaluation.sizes", [2], "evaluation.sizes.0: "),
        ("evaluation.sizes", [4, 4], "evaluation: sizes: one is named twice"),
        ("evaluation.metrics.floor", {"kind": "kernel"}, "every table has a column floor"),
        ("data.tiny.held_out", 2, "data.tiny.held_out: a distance needs at least 3 images"),
        ("data.tiny.resolution", 18, "models.DDPM.network: halves its images too often"),
        ("networks.net.image_channels", 1, "models.DDPM.network: images have 3 channels"),
        ("training.short.betas", [1.5, 0.9], "training.short.betas.0: "),
        ("training.short.lr", float("inf"), "training.short.lr: "),
        ("training.short.batch", True, "batch: a number is needed, not True"),
        ("training.short.steps", "12", "steps: a number is needed, not '12'"),
        ("share_training", "1", "share_training: true or false is needed, not '1'"),
        ("grid.0.samples", 2, "grid.0.samples: "),
        ("run", ".cache", "run: "),
        ("models.DDPM.weights", {"kind": "zoo", "name": "x"}, "models.DDPM: give either network"),
        ("models.DDPM.training", None, "models.DDPM: give either network and training, or weights"),
        ("models.DDPM", {"family": "DDPM", "data": "tiny"}, "models.DDPM: give either network"),
        ("models.DDPM", {"family": "DDPM", "data": "tiny", "weights": {"kind": "diffuser"}},
         "models.DDPM.weights: no kind 'diffuser': did you mean 'diffusers'"),
        ("models.DDPM", {"family": "GAN", "data": "tiny", "images": "a", "weights": {"kind": "zoo",
         "name": "avatars-ddpm"}}, "models.DDPM: give either network and training, or weights, or"),
        ("models.DDPM", {"family": "GAN", "data": "tiny", "images": "a"},
         "grid.0.schedule: models.DDPM.images were made elsewhere: leave it out"),
        ("models.DDPM", {"family": "GAN", "data": "tiny", "images": "a", "clip": True},
         "models.DDPM: clip: images made elsewhere are not sampled"),
        ("grid.0", {"table": "t", "model": "DDPM", "schedule": "linear", "sampler": "ddpm",
                    "samples": 4}, "steps: is missing: only models with images go without (every"),
        ("evaluation.metrics.is", {"kind": "inception-score"},
         "metrics.is: extractor efficientnet-lite0 has no class probabilities"),
        ("networks.net", {"kind": "refinenet"}, "a refinenet of 10 levels cannot learn the"),
        ("networks.net.time_embedding", "fourier", "networks.net.time_embedding: fourier cannot"),
        ("grid.0.schedule", "ve", "networks.net.time_embedding: positional cannot embed the times"),
        ("training.short.anneal_power", 2, "training.short.anneal_power: only geometric schedules"),
        ("training.short.loss", "sliced-score-machting",
         "training.short: loss: no 'sliced-score-machting': did you mean 'sliced-score-matching'"),
        ("training.short.loss", "edm", "training.short.loss: edm is not defined for linear, a "
         "vp-discrete process: it is for edm schedules alone"),
        ("training.short.likelihood_weighting", True, "likelihood_weighting: only SDEs have it"),
        ("training.short.min_snr_gamma", 3, "short.min_snr_gamma: is of the weight min-snr"),
        ("schedules", {"ve": {"kind": "ve", "sigma_min": 5, "sigma_max": 1}},
         "schedules.ve: schedule: sigma_min = 5.0 and sigma_max = 1.0 make no schedule"),
        ("grid.0", {"table": "t", "model": "DDPM", "schedule": "linear", "steps": 10, "samples": 4,
                    "sampler": "annealed-langevin"}, "grid.0.sampler: annealed-langevin"),
    ],
)  # fmt: skip
def test_a_wrong_key_is_named_with_what_would_be_right(
    smoke: dict[str, Any], path: str, value: Any, expected: str
) -> None:
    set_key(smoke, path, value)
    with pytest.raises(BenchmarkError) as caught:
        parse_config(smoke, "some.yaml")
    message = str(caught.value)
    assert message.startswith("some.yaml: ")
    assert expected in message
    assert "\n" not in message


def test_an_option_of_a_sampler_is_named_where_it_is_stated(smoke: dict[str, Any]) -> None:
    smoke["samplers"] = {"ddpm": {"kind": "ddpm", "spacing": "karras"}}
    smoke["schedules"] = {"linear": {"kind": "linear", "zero_terminal_snr": True}}
    smoke["training"]["short"]["prediction"] = "v"
    with pytest.raises(BenchmarkError, match=r"some.yaml: samplers\.ddpm\.spacing: karras "):
        parse_config(smoke, "some.yaml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- a", "a config is a mapping"),
        ("a: [", "not YAML"),
        ("!!python/object:os.x {}", "not YAML"),
    ],
)
def test_a_file_that_is_no_config_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(BenchmarkError, match=expected):
        load_config(file)


def test_a_missing_config_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"none\.yaml: cannot be read"):
        load_config(tmp_path / "none.yaml")


def test_the_resolved_config_resolves_to_itself(smoke: dict[str, Any]) -> None:
    config = parse_config(smoke)
    assert resolved(parse_config(json.loads(resolved(config)))) == resolved(config)


@pytest.mark.parametrize("name", ["unipc", "deis", "ipndm"])
def test_an_order_that_few_steps_lower_is_not_stated_in_the_resolved_config(
    smoke: dict[str, Any], name: str
) -> None:
    smoke["samplers"] = {"mine": {"kind": name, "spacing": "trailing"}}
    smoke["grid"] = [smoke["grid"][1] | {"sampler": "mine", "steps": 1}]
    config = parse_config(smoke)
    again = parse_config(json.loads(resolved(config)))
    assert again == config
    assert resolved(again) == resolved(config)


def test_every_pair_is_trained_by_itself_unless_sharing_is_asked_for(smoke: dict[str, Any]) -> None:
    assert set(parse_config(smoke).trainings) == {
        "DDPM-linear", "DDPM-cosine", "DDIM-linear", "DDIM-cosine",
    }  # fmt: skip
    shared = parse_config({**smoke, "share_training": True})
    assert set(shared.trainings) == {"DDIM+DDPM-linear", "DDIM+DDPM-cosine"}


def test_two_trainings_of_one_name_are_refused(smoke: dict[str, Any]) -> None:
    smoke["models"]["DDPM-scaled"] = smoke["models"]["DDPM"]
    entry = {"table": "trained", "steps": 10, "samples": 4}
    smoke["grid"] = [
        {**entry, "model": "DDPM", "schedule": "scaled-linear", "sampler": "ddpm"},
        {**entry, "model": "DDPM-scaled", "schedule": "linear", "sampler": "ddim"},
    ]
    with pytest.raises(BenchmarkError, match="both called DDPM-scaled-linear: rename a model"):
        parse_config(smoke)


def test_text_that_yaml_does_not_read_as_a_number_may_be_one(smoke: dict[str, Any]) -> None:
    smoke["training"]["short"]["lr"] = "3e-3"
    assert parse_config(smoke).training["short"].lr == 0.003


def test_models_with_different_networks_do_not_share_a_training(smoke: dict[str, Any]) -> None:
    smoke["networks"]["other"] = {**smoke["networks"]["net"], "layers": 2}
    smoke["models"]["DDIM"]["network"] = "other"
    assert len(parse_config({**smoke, "share_training": True}).trainings) == 4


def changed(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda content: set_key(content, key, value)


@pytest.mark.parametrize(
    ("key", "value", "retrains", "resamples"),
    [
        ("training.short.lr", 0.5, True, True),
        ("data.tiny.seed", 4, True, True),
        ("training.short.save_seconds", 9, False, False),
        ("device", "auto", False, False),
        ("samplers", {"ddpm": {"kind": "ddpm", "spacing": "trailing"}}, False, True),
        ("evaluation.neighbours", 2, False, False),
    ],
)
def test_a_spec_holds_what_its_stage_depends_on_and_no_more(
    smoke: dict[str, Any], key: str, value: Any, retrains: bool, resamples: bool
) -> None:
    before = parse_config(smoke)
    set_key(smoke, key, value)
    after = parse_config(smoke)
    cell = "DDPM-linear-ddpm-10-s0"
    for rule, name, changes in (("train", "DDPM-linear", retrains), ("sample", cell, resamples)):
        assert (before.job(rule, name).spec() != after.job(rule, name).spec()) == changes


def test_a_results_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("")
    with pytest.raises(BenchmarkError, match="results is not a writable folder"):
        check_writable(tmp_path / "results" / "run")


def test_an_unknown_cell_is_answered_with_the_nearest(smoke: dict[str, Any]) -> None:
    with pytest.raises(BenchmarkError, match="did you mean 'DDPM-linear-ddpm-10-s0'"):
        parse_config(smoke).cell("DDPM-linear-ddpm-10")


def test_controls_need_twice_as_many_training_images(smoke: dict[str, Any]) -> None:
    smoke["data"]["tiny"]["train"] = 5
    with pytest.raises(BenchmarkError, match=r"data\.tiny has too few training images: at least 6"):
        parse_config(smoke)
    smoke["evaluation"]["controls"] = []
    assert set(parse_config(smoke).subjects) == {cell.id for cell in parse_config(smoke).cells} | {
        "held-out-tiny"
    }


def test_controls_have_the_size_of_the_largest_cell_where_that_is_possible(
    smoke: dict[str, Any],
) -> None:
    def count(samples: int, held_out: int, train: int) -> int:
        smoke["grid"][1]["samples"] = samples
        smoke["data"]["tiny"] |= {"held_out": held_out, "train": train}
        return parse_config(smoke).control_count("tiny")

    assert count(samples=20, held_out=50, train=50) == 20
    assert count(samples=20, held_out=12, train=50) == 12
    assert count(samples=20, held_out=50, train=30) == 15


def test_held_out_images_are_measured_at_the_size_of_every_subject(smoke: dict[str, Any]) -> None:
    smoke["grid"][1]["samples"] = 7
    smoke["evaluation"]["sizes"] = [4]
    config = parse_config(smoke)
    sizes = {name: config.sizes(subject) for name, subject in config.subjects.items()}
    assert sizes["held-out-tiny"] == [4, 7]  # the 8 of the other cells are all there are
    assert sizes["DDIM-linear-ddim-5-s0"] == sizes["blur-tiny"] == [4]


def ready(content: dict[str, Any]) -> dict[str, Any]:
    """The same config, where DDPM has weights of its own kind."""
    content["models"]["DDPM"] = {
        "family": "DDPM",
        "data": "tiny",
        "weights": {"kind": "diffusers", "source": "some/where"},
    }
    return content


def test_a_model_with_ready_weights_is_not_trained(smoke: dict[str, Any]) -> None:
    config = parse_config(ready(smoke))
    assert set(config.trainings) == {"DDIM-linear", "DDIM-cosine"}
    cell = config.cell("DDPM-linear-ddpm-10-s0")
    assert (cell.weights, cell.trained_as) == ("pretrained", None)
    assert config.cell("DDIM-linear-ddim-5-s0").weights == "from-scratch"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("models.DDPM.weights.revision", "v2"),
        ("models.DDPM.weights.sha256", "0" * 64),
        ("models.DDPM.clip", False),
        ("schedules", {"linear": {"kind": "linear", "T": 500}}),
        ("sampling_batch", 7),
    ],
)
def test_samples_of_ready_weights_depend_on_them(
    smoke: dict[str, Any], key: str, value: Any
) -> None:
    cell = "DDPM-linear-ddpm-10-s0"
    before = parse_config(ready(smoke)).job("sample", cell).spec()
    set_key(smoke, key, value)
    assert parse_config(smoke).job("sample", cell).spec() != before


def test_a_name_with_a_line_break_is_told_in_one_line(smoke: dict[str, Any]) -> None:
    smoke["data"]["con\nfusing"] = smoke["data"].pop("tiny")
    with pytest.raises(BenchmarkError, match="a letter of A-Z or a-z or a digit") as error:
        parse_config(smoke)
    assert len(str(error.value).splitlines()) == 1
    assert "data.con\\nfusing: " in str(error.value)


def test_a_config_may_train_nothing(smoke: dict[str, Any]) -> None:
    ready(smoke)
    del smoke["networks"], smoke["training"], smoke["models"]["DDIM"], smoke["grid"][1]
    assert parse_config(smoke).trainings == {}


NETWORK: dict[str, Any] = {"kind": "unet", "channels": [8], "attention": [False], "groups": 4}
HEADER: dict[str, Any] = {
    "network": NETWORK,
    "schedule": {"kind": "linear", "T": 500},
    "data": {"resolution": 16},
    "training": {"prediction": None},
}
PIPELINE: dict[str, dict[str, Any]] = {
    "config.json": {
        "_class_name": "UNet2DModel",
        "sample_size": 16,
        "block_out_channels": [8],
        "down_block_types": ["DownBlock2D"],
        "up_block_types": ["UpBlock2D"],
        "norm_num_groups": 4,
    },
    "scheduler_config.json": {
        "_class_name": "DDPMScheduler",
        "beta_schedule": "linear",
        "num_train_timesteps": 500,
    },
    "diffusion_pytorch_model.bin": {},
}
NCSN: dict[str, Any] = {"kind": "ncsn", "path": "missing.pth", "resolution": 16}


def own(folder: Path, header: dict[str, Any] | None = None) -> dict[str, Any]:
    """Write one of our own files with this header, and return what a config says of it."""
    path = folder / "own.safetensors"
    metadata = {"spec": json.dumps(HEADER | (header or {}))}
    save_file({"conv": np.zeros(3, np.float32)}, path, metadata=metadata)
    return {"kind": "own", "path": str(path)}


def pipeline(folder: Path, name: str = "", **changes: Any) -> dict[str, Any]:
    """Write a diffusers pipeline, one of its files changed, and return what a config says of it."""
    for file, content in PIPELINE.items():
        (folder / file).write_text(json.dumps(content | (changes if file == name else {})))
    return {"kind": "diffusers", "source": str(folder)}


def sampled(weights: dict[str, Any], **changes: Any) -> Config:
    """A grid of one cell of ready weights: 10 steps of DDIM under a linear schedule."""
    entry = {"table": "t", "model": "M", "schedule": "linear", "sampler": "ddim", "steps": 10}
    content = yaml.safe_load(SMOKE.read_text())
    content["models"] = {"M": {"family": "F", "data": "tiny", "weights": weights}}
    content["grid"] = [entry | {"samples": 8} | changes.pop("grid", {})]
    return parse_config(content | changes)


def refusal(weights: dict[str, Any], **changes: Any) -> str:
    with pytest.raises(BenchmarkError) as caught:
        sampled(weights, **changes)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("write", [own, pipeline])
def test_steps_are_planned_on_the_schedule_that_local_weights_have(
    tmp_path: Path, write: Callable[[Path], dict[str, Any]]
) -> None:
    weights = write(tmp_path)
    assert sampled(weights, grid={"steps": 500}).schedule_of("M", "linear").model_dump()["T"] == 500
    assert "grid.0.steps: 501 are more than the 500 times" in refusal(weights, grid={"steps": 501})


def test_steps_are_planned_on_more_times_than_the_kind_has_by_default(tmp_path: Path) -> None:
    weights = own(tmp_path, {"schedule": {"kind": "linear", "T": 4000}})
    assert sampled(weights, grid={"steps": 2000}).cells[0].steps == 2000


def test_steps_of_a_checkpoint_of_ncsn_are_planned_on_its_levels() -> None:
    grid = {"schedule": "geometric", "sampler": "annealed-langevin", "steps": 12}
    assert "steps" in refusal(NCSN, grid=grid)
    three = NCSN | {"network": {"levels": 3}}
    assert sampled(three, grid=grid).schedule_of("M", "geometric").model_dump()["levels"] == 3


def test_steps_of_weights_on_a_hub_are_planned_on_what_the_config_states() -> None:
    weights = {"kind": "diffusers", "source": "some/where"}
    assert "1001 are more than the 1000" in refusal(weights, grid={"steps": 1001})
    stated = {"linear": {"kind": "linear", "T": 4000}}
    assert sampled(weights, grid={"steps": 2000}, schedules=stated).described == {}


def test_the_spec_of_samples_has_the_schedule_of_the_weights(tmp_path: Path) -> None:
    config = sampled(own(tmp_path))
    assert config.job("sample", config.cells[0].id).spec()["schedule"]["T"] == 500


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ({"kind": "zoo", "name": "avatars-dppm"}, "no 'avatars-dppm' in the zoo: did you mean"),
        ({"kind": "zoo", "name": "avatars-ddpm"}, "made for images of 32×32, but those of data.ti"),
        ({"kind": "own", "path": "none.safetensors"}, "none.safetensors: no such file of weights"),
        ({"kind": "own", "path": "."}, ".: damaged weights, or none"),
        ({"kind": "diffusers", "source": "/none/here"}, "/none/here: no folder, nor an id"),
        ({"kind": "diffusers", "source": "none/with/parts"}, "none/with/parts: no folder, nor an"),
        ({"kind": "diffusers", "source": str(SMOKE)}, "smoke.yaml: no folder, nor an id"),
        ({"kind": "diffusers", "source": "x" * 5000}, "File name too long"),
        (NCSN | {"sigma_min": 1, "sigma_max": 0.5}, "sigma_min = 1.0 and sigma_max = 0.5 make no"),
        (NCSN | {"network": {"levels": 1}}, "levels = 1 make no schedule"),
        (NCSN | {"resolution": 32}, "made for images of 32×32, but those of data.tiny are 16×16"),
        (NCSN, "trained with the schedule geometric, not linear: correct the grid"),
    ],
)
def test_wrong_ready_weights_are_refused_when_the_config_is_read(
    weights: dict[str, Any], expected: str
) -> None:
    said = refusal(weights)
    assert said.startswith("config: models.M.weights: ")
    assert expected in said


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ({"schedule": {"kind": "cosine"}}, "trained with the schedule cosine, not linear"),
        ({"schedule": {"kind": "linear", "T": 0}}, "schedule: T = 0"),
        ({"data": {"resolution": 8}}, "made for images of 8×8"),
        ({"data": {"resolution": "eight"}}, "its header: invalid literal"),
        ({"data": {}}, "its header lacks 'resolution'"),
        ({"training": None}, "its header is laid out otherwise"),
        ({"data": []}, "its header is laid out otherwise"),
        ({"network": NETWORK | {"time_embedding": "fourier"}}, "fourier cannot embed the times"),
        ({"training": {"prediction": "noise"}}, "its header: Input should be 'eps'"),
        ({"network": {"kind": "custom", "factory": "os:system"}}, "os:system, which is not run"),
        ({"network": NETWORK | {"image_channels": 1}}, "images have 3 channels"),
        ({"network": NETWORK | {"patch": 3}}, "halves its images too often"),
    ],
)
def test_an_own_file_that_is_not_for_the_grid_is_refused_when_the_config_is_read(
    tmp_path: Path, header: dict[str, Any], expected: str
) -> None:
    said = refusal(own(tmp_path, header))
    assert said.startswith("config: models.M.weights: ")
    assert expected in said


def test_an_own_file_that_is_damaged_or_another_s_is_refused_when_the_config_is_read(
    tmp_path: Path,
) -> None:
    weights = own(tmp_path)
    path = Path(weights["path"])
    whole = path.read_bytes()
    for keep in (0, 4, 100, -10):
        path.write_bytes(whole[:keep])
        assert "own.safetensors: damaged weights" in refusal(weights)
    for metadata in (None, {"spec": "{"}, {"spec": "[]"}):
        save_file({"conv": np.zeros(3, np.float32)}, path, metadata=metadata)
        assert "that `train` or `export` of this version wrote" in refusal(weights)


@pytest.mark.parametrize(
    ("file", "changes", "expected"),
    [
        ("config.json", {"sample_size": 8}, "made for images of 8×8"),
        ("config.json", {"time_embedding_type": "fourier"}, "is told noise levels, but the sched"),
        ("config.json", {"in_channels": 1, "out_channels": 1}, "makes images of 1 channels"),
        ("scheduler_config.json", {"beta_schedule": "exp"}, "beta_schedule is 'exp'"),
        ("scheduler_config.json", {"beta_schedule": "sigmoid"}, "the schedule sigmoid, not linear"),
        ("scheduler_config.json", {"beta_start": 0.5}, "beta_start = 0.5 and beta_end = 0.02 make"),
        ("scheduler_config.json", {"thresholding": True}, "thresholding is set"),
        ("scheduler_config.json", {"clip_sample_range": 2.0}, "clip_sample_range is 2.0"),
        ("scheduler_config.json", {"variance_type": "learned_range"}, "'learned_range'"),
    ],
)
def test_a_folder_that_is_not_for_the_grid_is_refused_when_the_config_is_read(
    tmp_path: Path, file: str, changes: dict[str, Any], expected: str
) -> None:
    said = refusal(pipeline(tmp_path, file, **changes))
    assert said.startswith("config: models.M.weights: ")
    assert expected in said


@pytest.mark.parametrize("file", PIPELINE)
def test_a_folder_that_lacks_a_file_is_refused_when_the_config_is_read(
    tmp_path: Path, file: str
) -> None:
    weights = pipeline(tmp_path)
    (tmp_path / file).unlink()
    assert re.search(rf"models\.M\.weights: .*: has no .* or .*{file}", refusal(weights))


def test_options_that_the_weights_have_not_are_refused_when_the_config_is_read(
    tmp_path: Path,
) -> None:
    weights = own(tmp_path)
    said = refusal(weights, schedules={"linear": {"kind": "linear", "T": 400}})
    assert "schedules.linear: models.M.weights were trained with {'T': 500" in said
    sampled(weights, schedules={"linear": {"kind": "linear", "T": 500}})


GEOMETRIC = {"kind": "geometric", "levels": 10, "sigma_min": 0.01, "sigma_max": 1.0}


# Files of earlier versions name a start among the schedule's options.
@pytest.mark.parametrize("start", [{}, {"start": "uniform"}, {"start": "normal"}])
@pytest.mark.parametrize("sampler", ["ddim", "predictor-corrector", "annealed-langevin", "unipc"])
def test_ready_weights_leave_the_start_to_the_sampler(
    tmp_path: Path, sampler: str, start: dict[str, str]
) -> None:
    weights = own(tmp_path, {"schedule": GEOMETRIC | start})
    grid = {"schedule": "geometric", "sampler": sampler}
    assert sampled(weights, grid=grid).schedule_of("M", "geometric").model_dump() == GEOMETRIC
    sampled(weights, grid=grid, schedules={"geometric": GEOMETRIC})
    langevin = {"langevin": {"kind": "annealed-langevin", "start": "normal"}}
    sampled(weights, grid=grid | {"sampler": "langevin"}, samplers=langevin)


def test_a_start_is_refused_where_it_is_no_option() -> None:
    content = yaml.safe_load(SMOKE.read_text())
    schedules = {"levels": GEOMETRIC | {"start": "normal"}}
    with pytest.raises(BenchmarkError, match=r"^config: schedules\.levels: unknown key 'start'"):
        parse_config(content | {"schedules": schedules})


def test_a_checkpoint_of_ncsn_may_come_later_and_its_lack_is_told(tmp_path: Path) -> None:
    grid = {"schedule": "geometric", "sampler": "annealed-langevin"}
    config = sampled(NCSN, grid=grid)
    assert config.missing_files() == [
        "models.M.weights.path: no such file missing.pth: put it there before a run"
    ]
    (tmp_path / "checkpoint.pth").touch()
    there = NCSN | {"path": str(tmp_path / "checkpoint.pth")}
    assert sampled(there, grid=grid).missing_files() == []


def test_reading_ready_weights_needs_no_torch() -> None:
    code = (
        "import sys; from pathlib import Path; from benchmark.config.loading import load_config; "
        "assert load_config(Path('config/config.yaml')).described; "
        "slow = {'torch', 'diffusers', 'huggingface_hub', 'scipy', 'pandas'}; "
        "assert not slow & sys.modules.keys()"
    )
    project = SMOKE.parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("precision", {"kind": "precision", "k": 24}, "k = 24 neighbours among 24 images"),
        ("precision", {"kind": "precision", "k": -1}, "k: Input should be greater than"),
        ("density", {"kind": "density", "k": 0}, "k: Input should be greater than"),
        ("coverage", {"kind": "coverage", "k": 24}, "real: k = 24 neighbours among 24 images"),
        ("recall", {"kind": "recall", "k": 7}, "fake: k = 7 neighbours among 8 images, 1 of them"),
        ("recall", {"kind": "recall", "groups": 0}, "groups: Input should be greater than"),
        ("coverage", {"kind": "coverage", "groups": 1}, "groups: Input should be greater than"),
        ("fd", {"kind": "frechet", "groups": 0}, "groups: Input should be greater than"),
        ("fd", {"kind": "frechet", "replicates": 1}, "replicates: Input should be greater than"),
        ("fd", {"kind": "frechet", "seed": -1}, "seed: Input should be greater than"),
        ("kid", {"kind": "kernel", "seed": -1}, "seed: Input should be greater than"),
        ("kid", {"kind": "kernel", "subsets": 1, "subset_size": 3}, "at least 2 subsets of 3 to 8"),
        ("kid", {"kind": "kernel", "subsets": 2}, "2 subsets of 1000 cannot be drawn from 8 fake"),
        ("kid", {"kind": "kernel", "subset_size": 8}, "all pairs of images are taken, once: give"),
        ("kid", {"kind": "kernel", "subset_size": 2}, "subset_size: Input should be greater than"),
        ("more", {"kind": "frechet-infinity"}, "8 images are too few for features of dimension 12"),
        ("more", {"kind": "frechet-infinity", "points": 2}, "points: Input should be greater than"),
    ],
)
def test_a_metric_that_cannot_be_computed_is_refused_with_the_config(
    smoke: dict[str, Any], path: str, value: dict[str, Any], expected: str
) -> None:
    smoke["evaluation"]["metrics"][path] = value
    with pytest.raises(BenchmarkError) as caught:
        parse_config(smoke)
    assert str(caught.value).startswith(f"config: evaluation.metrics.{path}")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_metric_must_have_enough_held_out_images_too(smoke: dict[str, Any]) -> None:
    """Features of EfficientNet-Lite0 have 1280 dimensions: 2562 images are the fewest."""
    smoke["evaluation"]["metrics"]["more"] = {"kind": "frechet-infinity"}
    smoke["evaluation"]["controls"] = []
    smoke["data"]["tiny"] |= {"train": 6000, "held_out": 2561}
    for entry in smoke["grid"]:
        entry["samples"] = 2562
    with pytest.raises(BenchmarkError, match=r"more: held-out-tiny: .* 2561 images are too few"):
        parse_config(smoke)
    smoke["data"]["tiny"]["held_out"] = 2562
    assert "more" in parse_config(smoke).evaluation.metrics


def test_splits_of_an_inception_score_must_hold_two_images_each(smoke: dict[str, Any]) -> None:
    smoke["evaluation"]["extractor"] = "inception-v3-fid"
    smoke["evaluation"]["metrics"]["is"] = {"kind": "inception-score", "splits": 5}
    with pytest.raises(BenchmarkError, match="5 splits of 8 images: 1 to 4"):
        parse_config(smoke)
    smoke["evaluation"]["metrics"]["is"]["splits"] = 4
    assert "is" in parse_config(smoke).evaluation.metrics


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("grid.0.seed", -1),
        ("grid.0.samples", 10**12),
        ("grid.0.steps", 10**12),
        ("seed", -1),
        ("seed", 2**64),
        ("training.short.steps", 10**12),
        ("training.short.batch", 10**12),
        ("training.short.warmup", 10**18),
        ("training.short.log_every", 10**18),
        ("training.short.weight_decay", 1e300),
        ("data.tiny.train", 10**12),
        ("data.tiny.held_out", 10**12),
        ("data.tiny.resolution", 10**6),
        ("data.tiny.seed", -1),
        ("sampling_batch", 10**12),
        ("feature_batch", 10**12),
        ("evaluation.sizes", [10**12]),
        ("evaluation.few", 0),
        ("evaluation.neighbours", 101),
        ("evaluation.panel_rows", 10**6),
        ("networks.net.layers", 10**9),
        ("networks.net.patch", 10**9),
        ("schedules", {"linear": {"kind": "linear", "T": 10**12}}),
        ("schedules", {"g": {"kind": "geometric", "levels": 10**12}}),
        ("schedules", {"ve": {"kind": "ve", "sigma_max": 1e300}}),
        ("schedules", {"vp": {"kind": "vp", "beta_max": 1e300}}),
        ("samplers", {"pc": {"kind": "predictor-corrector", "corrections": 10**9}}),
        ("samplers", {"pf": {"kind": "probability-flow", "rtol": 1e300}}),
    ],
)
def test_a_number_far_beyond_what_can_be_run_is_refused_by_its_key(
    smoke: dict[str, Any], path: str, value: Any
) -> None:
    set_key(smoke, path, value)
    with pytest.raises(BenchmarkError, match=rf"^config: {path}.*: Input should be ") as caught:
        parse_config(smoke)
    assert "\n" not in str(caught.value)


def test_sliced_score_matching_is_for_networks_that_learn_a_score(smoke: dict[str, Any]) -> None:
    smoke["training"]["short"]["loss"] = "sliced-score-matching"
    parse_config(smoke)
    with pytest.raises(BenchmarkError, match=r"short\.loss: torch\.compile has no second deriv"):
        parse_config({**smoke, "compile": True})
    smoke["grid"][0]["schedule"] = "flow"
    refused = r"short\.loss: sliced-score-matching is not defined for flow, a flow process: it is"
    with pytest.raises(BenchmarkError, match=refused):
        parse_config(smoke)
