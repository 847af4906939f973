"""Checkpoints of diffusers as people have them: settings, pipelines and files of every form."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from stages import do
from test_pretrained import (
    LIKE_CELEBAHQ,
    LIKE_NCSNPP,
    Hub,
    diffusers_spec,
    diffusers_unet,
    hub,
    load,
    message,
    output,
    rewrite,
    sde,
)

from benchmark.config.config import Config
from benchmark.config.loading import parse_config
from benchmark.core.errors import BenchmarkError
from benchmark.diffusion.denoiser import Denoiser
from benchmark.diffusion.samplers import SAMPLERS
from benchmark.diffusion.schedules.linear import Linear
from benchmark.models.checkpoints.ncsn import NcsnCheckpoint
from benchmark.models.checkpoints.own import OwnCheckpoint
from benchmark.models.description import Loaded
from benchmark.models.networks.refinenet import RefineNet
from benchmark.models.scheduler_settings import ALWAYS, IDLE, KNOWN, SCHEDULERS
from benchmark.records.record import read_record
from benchmark.records.rows import collect
from benchmark.report.results_table import results_table
from benchmark.storage.paths import Run

__all__ = ["hub", "sde"]  # fixtures

torch.set_num_threads(1)

SCHEDULER = Path("scheduler", "scheduler_config.json")
NETWORK = Path("unet", "config.json")
WEIGHTS = Path("unet", "diffusion_pytorch_model.safetensors")
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 454741892\n"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline as diffusers saves it."""
    from diffusers import DDPMPipeline, DDPMScheduler

    folder = tmp_path_factory.mktemp("pipeline")
    scheduler = DDPMScheduler(num_train_timesteps=100, beta_end=0.1)
    DDPMPipeline(diffusers_unet(LIKE_CELEBAHQ), scheduler).save_pretrained(folder)
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    """A copy of the pipeline, to be changed."""
    return shutil.copytree(original, tmp_path / "pipeline")


def with_scheduler(folder: Path, kind: str, **settings: Any) -> Path:
    """Give a pipeline a scheduler, saved by diffusers itself."""
    import diffusers

    getattr(diffusers, kind)(**settings).save_pretrained(folder / "scheduler")
    rewrite(folder / "model_index.json", scheduler=["diffusers", kind])
    return folder


def plan_refusal(folder: Path) -> str:
    """Return why a folder is refused when the config is read."""
    with pytest.raises(BenchmarkError) as caught:
        diffusers_spec(folder).describe()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def refusal(folder: Path) -> str:
    """Return why a folder is refused: at the same place, when the config is read and later."""
    said = plan_refusal(folder)
    assert message(diffusers_spec(folder)) == said
    return said


def choices(folder: Path, sampler: str, **options: Any) -> list[str]:
    found = load(folder).choices_with(SAMPLERS.make(sampler, **options))
    described = diffusers_spec(folder).describe()
    assert described is not None
    assert described.choices_with(SAMPLERS.make(sampler, **options)) == found
    return [str(choice) for choice in found]


def ours(found: Loaded, sampler: str, steps: int, **options: Any) -> np.ndarray:
    """Return two samples in [0, 1], on the noise that a pipeline of diffusers draws."""
    generator = torch.Generator().manual_seed(0)
    chosen = SAMPLERS.make(sampler, **options)
    process = found.schedule.process()

    def noise() -> torch.Tensor:
        return torch.randn((2, 3, 8, 8), generator=generator)

    model = Denoiser(found.network, process, found.prediction, found.clip)
    times = chosen.plan(process, steps)
    found.check_sampler(chosen, times)
    with torch.no_grad():
        x = chosen.sample(model, process, noise(), times, noise)
    return ((process.decode(x) / 2 + 0.5).clamp(0, 1)).permute(0, 2, 3, 1).numpy()


def theirs(folder: Path, pipeline: str, steps: int, **options: Any) -> np.ndarray:
    """Return two samples of a pipeline that diffusers itself loads."""
    import diffusers

    loaded = getattr(diffusers, pipeline).from_pretrained(folder)
    loaded.set_progress_bar_config(disable=True)
    images: np.ndarray = loaded(
        batch_size=2,
        num_inference_steps=steps,
        generator=torch.Generator().manual_seed(0),
        output_type="np",
        **options,
    ).images
    return images


# --- settings of schedulers ---


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ({}, {}),
        ({"clip_sample": False}, {}),
        ({"prediction_type": "sample"}, {}),
        ({"prediction_type": "v_prediction"}, {}),
        ({"beta_schedule": "squaredcos_cap_v2"}, {}),
        ({"beta_schedule": "scaled_linear", "beta_start": 0.001, "beta_end": 0.1}, {}),
        ({"variance_type": "fixed_small_log"}, {}),
        ({"variance_type": "fixed_large"}, {"variance": "fixed_large"}),
        ({"timestep_spacing": "linspace"}, {"spacing": "linspace"}),
        ({"timestep_spacing": "trailing"}, {"spacing": "trailing"}),
    ],
    ids=str,
)
def test_what_is_not_named_is_as_diffusers_samples_it(
    folder: Path, settings: dict[str, Any], options: dict[str, Any]
) -> None:
    with_scheduler(folder, "DDPMScheduler", num_train_timesteps=100, **settings)
    assert choices(folder, "ddpm", **options) == []
    found = ours(load(folder), "ddpm", 10, **options)
    np.testing.assert_allclose(found, theirs(folder, "DDPMPipeline", 10), atol=2e-3)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("DDIMScheduler", {}),
        ("PNDMScheduler", {"set_alpha_to_one": True}),
        ("DPMSolverMultistepScheduler", {}),
    ],
)
def test_a_ddim_pipeline_makes_ddim_of_any_scheduler(
    folder: Path, kind: str, settings: dict[str, Any]
) -> None:
    shared = {"num_train_timesteps": 100, "timestep_spacing": "leading"}
    with_scheduler(folder, kind, **shared, **settings)
    rewrite(folder / "model_index.json", _class_name="DDIMPipeline")
    found = load(folder)
    assert found.scheduler is not None
    assert found.scheduler.kind == "DDIMScheduler"
    expected = theirs(folder, "DDIMPipeline", 10, use_clipped_model_output=found.clip)
    np.testing.assert_allclose(ours(found, "ddim", 10), expected, atol=2e-3)


