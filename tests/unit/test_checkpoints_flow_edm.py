"""Checkpoints of diffusers whose networks learn flow matching, or are preconditioned as in EDM."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from stages import do
from test_checkpoints import NETWORK, SCHEDULER, folder, original, refusal, with_scheduler
from test_pretrained import LIKE_CELEBAHQ, diffusers_unet, load, rewrite
from torch import Tensor

from benchmark.config.config import Config
from benchmark.config.loading import parse_config
from benchmark.core.errors import BenchmarkError
from benchmark.diffusion.denoiser import Denoiser
from benchmark.diffusion.processes.base import Prediction
from benchmark.diffusion.samplers import SAMPLERS
from benchmark.diffusion.schedules import SCHEDULES, Schedule
from benchmark.diffusion.schedules.edm import EDMSchedule
from benchmark.diffusion.schedules.flow import FlowSchedule
from benchmark.models.description import Loaded
from benchmark.models.diffusers_config import schedule_and_prediction
from benchmark.models.scheduler_settings import SCHEDULERS, UNKNOWN
from benchmark.models.schedulers import read_scheduler
from benchmark.storage.paths import Run

__all__ = ["folder", "original"]  # fixtures

FLOW, FLOW_HEUN = "FlowMatchEulerDiscreteScheduler", "FlowMatchHeunDiscreteScheduler"
EDM, EDM_DPM = "EDMEulerScheduler", "EDMDPMSolverMultistepScheduler"
UNIPC, DPM = "UniPCMultistepScheduler", "DPMSolverMultistepScheduler"
SAID = {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}
LINSPACE = {"spacing": "linspace"}
SIGMA_MIN = {"final_sigmas_type": "sigma_min"}
STEPS = 5


def ours(
    found: Loaded, sampler: str, options: dict[str, Any], x: Tensor, first: float | None = None
) -> Tensor:
    """Return samples from the state x; first: a time in place of the first one."""
    chosen, process = SAMPLERS.make(sampler, **options), found.schedule.process()
    times = chosen.plan(process, STEPS)
    times[0] = first or times[0]
    found.check_sampler(chosen, times)
    model = Denoiser(found.network, process, found.prediction, found.clip)
    with torch.no_grad():
        return chosen.sample(model, process, x, times, lambda: torch.zeros(0))


def theirs(folder: Path, kind: str, x: Tensor) -> Tensor:
    """Return samples of the files as diffusers reads them, from the same state."""
    network = diffusers.UNet2DModel.from_pretrained(folder / "unet").eval()
    scheduler = getattr(diffusers, kind).from_pretrained(folder / "scheduler")
    scheduler.set_timesteps(STEPS)
    for i, t in enumerate(scheduler.timesteps):
        inner = scheduler.scale_model_input(x, t) if "EDM" in kind else x
        # Schedulers with flow sigmas cut times off to whole ones, 999 for 999.999.
        told = t if t.is_floating_point() else 1000 * scheduler.sigmas[i]
        with torch.no_grad():
            x = scheduler.step(network(inner, told).sample, t, x).prev_sample
    return x


@pytest.mark.parametrize(
    ("kind", "settings", "sampler", "options"),
    [
        (FLOW, {}, "ddim", LINSPACE),
        (FLOW, {"shift": 3.0}, "ddim", LINSPACE),
        (FLOW_HEUN, {"shift": 3.0}, "heun", LINSPACE),
        (EDM, {}, "ddim", {}),
        (EDM, {"sigma_min": 0.01, "sigma_max": 20.0, "sigma_data": 0.3}, "ddim", {}),
        (EDM_DPM, {}, "dpm-solver++", {}),
        (EDM_DPM, SIGMA_MIN, "dpm-solver++", SIGMA_MIN),
    ],
    ids=str,
)
def test_what_is_not_named_is_as_diffusers_samples_it(
    folder: Path, kind: str, settings: dict[str, Any], sampler: str, options: dict[str, Any]
) -> None:
    with_scheduler(folder, kind, **settings)
    found = load(folder)
    assert found.choices_with(SAMPLERS.make(sampler, **options)) == []
    noise = torch.randn((2, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    x = found.schedule.process().prior(noise)
    sampled, expected = ours(found, sampler, options, x), theirs(folder, kind, x)
    torch.testing.assert_close(sampled, expected, rtol=1e-5, atol=1e-5)


def test_unipc_on_a_flow_is_that_of_diffusers_from_its_first_time(folder: Path) -> None:
    """It starts at 1 - 1e-6, and so has a derivative where there is no signal at all."""
    with_scheduler(folder, UNIPC, **SAID, flow_shift=3.0)
    found = load(folder)
    assert found.choices_with(SAMPLERS.make("unipc")) == []
    x = torch.randn((2, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    sampled, expected = ours(found, "unipc", {}, x, 1 - 1e-6), theirs(folder, UNIPC, x)
    torch.testing.assert_close(sampled, expected, rtol=1e-5, atol=1e-5)


def test_a_pipeline_of_diffusers_samples_flow_matching_too(folder: Path) -> None:
    with_scheduler(folder, FLOW, shift=2.0)
    pipeline = diffusers.DDPMPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(0)
    expected = pipeline(2, generator, num_inference_steps=STEPS, output_type="np").images
    noise = torch.randn((2, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    found = (ours(load(folder), "ddim", LINSPACE, noise) / 2 + 0.5).clamp(0, 1)
    np.testing.assert_allclose(found.permute(0, 2, 3, 1).numpy(), expected, atol=1e-5)


def read(kind: str, **settings: Any) -> tuple[Schedule, Prediction]:
    return schedule_and_prediction(read_scheduler({"_class_name": kind, **settings}, SCHEDULER))


@pytest.mark.parametrize(
    ("kind", "settings", "schedule", "prediction"),
    [
        (FLOW, {}, FlowSchedule(t_end=0.001), "velocity"),
        (FLOW, {"shift": 3}, FlowSchedule(shift=3, t_end=0.003 / 1.002), "velocity"),
        (FLOW_HEUN, {"shift": 3}, FlowSchedule(shift=3, t_end=0.003 / 1.002), "velocity"),
        (UNIPC, SAID | {"flow_shift": 3}, FlowSchedule(shift=3, t_end=0.001), "velocity"),
        (DPM, SAID | {"prediction_type": "sample"}, FlowSchedule(t_end=0.001), "x0"),
        (EDM, {}, EDMSchedule(), "edm"),
        (EDM, {"sigma_data": 1}, EDMSchedule(sigma_data=1), "edm"),
        (EDM_DPM, {"sigma_max": 7}, EDMSchedule(sigma_max=7), "edm"),
    ],
    ids=str,
)
def test_the_process_is_that_of_the_training(
    kind: str, settings: dict[str, Any], schedule: Schedule, prediction: Prediction
) -> None:
    found = read(kind, **settings)
    options = found[0].model_dump()
    assert options.pop("kind") == schedule.kind
    assert options == pytest.approx(schedule.model_dump(exclude={"kind"}), rel=1e-12)
    assert found[1] == prediction


@pytest.mark.parametrize("kind", [FLOW, FLOW_HEUN, EDM, EDM_DPM])
def test_what_a_file_leaves_out_is_as_its_own_class_has_it(kind: str) -> None:
    """The ends of diffusers' own noise levels."""
    process = read(kind)[0].process()
    levels = process.sigma(np.array([process.t_max, process.t_min]))
    sigmas = getattr(diffusers, kind)().sigmas
    np.testing.assert_allclose(levels, sigmas[sigmas > 0][[0, -1]], rtol=1e-6)