def with_variance(folder: Path) -> Path:
    """Give a pipeline a network that predicts its variance, and the scheduler that says so."""
    diffusers_unet(LIKE_CELEBAHQ | {"out_channels": 6}).save_pretrained(folder / "unet")
    return with_scheduler(
        folder, "DDPMScheduler", num_train_timesteps=100, variance_type="learned_range"
    )


@pytest.mark.parametrize("network", [{}, {"act_fn": "gelu"}])
def test_learned_variances_are_sampled_as_in_diffusers(
    folder: Path, network: dict[str, Any]
) -> None:
    with_variance(folder)
    diffusers_unet(LIKE_CELEBAHQ | {"out_channels": 6} | network).save_pretrained(folder / "unet")
    assert choices(folder, "ddpm", variance="learned_range") == []
    assert (
        "the checkpoint says variance_type learned_range; the grid's ddpm uses variance "
        in (choices(folder, "ddpm")[0])
    )
    found = load(folder)
    assert found.learns_variance
    assert (found.spec is None) == bool(network)
    expected = theirs(folder, "DDPMPipeline", 10)
    sampled = ours(found, "ddpm", 10, variance="learned_range")
    np.testing.assert_allclose(sampled, expected, atol=2e-3)


def test_a_network_without_the_variance_that_its_scheduler_says_is_refused(folder: Path) -> None:
    with_scheduler(folder, "DDPMScheduler", variance_type="learned_range")
    assert "makes 3 channels of 3: twice as many would be right, as the" in refusal(folder)
    rewrite(with_variance(folder) / SCHEDULER, variance_type="fixed_small")
    assert "makes 6 channels of 3: as many would be right" in refusal(folder)