@pytest.mark.parametrize(
    ("kind", "settings", "wrong"),
    [
        (FLOW, {"num_train_timesteps": 100}, "num_train_timesteps is 100: 1000 would be right"),
        (FLOW, {"shift": 0}, "shift: "),
        (FLOW, {"shift": "x"}, "shift: a number is needed, not 'x'"),
        (FLOW, {"shift_terminal": 0.1}, "shift_terminal is set: no times here are stretched"),
        (FLOW, {"use_dynamic_shifting": True}, "use_dynamic_shifting is set: its pipeline"),
        (FLOW, {"invert_sigmas": True}, "invert_sigmas is set: only networks whose time grows"),
        (DPM, {"prediction_type": "flow_prediction"}, "prediction_type is 'flow_prediction': "),
        (DPM, {"use_flow_sigmas": True}, "prediction_type is 'epsilon': known are flow_predict"),
        (EDM, {"prediction_type": "v_prediction"}, "prediction_type is 'v_prediction': known are"),
        (EDM, {"sigma_min": 80}, "schedule: sigma_min = 80.0 and sigma_max = 80.0 make no"),
        (EDM, {"sigma_data": 0}, "sigma_data: "),
        (EDM_DPM, {"thresholding": True}, "thresholding is set: "),
        ("DDIMScheduler", {"shift": 3}, "shift says of the network that it was trained for flow"),
        ("DDPMScheduler", {"sigma_data": 0.5}, "sigma_data says of the network that it is precond"),
    ],
    ids=str,
)
def test_settings_that_cannot_be_followed_are_refused(
    kind: str, settings: dict[str, Any], wrong: str
) -> None:
    with pytest.raises(BenchmarkError) as caught:
        read(kind, **settings)
    assert str(caught.value).startswith(f"{SCHEDULER}: {wrong}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "settings", "sampler", "named"),
    [
        (FLOW, {"use_karras_sigmas": True}, "ddim", "ddim uses spacing trailing"),
        (FLOW, {"stochastic_sampling": True}, "ddim", "ddim has no such setting"),
        (EDM, {"sigma_schedule": "exponential"}, "ddim", "ddim uses spacing karras"),
        (EDM, {"rho": 5.0}, "heun", "heun uses rho 7.0"),
        (EDM, {"final_sigmas_type": "sigma_min"}, "ddim", "ddim has no such setting"),
        (EDM_DPM, {"solver_order": 3}, "dpm-solver++", "dpm-solver++ has no such setting"),
    ],
    ids=str,
)
def test_settings_that_the_sampler_of_the_grid_decides_are_named(
    kind: str, settings: dict[str, Any], sampler: str, named: str
) -> None:
    scheduler = read_scheduler({"_class_name": kind, **settings}, SCHEDULER)
    process = schedule_and_prediction(scheduler)[0].process()
    (choice,) = scheduler.choices_with(SAMPLERS.make(sampler), process)
    assert choice.setting in settings
    assert str(choice).endswith(f"the grid's {named}")