def test_a_schedule_that_ends_in_noise_alone_is_sampled_as_in_diffusers(folder: Path) -> None:
    shared = {"num_train_timesteps": 100, "timestep_spacing": "trailing", "clip_sample": False}
    said = {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction"}
    with_scheduler(folder, "DDIMScheduler", **shared, **said)
    rewrite(folder / "model_index.json", _class_name="DDIMPipeline")
    assert choices(folder, "ddim", spacing="trailing") == []
    found = load(folder)
    assert found.schedule == Linear(T=100, zero_terminal_snr=True)
    expected = theirs(folder, "DDIMPipeline", 10)
    np.testing.assert_allclose(ours(found, "ddim", 10, spacing="trailing"), expected, atol=2e-3)


@pytest.mark.parametrize("old", [True, False])
def test_the_old_name_of_the_prediction_is_followed(folder: Path, old: bool) -> None:
    path = folder / SCHEDULER
    content = json.loads(path.read_text())
    del content["prediction_type"]
    path.write_text(json.dumps(content | {"predict_epsilon": old}))
    assert load(folder).prediction == ("eps" if old else "x0")
    assert choices(folder, "ddpm") == []
    found = ours(load(folder), "ddpm", 10)
    rewrite(path, prediction_type="epsilon" if old else "sample")  # as diffusers now wants it
    np.testing.assert_allclose(found, theirs(folder, "DDPMPipeline", 10), atol=2e-3)


def test_the_old_variance_is_nan_in_diffusers() -> None:
    """So that the page may say it."""
    from diffusers import DDPMScheduler

    scheduler = DDPMScheduler(variance_type="fixed_large_log")
    scheduler.set_timesteps(10)
    x = torch.zeros(1, 3, 4, 4)
    assert scheduler.step(x, 900, x).prev_sample.isnan().all()


def test_two_names_that_contradict_each_other_are_refused(folder: Path) -> None:
    rewrite(folder / SCHEDULER, predict_epsilon=False)
    assert "predict_epsilon says that the network predicts sample, prediction" in refusal(folder)


DDPM, DDIM, PNDM = "DDPMScheduler", "DDIMScheduler", "PNDMScheduler"
DPM, UNIPC, EULER = (
    "DPMSolverMultistepScheduler",
    "UniPCMultistepScheduler",
    "EulerDiscreteScheduler",
)


@pytest.mark.parametrize(
    ("kind", "settings", "sampler", "named"),
    [
        (DDPM, {"variance_type": "fixed_large"}, "ddpm", "ddpm uses variance fixed_small"),
        (DDPM, {"variance_type": "fixed_large_log"}, "ddpm", "ddpm uses variance fixed_small"),
        (DDPM, {"variance_type": "fixed_large"}, "ddim", "ddim has no such setting"),
        (DDPM, {"timestep_spacing": "trailing"}, "ddim", "ddim uses spacing leading"),
        (DDPM, {"timestep_spacing": "leading"}, "heun", "heun uses spacing karras"),
        (DDIM, {"steps_offset": 1}, "ddim", "ddim uses steps_offset 0"),
        (DDIM, {"set_alpha_to_one": False}, "ddim", "ddim uses set_alpha_to_one true"),
        (PNDM, {"set_alpha_to_one": False}, "ddim", "ddim uses set_alpha_to_one true"),
        (PNDM, {"skip_prk_steps": True}, "ddim", "ddim has no such setting"),
        (DPM, {"use_karras_sigmas": True}, "dpm-solver++", "uses spacing linspace"),
        (DPM, {"solver_order": 3}, "dpm-solver++", "the grid's dpm-solver++ "),
        (DPM, {"algorithm_type": "sde-dpmsolver++"}, "dpm-solver++", "the grid's dpm-solver++ "),
        (DPM, {"euler_at_final": True}, "dpm-solver++", "has no such setting"),
        (DPM, {"final_sigmas_type": "sigma_min"}, "ddim", "ddim has no such setting"),
        (DPM, {"lambda_min_clipped": -5.1}, "dpm-solver++", "has no such setting"),
        (UNIPC, {"solver_type": "bh1"}, "unipc", "the grid's unipc "),
        (UNIPC, {"disable_corrector": [0]}, "unipc", "the grid's unipc "),
        (EULER, {"interpolation_type": "log_linear"}, "ddim", "ddim has no such setting"),
        (EULER, {"sigma_min": 0.02}, "ddim", "ddim has no such setting"),
    ],
    ids=str,
)
def test_settings_that_the_sampler_of_the_grid_decides_are_named(
    folder: Path, kind: str, settings: dict[str, Any], sampler: str, named: str
) -> None:
    with_scheduler(folder, kind, **settings)
    key, value = next(iter(settings.items()))
    text = value if isinstance(value, str) else json.dumps(value)
    lines = [line for line in choices(folder, sampler) if f"says {key} {text}; " in line]
    assert len(lines) == 1
    assert named in lines[0]


@pytest.mark.parametrize(
    ("kind", "sampler"),
    [(DDPM, "ddpm"), (DDIM, "ddim"), (DPM, "dpm-solver++"), (UNIPC, "unipc")],
)
def test_nothing_is_named_where_a_checkpoint_is_sampled_as_its_own_scheduler_does(
    folder: Path, kind: str, sampler: str
) -> None:
    assert choices(with_scheduler(folder, kind), sampler) == []


def test_karras_spacing_is_followed_by_naming_it(folder: Path) -> None:
    with_scheduler(folder, "EulerDiscreteScheduler", use_karras_sigmas=True)
    assert choices(folder, "heun") == []  # whose usual spacing it is
    assert choices(folder, "ddim", spacing="karras") == []


def test_the_own_sampler_of_a_score_sde_is_compared(sde: Path) -> None:
    assert choices(sde, "predictor-corrector", snr=0.075) == []
    assert "the checkpoint says snr 0.075; the grid's predictor-corrector uses snr 0.16" in choices(
        sde, "predictor-corrector"
    )


def test_settings_of_another_scheduler_are_named_as_diffusers_does_not_read_them(
    folder: Path,
) -> None:
    import diffusers

    converted = diffusers.PNDMScheduler.from_config(
        json.loads((folder / SCHEDULER).read_text()) | {"clip_sample": True}
    )
    converted.save_pretrained(folder / "scheduler")
    rewrite(folder / "model_index.json", scheduler=["diffusers", "PNDMScheduler"])
    assert json.loads((folder / SCHEDULER).read_text())["clip_sample"] is True
    assert not load(folder).clip
    assert any("says clip_sample true; it is no setting" in c for c in choices(folder, "ddim"))


@pytest.mark.parametrize(
    ("kind", "settings", "wrong"),
    [
        (DDPM, {"variance_type": "learned"}, "variance_type is 'learned': only networks that"),
        (DDPM, {"trained_betas": [0.1] * 100}, "trained_betas is set: only schedules"),
        (DDPM, {"rescale_betas_zero_snr": True}, "rescale_betas_zero_snr: eps says nothing of the"),
        (DDPM, {"thresholding": True}, "thresholding is set: only clip_sample is done"),
        (DDPM, {"clip_sample_range": 3.0}, "clip_sample_range is 3.0: only 1 is done"),
        (DDPM, {"beta_schedule": "laplace"}, "beta_schedule is 'laplace': known are"),
        (EULER, {"timestep_type": "continuous"}, "timestep_type is 'continuous': only networks"),
        (DPM, {"use_flow_sigmas": True}, "prediction_type is 'epsilon': known are flow_prediction"),
        (UNIPC, {"use_dynamic_shifting": True}, "use_dynamic_shifting is set: its pipeline"),
    ],
    ids=str,
)
def test_settings_that_cannot_be_followed_are_refused_when_the_config_is_read(
    folder: Path, kind: str, settings: dict[str, Any], wrong: str
) -> None:
    path = folder / SCHEDULER
    path.write_text(json.dumps({"_class_name": kind, **settings}))
    rewrite(folder / "model_index.json", scheduler=["diffusers", kind])
    said = refusal(folder)
    assert said.startswith(f"{path}: {wrong}")
    assert len(said) < len(str(path)) + 160


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"beta_stat": 0.1}, "beta_stat is no setting of these schedulers: "),
        ({"clip_sample": "no"}, "clip_sample is 'no': true or false would be right"),
        ({"predict_epsilon": "no"}, "predict_epsilon is 'no': true or false would be right"),
        ({"beta_end": float("nan")}, "beta_end: Input should be a finite number, not nan"),
        ({"_class_name": None}, "None is no scheduler whose process is known here: "),
        (
            {"_class_name": "LCMScheduler"},
            "LCMScheduler is no scheduler whose process is known here: its networks learn to go",
        ),
        (
            {"_class_name": "FlowMapEulerDiscreteScheduler"},
            "FlowMapEulerDiscreteScheduler is no scheduler whose process is known here: its "
            "networks learn to go from noise to the image in one step",
        ),
        ({"_class_name": "KarrasVeScheduler"}, "KarrasVeScheduler is no scheduler whose"),
    ],
)
def test_schedulers_and_settings_that_are_not_known_are_refused(
    folder: Path, changes: dict[str, Any], wrong: str
) -> None:
    (folder / "model_index.json").unlink()
    rewrite(folder / SCHEDULER, **changes)
    assert f"{folder / SCHEDULER}: {wrong}" in refusal(folder)


def test_what_a_file_leaves_out_is_as_its_own_class_has_it(folder: Path) -> None:
    import diffusers

    for kind in SCHEDULERS:
        (folder / SCHEDULER).write_text(json.dumps({"_class_name": kind}))
        rewrite(folder / "model_index.json", scheduler=["diffusers", kind])
        if "beta_schedule" not in SCHEDULERS[kind]:
            continue
        process = load(folder).schedule.process()
        if kind == "DPMSolverSDEScheduler":  # needs a library that is not here
            kind = "HeunDiscreteScheduler"
        betas = getattr(diffusers, kind)().betas.numpy().astype(float)
        np.testing.assert_allclose(process.alpha_bar, np.cumprod(1 - betas), rtol=1e-3)  # type: ignore[attr-defined]


@given(
    st.sampled_from(sorted(SCHEDULERS)),
    st.sampled_from(sorted(KNOWN)),
    st.sampled_from([None, False, True, 7, 0.5, "x", [1], {}]),
)
def test_no_setting_is_ever_ignored(kind: str, key: str, value: Any) -> None:
    """A value that no scheduler has by default is followed, refused or named; never nothing."""
    from benchmark.models.diffusers_config import schedule_and_prediction
    from benchmark.models.schedulers import read_scheduler

    usual = read_scheduler({"_class_name": kind}, SCHEDULER)
    meant = schedule_and_prediction(usual)
    if key in IDLE | {"tensor_format"} or usual.settings.get(key, "none") == value:
        return
    if key == "predict_epsilon" and value in (None, True):  # as all of them do
        return
    if key in ALWAYS and value == ALWAYS[key]:  # as all samplers here do
        return
    if key == "clip_sample_range" and not usual.settings.get("clip_sample", True):
        return
    if key == "num_train_timesteps" and (
        kind == "ScoreSdeVeScheduler" or kind.startswith("EDM")
    ):  # whose times have no number
        return
    if key == "flow_shift" and key in usual.settings and not usual.settings["use_flow_sigmas"]:
        return
    try:
        scheduler = read_scheduler({"_class_name": kind, key: value}, SCHEDULER)
        found = schedule_and_prediction(scheduler)
        named = scheduler.choices_with(SAMPLERS.make("ddpm"), found[0].process())
    except BenchmarkError:
        return
    clipped = scheduler.settings.get("clip_sample") != usual.settings.get("clip_sample")
    assert found != meant or clipped or any(choice.setting == key for choice in named)


@pytest.mark.parametrize("kind", ["RePaintScheduler", "ScoreSdeVeScheduler"])
def test_the_old_name_is_named_where_a_scheduler_does_not_read_it(kind: str) -> None:
    from benchmark.models.diffusers_config import schedule_and_prediction
    from benchmark.models.schedulers import read_scheduler

    scheduler = read_scheduler({"_class_name": kind, "predict_epsilon": False}, SCHEDULER)
    schedule, prediction = schedule_and_prediction(scheduler)
    assert prediction == schedule.process().prediction
    named = scheduler.choices_with(SAMPLERS.make("ddpm"), schedule.process())
    assert [choice.setting for choice in named if choice.checkpoint == "false"] == [
        "predict_epsilon"
    ]