@pytest.mark.parametrize(("kind", "schedule"), [(FLOW, "flow"), (EDM, "edm")])
def test_a_config_samples_it(
    smoke: Config, run: Run, folder: Path, kind: str, schedule: str
) -> None:
    diffusers_unet(LIKE_CELEBAHQ | {"sample_size": 16}).save_pretrained(folder / "unet")
    with_scheduler(folder, kind)
    content = smoke.model_dump(mode="json")
    weights = {"kind": "diffusers", "source": str(folder)}
    content["models"] = {"M": {"family": "F", "data": "tiny", "weights": weights}}
    entry = {"table": "t", "schedule": schedule, "sampler": "heun", "steps": 2, "samples": 4}
    config = parse_config(content | {"grid": [entry | {"model": "M"}]})
    checkpoint = do("sample", config, config.cells[0].id, run).checkpoint
    assert checkpoint is not None
    assert checkpoint.schedule == SCHEDULES.make(schedule).model_dump(mode="json")
    assert not checkpoint.choices


def test_a_network_of_another_training_is_refused_in_a_pipeline_of_ddim(folder: Path) -> None:
    with_scheduler(folder, FLOW)
    rewrite(folder / "model_index.json", _class_name="DDIMPipeline")
    assert "which a DDIMScheduler does not sample: a DDPMPipeline with" in refusal(folder)


def test_a_network_that_knows_whole_times_alone_is_refused(folder: Path) -> None:
    with_scheduler(folder, FLOW)
    rewrite(folder / NETWORK, time_embedding_type="learned", num_train_timesteps=1000)
    assert "those of the flow process lie between: positional would be right" in refusal(folder)


@pytest.mark.parametrize("kind", [FLOW, EDM])
def test_a_network_that_is_told_noise_levels_is_refused(folder: Path, kind: str) -> None:
    with_scheduler(folder, kind)
    rewrite(folder / NETWORK, time_embedding_type="fourier")
    assert "with time_embedding_type fourier is told noise levels, but" in refusal(folder)


def test_every_scheduler_of_diffusers_is_sampled_or_refused_with_a_reason() -> None:
    names = {name for name in dir(diffusers) if name.endswith("Scheduler")}
    assert {name for name in names if not name.startswith("Flax")} == {*SCHEDULERS, *UNKNOWN}
    assert not SCHEDULERS.keys() & UNKNOWN.keys()