def test_what_is_not_followed_stands_in_the_log_the_record_and_the_table(
    smoke: Config, run: Run, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    diffusers_unet(LIKE_CELEBAHQ | {"sample_size": 16}).save_pretrained(folder / "unet")
    with_scheduler(folder, "DDPMScheduler", variance_type="fixed_large", clip_sample=True)
    content = smoke.model_dump(mode="json")
    weights = {"kind": "diffusers", "source": str(folder)}
    content["models"] = {
        "M": {"family": "F", "data": "tiny", "weights": weights},
        "N": {"family": "F", "data": "tiny", "weights": weights, "clip": False},
    }
    entry = {"table": "t", "schedule": "linear", "sampler": "ddpm", "steps": 5, "samples": 4}
    content["grid"] = [entry | {"model": ["M", "N"]}]
    config = parse_config(content)
    records = [do("sample", config, cell.id, run) for cell in config.cells]
    variance = (
        "the checkpoint says variance_type fixed_large; the grid's ddpm uses variance fixed_small"
    )
    clip = "the checkpoint says clip_sample true; the config says clip false"
    assert [[*map(str, r.checkpoint.choices)] for r in records if r.checkpoint] == [
        [variance],
        [variance, clip],
    ]
    log = capsys.readouterr().err
    assert f"{config.cells[0].id}: {variance}\n" in log
    assert f"{config.cells[1].id}: {clip}\n" in log
    read = read_record(run.record("sample", config.cells[1].id))
    assert read.checkpoint == records[1].checkpoint
    caption = results_table("t", collect(records), {}).legend
    assert f"Not as the checkpoint of M and N: {variance}." in caption
    assert f"Not as the checkpoint of N: {clip}." in caption


def test_an_infinite_setting_is_kept_in_the_record(folder: Path) -> None:
    with_scheduler(folder, "DPMSolverMultistepScheduler")
    assert json.loads((folder / SCHEDULER).read_text())["lambda_min_clipped"] == -np.inf
    assert choices(folder, "dpm-solver++") == []
    facts = load(folder).facts
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert facts["scheduler"]["lambda_min_clipped"] == "-Infinity"


def test_the_page_names_every_setting_at_its_treatment() -> None:
    from benchmark.models import scheduler_settings as s

    page = (Path(__file__).parents[2] / "docs" / "checkpoints.md").read_text()
    rows = [
        set(re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", line)))
        for line in page.splitlines()
        if line.startswith("| ") and "settings" not in line
    ]
    followed, refused, decided, idle = rows
    assert followed == s.FOLLOWED | s.FOLLOWED_WITHOUT_BETAS | {
        "predict_epsilon",
        "ScoreSdeVeScheduler",
    }
    assert refused == {*s.REFUSED, "variance_type"}
    assert decided == {*s.OPTIONS, *s.ALWAYS, *s.OTHERS, *s.SPACINGS}
    assert idle == s.IDLE | {"tensor_format"}


# --- pipelines ---


@pytest.mark.parametrize(
    ("index", "wrong"),
    [
        ({"_class_name": "LDMPipeline", "vqvae": ["diffusers", "VQModel"]}, "has a vqvae, so that"),
        ({"vae": ["diffusers", "AutoencoderKL"]}, "has a vae, so that its network makes latents"),
        ({"_class_name": "KarrasVePipeline"}, "a KarrasVePipeline is no pipeline that is sampled"),
        ({"_class_name": "RePaintPipeline"}, "a RePaintPipeline is no pipeline that is sampled"),
        ({"_class_name": "ConsistencyModelPipeline"}, "a ConsistencyModelPipeline is no pipeline"),
        ({"_class_name": "DanceDiffusionPipeline"}, "a DanceDiffusionPipeline is no pipeline"),
        ({"_class_name": None}, "a None is no pipeline that is sampled here: known: DDIMPipeline"),
        ({"_class_name": "DDPMPipline"}, "did you mean 'DDPMPipeline'"),
        ({"_class_name": ["my_code", "DDPMPipeline"]}, "is no pipeline that is sampled here"),
        ({"text_encoder": ["transformers", "CLIPTextModel"]}, "the pipeline has a part text_enco"),
        ({"unet": ["my_code", "UNet2DModel"]}, "unet is ['my_code', 'UNet2DModel']: only parts of"),
    ],
    ids=str,
)
def test_pipelines_that_are_none_of_pixels_are_refused_by_name(
    folder: Path, index: dict[str, Any], wrong: str
) -> None:
    rewrite(folder / "model_index.json", **index)
    said = refusal(folder)
    assert said.startswith(f"{folder / 'model_index.json'}: ")
    assert wrong in said


def test_the_class_of_the_network_is_the_one_that_the_index_names(folder: Path) -> None:
    rewrite(folder / "model_index.json", unet=["diffusers", "UNet2DConditionModel"])
    assert refusal(folder).startswith(f"{folder / NETWORK}: describes a UNet2DConditionModel: ")
    rewrite(folder / "model_index.json", unet=["diffusers", "UNet2DModel"])
    rewrite(folder / NETWORK, _class_name=None)
    assert load(folder).choices == ()


def test_parts_that_a_pipeline_goes_without_are_none(folder: Path) -> None:
    rewrite(folder / "model_index.json", feature_extractor=[None, None])
    assert load(folder).choices == ()


@pytest.mark.parametrize(
    ("name", "file", "wrong"),
    [
        ("vqvae", None, "has a vqvae, so that its network makes latents"),
        ("vae", "config.json", "has a vae, so that its network makes latents"),
        ("tokenizer", "tokenizer_config.json", "has a part tokenizer/ beside unet and scheduler"),
    ],
)
@pytest.mark.parametrize("indexed", [True, False])
def test_folders_with_another_part_are_refused(
    folder: Path, name: str, file: str | None, wrong: str, indexed: bool
) -> None:
    (folder / name).mkdir()
    if file:
        (folder / name / file).write_text("{}")
    if not indexed:
        (folder / "model_index.json").unlink()
    assert wrong in refusal(folder)


@pytest.mark.parametrize(
    "file",
    [
        ".ipynb_checkpoints/preprocessor_config.json",
        ".cache/huggingface_config.json",
        "__MACOSX/._scheduler_config.json",
    ],
)
def test_hidden_and_system_folders_are_no_parts(folder: Path, file: str) -> None:
    (folder / file).parent.mkdir()
    (folder / file).write_text("{}")
    assert load(folder).choices == ()


def test_folders_of_logs_and_checkpoints_are_no_parts(folder: Path) -> None:
    shutil.copytree(folder / "unet", folder / "checkpoint-500" / "unet")
    (folder / "logs").mkdir()
    (folder / "logs" / "events").write_text("x")
    assert load(folder).choices == ()


@pytest.mark.parametrize("indexed", [True, False])
def test_a_latent_model_on_a_hub_is_refused(
    hub: Hub, sde: Path, tmp_path: Path, indexed: bool
) -> None:
    added = [sde / "model_index.json"] if indexed else [sde / "vqvae" / "config.json"]
    content = {"_class_name": "LDMPipeline", "vqvae": ["diffusers", "VQModel"]}
    try:
        for path in added:
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(content))
        said = message(diffusers_spec("google/tiny"), tmp_path)
    finally:
        for path in added:
            path.unlink()
            if path.parent.name == "vqvae":
                path.parent.rmdir()
    assert "has a vqvae, so that its network makes latents" in said
    assert not any("diffusion_pytorch_model" in path for path in hub.requests)


def test_the_class_that_the_index_names_is_the_one_that_is_read(folder: Path) -> None:
    rewrite(folder / SCHEDULER, clip_sample=None)
    content = json.loads((folder / SCHEDULER).read_text())
    del content["clip_sample"]
    (folder / SCHEDULER).write_text(json.dumps(content))
    rewrite(folder / "model_index.json", scheduler=["diffusers", "PNDMScheduler"])
    from diffusers import DiffusionPipeline

    loaded = DiffusionPipeline.from_pretrained(folder)
    assert type(loaded.scheduler).__name__ == "PNDMScheduler"
    found = load(folder)
    assert found.scheduler is not None
    assert found.scheduler.kind == "PNDMScheduler"
    assert not found.clip


# --- settings of networks ---


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"layers_per_blok": 3}, "layers_per_blok is no setting of a UNet2DModel: "),
        ({"cross_attention_dim": 8}, "cross_attention_dim is no setting of a UNet2DModel: "),
        ({"quantization_config": {"bits": 8}}, "quantization_config is no setting of a UNet2DMod"),
    ],
)
def test_settings_of_no_network_are_refused(
    folder: Path, changes: dict[str, Any], wrong: str
) -> None:
    rewrite(folder / NETWORK, **changes)
    assert refusal(folder).startswith(f"{folder / NETWORK}: {wrong}")


def learned(folder: Path, times: int) -> Path:
    """Give a pipeline a network that looks its times up in a table."""
    options = LIKE_CELEBAHQ | {"time_embedding_type": "learned", "num_train_timesteps": times}
    diffusers_unet(options).save_pretrained(folder / "unet")
    return folder


def test_a_learned_time_embedding_samples_as_in_diffusers(folder: Path) -> None:
    found = load(learned(folder, 100))
    np.testing.assert_allclose(
        ours(found, "ddpm", 10), theirs(folder, "DDPMPipeline", 10), atol=2e-3
    )


def test_a_learned_time_embedding_has_no_times_between(folder: Path) -> None:
    with pytest.raises(BenchmarkError, match="lie between those that the network has learnt"):
        ours(load(learned(folder, 100)), "ddim", 10, spacing="karras")


def test_a_sampler_between_its_times_is_refused_with_a_learned_time_embedding(
    folder: Path,
) -> None:
    described = diffusers_spec(folder).describe()
    assert described is not None
    found = dataclasses.replace(described, whole_times=True)
    leaving: list[tuple[str, dict[str, Any]]] = [
        (name, {}) for name in ("midpoint", "rk4", "pndm", "stochastic-heun")
    ]
    staying = [("pndm", {"skip_prk_steps": True}), ("stochastic-heun", {"s_churn": 0})]
    for name, options in leaving + staying:
        sampler = SAMPLERS.make(name, spacing="leading", **options)
        timesteps = sampler.plan(found.schedule.process(), 4)
        if options:
            found.check_sampler(sampler, timesteps)
            continue
        with pytest.raises(BenchmarkError, match=f"^sampler: {name} evaluates the network between"):
            found.check_sampler(sampler, timesteps)


def test_times_between_are_refused_when_the_config_is_read(smoke: Config, folder: Path) -> None:
    content = smoke.model_dump(mode="json")
    options = LIKE_CELEBAHQ | {"sample_size": 16, "time_embedding_type": "learned"}
    diffusers_unet(options | {"num_train_timesteps": 100}).save_pretrained(folder / "unet")
    weights = {"kind": "diffusers", "source": str(folder)}
    content["models"] = {"M": {"family": "F", "data": "tiny", "weights": weights}}
    entry = {"table": "t", "schedule": "linear", "model": "M", "steps": 10, "samples": 4}
    content["grid"] = [entry | {"sampler": "ddpm"}]
    assert parse_config(content).cells
    content["grid"] = [entry | {"sampler": "heun"}]  # whose usual spacing is that of Karras et al.
    with pytest.raises(BenchmarkError, match=r"grid\.0\.sampler: its times lie between those that"):
        parse_config(content)
    content["grid"] = [entry | {"sampler": "ddpm"}]
    content["likelihood"] = {"model": "M", "images": 4}
    with pytest.raises(BenchmarkError, match=r"models\.M\.weights has learnt whole times alone"):
        parse_config(content)


def test_a_learned_time_embedding_of_too_few_times_is_refused(folder: Path) -> None:
    said = refusal(learned(folder, 50))
    assert "num_train_timesteps is 50: a learned embedding of all 100 times" in said


def test_what_a_network_file_leaves_out_is_as_in_diffusers(folder: Path) -> None:
    from benchmark.models.diffusers_config import unet_spec

    spec = unet_spec({"_class_name": "UNet2DModel"}, NETWORK)
    assert spec is not None
    assert (spec.channels, spec.attention) == ((224, 448, 672, 896), (False, True, True, True))


# --- files of weights ---


def outputs_of(folder: Path, subfolder: str = "unet", **options: Any) -> torch.Tensor:
    """Return what the network predicts that diffusers itself loads."""
    from diffusers import UNet2DModel

    return output(UNet2DModel.from_pretrained(folder / subfolder, **options).eval(), [3, 60])


def assert_outputs(found: Loaded, expected: torch.Tensor) -> None:
    torch.testing.assert_close(output(found.network, [3, 60]), expected, atol=1e-5, rtol=1e-5)


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / WEIGHTS)


def other(folder: Path) -> dict[str, torch.Tensor]:
    """Return weights of the same network that make other samples."""
    return {name: 0.9 * tensor for name, tensor in tensors(folder).items()}


@pytest.mark.parametrize("variant", ["fp16", "bf16"])
@pytest.mark.parametrize("safe", [True, False])
@pytest.mark.parametrize("sharded", [True, False])
def test_weights_of_half_precision_alone_are_loaded(
    folder: Path, variant: str, safe: bool, sharded: bool
) -> None:
    from diffusers import UNet2DModel

    kind = {"fp16": torch.float16, "bf16": torch.bfloat16}[variant]
    unet = UNet2DModel.from_pretrained(folder / "unet").to(kind)
    (folder / WEIGHTS).unlink()
    size = "20KB" if sharded else "10GB"
    unet.save_pretrained(
        folder / "unet", variant=variant, safe_serialization=safe, max_shard_size=size
    )
    expected = outputs_of(folder, variant=variant, use_safetensors=safe).float()
    assert_outputs(load(folder), expected)
    assert diffusers_spec(folder).describe()


def test_full_precision_is_preferred(folder: Path) -> None:
    expected = outputs_of(folder)
    half = {name: tensor.half() for name, tensor in other(folder).items()}
    save_file(half, (folder / WEIGHTS).with_suffix(".fp16.safetensors"))
    (folder / WEIGHTS).with_suffix(".bin").write_bytes(b"not read")
    assert_outputs(load(folder), expected)
    torch.save(tensors(folder), (folder / WEIGHTS).with_suffix(".bin"))
    (folder / WEIGHTS).unlink()
    assert_outputs(load(folder), expected)


def sharded(folder: Path) -> list[Path]:
    """Cut the weights of a pipeline into shards, as diffusers does."""
    from diffusers import UNet2DModel

    unet = UNet2DModel.from_pretrained(folder / "unet")
    (folder / WEIGHTS).unlink()
    unet.save_pretrained(folder / "unet", max_shard_size="20KB")
    shards = sorted(folder.glob("unet/*-of-*.safetensors"))
    assert len(shards) > 2
    return shards


def test_shards_are_loaded_and_have_one_hash(folder: Path) -> None:
    import hashlib

    expected = outputs_of(folder)
    shards = sharded(folder)
    found = load(folder)
    assert_outputs(found, expected)
    content = b"".join(path.read_bytes() for path in shards)
    assert found.sha256 == hashlib.sha256(content).hexdigest()
    assert found.facts["file"] == "unet/diffusion_pytorch_model.safetensors.index.json"
    assert load(folder, sha256=found.sha256).sha256 == found.sha256


def test_shards_on_a_hub_are_fetched(hub: Hub, sde: Path, folder: Path, tmp_path: Path) -> None:
    expected = outputs_of(folder)
    sharded(folder)
    hub.folder = folder
    assert_outputs(diffusers_spec("google/tiny").load(tmp_path / "cache"), expected)


@pytest.mark.parametrize("damage", ["missing", "pointer", "other", "outside", "empty"])
def test_shards_that_do_not_fit_their_index_are_refused(folder: Path, damage: str) -> None:
    shard = sharded(folder)[1]
    index = (folder / WEIGHTS).with_suffix(".safetensors.index.json")
    if damage == "missing":
        shard.unlink()
        assert f"{index}: names {shard.name}, which is not there: fetch it" in refusal(folder)
    elif damage == "pointer":
        shard.write_text(POINTER)
        assert f"{shard}: is a pointer of git-lfs" in refusal(folder)
    elif damage == "other":
        save_file({"spare": torch.zeros(1)}, shard)
        assert f"{index}: says that {shard.name} has " in message(diffusers_spec(folder))
    elif damage == "outside":
        rewrite(index, weight_map={"conv_in.weight": "../../secret.safetensors"})
        assert f"{index}: has no weight_map that names the file" in refusal(folder)
    else:
        rewrite(index, weight_map={})
        assert f"{index}: has no weight_map that names the file" in refusal(folder)


def averaged(folder: Path) -> Path:
    """Keep a moving average beside the network, as the training script of diffusers does."""
    from diffusers import UNet2DModel
    from diffusers.training_utils import EMAModel

    unet = UNet2DModel.from_pretrained(folder / "unet")
    ema = EMAModel(unet.parameters(), model_cls=UNet2DModel, model_config=unet.config)
    ema.shadow_params = [0.9 * parameter for parameter in ema.shadow_params]
    ema.save_pretrained(folder / "unet_ema")
    assert "optimization_step" in json.loads((folder / "unet_ema" / "config.json").read_text())
    return folder


@pytest.mark.parametrize("indexed", [True, False])
def test_the_moving_average_of_a_training_is_preferred_and_named(
    folder: Path, indexed: bool
) -> None:
    if not indexed:
        (folder / "model_index.json").unlink()
    found = load(averaged(folder))
    assert_outputs(found, outputs_of(folder, "unet_ema"))
    with pytest.raises(AssertionError):
        assert_outputs(found, outputs_of(folder, "unet"))
    assert choices(folder, "ddpm") == [
        "the checkpoint says unet unet and unet_ema; the moving average of its weights is sampled, "
        "unet_ema"
    ]


def test_a_moving_average_alone_is_sampled_and_told_by_its_file(folder: Path) -> None:
    shutil.rmtree(averaged(folder) / "unet")
    found = load(folder)
    assert_outputs(found, outputs_of(folder, "unet_ema"))
    assert found.facts["file"] == "unet_ema/diffusion_pytorch_model.safetensors"


def test_a_moving_average_that_nothing_describes_is_not_passed_over(folder: Path) -> None:
    (averaged(folder) / "unet_ema" / "config.json").unlink()
    assert refusal(folder).startswith(f"{folder / 'unet_ema'}: has no config.json: copy that of ")


def test_a_checkpoint_of_a_training_without_a_scheduler_is_one_line(folder: Path) -> None:
    shutil.rmtree(averaged(folder) / "scheduler")
    (folder / "model_index.json").unlink()
    assert "copy the folder scheduler of the training's pipeline into it" in refusal(folder)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "model.", "ema."])
@pytest.mark.parametrize("network", [LIKE_CELEBAHQ, {**LIKE_CELEBAHQ, "act_fn": "gelu"}])
def test_prefixes_of_programs_that_train_are_left_away(
    folder: Path, prefix: str, network: dict[str, Any]
) -> None:
    diffusers_unet(network).save_pretrained(folder / "unet")
    expected = outputs_of(folder)
    save_file({f"{prefix}{k}": w for k, w in tensors(folder).items()}, folder / WEIGHTS)
    found = load(folder)
    assert_outputs(found, expected)
    assert found.choices == ()


@pytest.mark.parametrize("average", ["ema", "ema_model", "model_ema", "unet_EMA"])
def test_of_two_sets_of_weights_the_moving_average_is_taken(folder: Path, average: str) -> None:
    expected = outputs_of(folder)
    both = {f"{average}.{k}": w for k, w in tensors(folder).items()}
    both |= {f"model.{k}": w for k, w in other(folder).items()}
    save_file(both, folder / WEIGHTS)
    found = load(folder)
    assert_outputs(found, expected)
    assert [str(choice) for choice in found.choices] == [
        f"the checkpoint says the weights {', '.join(sorted([average, 'model']))} in "
        f"{WEIGHTS.name}; {average} is sampled"
    ]


def test_two_sets_of_weights_of_which_none_is_an_average_are_refused(folder: Path) -> None:
    both = {f"student.{k}": w for k, w in tensors(folder).items()}
    both |= {f"teacher.{k}": w for k, w in other(folder).items()}
    save_file(both, folder / WEIGHTS)
    assert "has several sets of weights (student, teacher): save the one" in message(
        diffusers_spec(folder)
    )


def test_weights_below_a_key_are_found_and_the_rest_is_named(folder: Path) -> None:
    expected = outputs_of(folder)
    old = {name.replace(".to_q.", ".query."): w for name, w in tensors(folder).items()}
    content = {
        "state_dict": {f"module.{name}": tensor for name, tensor in old.items()},
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}},
        "epoch": 7,
    }
    (folder / WEIGHTS).unlink()
    torch.save(content, (folder / WEIGHTS).with_suffix(".bin"))
    found = load(folder)
    assert_outputs(found, expected)
    (choice,) = found.choices
    assert choice.setting == "the weights epoch, optimizer, state_dict.module"


def test_the_copy_of_a_fourier_embedding_is_no_spare_tensor(tmp_path: Path) -> None:
    from diffusers import ScoreSdeVeScheduler

    unet = diffusers_unet(LIKE_NCSNPP)
    unet.save_pretrained(tmp_path)
    ScoreSdeVeScheduler().save_pretrained(tmp_path)
    expected = outputs_of(tmp_path, "")
    path = tmp_path / "diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    save_file(weights | {"time_proj.W": weights["time_proj.weight"].clone()}, path)
    assert_outputs(load(tmp_path), expected)
    save_file(weights | {"time_proj.W": weights["time_proj.weight"] + 1}, path)
    assert "has time_proj.W, for which" in message(diffusers_spec(tmp_path))


@pytest.mark.parametrize("kind", [torch.int8, torch.uint8, torch.int32, torch.bool])
def test_weights_of_integers_are_refused(folder: Path, kind: torch.dtype) -> None:
    whole = {name: tensor.to(kind) for name, tensor in tensors(folder).items()}
    save_file(whole, folder / WEIGHTS)
    said = message(diffusers_spec(folder))
    name = str(kind).removeprefix("torch.")
    assert f"holds {name}, not float32: weights that were quantised cannot be read" in said
    assert re.search(r"holds (I8|U8|I32|BOOL): weights that were quantised", plan_refusal(folder))


@pytest.mark.parametrize("keep", [0, 4, 100, -10])
def test_damaged_weights_are_named_when_the_config_is_read(folder: Path, keep: int) -> None:
    path = folder / WEIGHTS
    path.write_bytes(path.read_bytes()[:keep])
    assert refusal(folder).startswith(f"{path}: damaged weights (")


@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16, torch.float16])
def test_weights_of_other_floats_become_single_precision(folder: Path, kind: torch.dtype) -> None:
    save_file({name: w.to(kind) for name, w in tensors(folder).items()}, folder / WEIGHTS)
    expected = outputs_of(folder, torch_dtype=torch.float32)
    assert_outputs(load(folder), expected)


@pytest.mark.parametrize("place", [WEIGHTS, NETWORK, SCHEDULER])
def test_a_pointer_of_git_lfs_is_named_when_the_config_is_read(folder: Path, place: Path) -> None:
    (folder / place).write_text(POINTER)
    assert refusal(folder).startswith(f"{folder / place}: is a pointer of git-lfs and not the file")


def test_a_pointer_of_git_lfs_is_named_whatever_kind_of_weights(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_text(POINTER)
    spec = OwnCheckpoint(kind="own", path=path)
    assert "is a pointer of git-lfs" in message(spec)
    with pytest.raises(BenchmarkError, match="is a pointer of git-lfs"):
        spec.describe()
    ncsn = NcsnCheckpoint(kind="ncsn", path=path, network=RefineNet(channels=4, levels=3))
    assert "is a pointer of git-lfs" in message(ncsn)
    with pytest.raises(BenchmarkError, match="is a pointer of git-lfs"):
        ncsn.describe()


def test_folders_and_dangling_links_in_place_of_files_are_named(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / WEIGHTS).mkdir()
    assert f"{folder}: has no unet/diffusion_pytorch_model.safetensors or " in refusal(folder)
    (folder / WEIGHTS).rmdir()
    (folder / WEIGHTS).symlink_to(folder / "gone")
    assert f"{folder}: has no unet/diffusion_pytorch_model.safetensors or " in refusal(folder)


def test_links_to_files_are_followed(folder: Path, tmp_path: Path) -> None:
    expected = outputs_of(folder)
    shutil.move(folder / WEIGHTS, tmp_path / "blob")
    (folder / WEIGHTS).symlink_to(tmp_path / "blob")
    assert_outputs(load(folder), expected)
