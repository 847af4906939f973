"""The settings in scheduler files of diffusers, and what is done with each of them here.

Settings of the process, of the prediction and of clipping are followed. A setting for a process
that is not known here is refused. Settings of the steps are those of the checkpoint's own sampler:
the sampler of the grid takes its place, and `Scheduler.choices_with` tells where the two differ. A
key that diffusers does not know is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import nearest_names
from benchmark.diffusion.processes.base import Process
from benchmark.diffusion.samplers import Sampler
from benchmark.models.choices import Choice

_BETAS: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 1e-4,
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "trained_betas": None,
}
_LATENT_BETAS = _BETAS | {"beta_start": 0.00085, "beta_end": 0.012}
_PREDICTION = {"prediction_type": "epsilon"}
_LEADING = {"timestep_spacing": "leading", "steps_offset": 0}
_LINSPACE = {"timestep_spacing": "linspace", "steps_offset": 0}
_CLIP = {"clip_sample": True, "clip_sample_range": 1.0}
_THRESHOLD = {
    "thresholding": False,
    "dynamic_thresholding_ratio": 0.995,
    "sample_max_value": 1.0,
}
_RESCALE = {"rescale_betas_zero_snr": False}
_SIGMAS = {
    "use_karras_sigmas": False,
    "use_exponential_sigmas": False,
    "use_beta_sigmas": False,
}
_FLOW = {"use_flow_sigmas": False, "flow_shift": 1.0}
_SHIFT = {"use_dynamic_shifting": False, "time_shift_type": "exponential"}
_RANGE = {"sigma_min": None, "sigma_max": None}
_FINAL = {"final_sigmas_type": "zero"}
_SOLVER = {"solver_order": 2, "lower_order_final": True}
_LIMIT = {"lambda_min_clipped": -float("inf"), "variance_type": None}
_DPM = {"algorithm_type": "dpmsolver++", "solver_type": "midpoint", "euler_at_final": False}

_DDPM = _BETAS | _PREDICTION | _CLIP | _THRESHOLD | _LEADING | _RESCALE
_DDIM = _DDPM | {"set_alpha_to_one": True}
_MULTISTEP = _BETAS | _PREDICTION | _THRESHOLD | _LINSPACE | _SOLVER
_K = _LATENT_BETAS | _PREDICTION | _LINSPACE | _SIGMAS

# The settings of each scheduler with diffusers' defaults, which hold for keys that a file leaves
# out; a test compares them. Every network that was trained with one of these schedulers can be
# sampled here: schedulers for other processes or for distilled networks are not among them.
SCHEDULERS: dict[str, dict[str, Any]] = {
    "DDIMInverseScheduler": {k: v for k, v in _DDIM.items() if k not in _THRESHOLD},
    "DDIMParallelScheduler": _DDIM,
    "DDIMScheduler": _DDIM,
    "DDPMParallelScheduler": _DDPM | {"variance_type": "fixed_small"},
    "DDPMScheduler": _DDPM | {"variance_type": "fixed_small"},
    "DEISMultistepScheduler": _MULTISTEP
    | _SIGMAS
    | _FLOW
    | _SHIFT
    | {"algorithm_type": "deis", "solver_type": "logrho"},
    "DPMSolverMultistepInverseScheduler": _MULTISTEP | _SIGMAS | _FLOW | _LIMIT | _DPM,
    "DPMSolverMultistepScheduler": _MULTISTEP
    | _SIGMAS
    | _FLOW
    | _SHIFT
    | _FINAL
    | _LIMIT
    | _DPM
    | _RESCALE
    | {"use_lu_lambdas": False},
    "DPMSolverSDEScheduler": _K | {"noise_sampler_seed": None},
    "DPMSolverSinglestepScheduler": {
        key: value
        for key, value in (_MULTISTEP | _SIGMAS | _FLOW | _SHIFT | _FINAL | _LIMIT | _DPM).items()
        if key not in _LINSPACE and key != "euler_at_final"
    }
    | {"lower_order_final": False},
    "EulerAncestralDiscreteScheduler": _BETAS | _PREDICTION | _LINSPACE | _RESCALE,
    "EulerDiscreteScheduler": _BETAS
    | _PREDICTION
    | _LINSPACE
    | _SIGMAS
    | _RANGE
    | _FINAL
    | _RESCALE
    | {"interpolation_type": "linear", "timestep_type": "discrete"},
    "HeunDiscreteScheduler": _K | _CLIP | {"clip_sample": False},
    "KDPM2AncestralDiscreteScheduler": _K,
    "KDPM2DiscreteScheduler": _K,
    "LMSDiscreteScheduler": _BETAS | _PREDICTION | _LINSPACE | _SIGMAS,
    "PNDMScheduler": _BETAS
    | _PREDICTION
    | _LEADING
    | {"skip_prk_steps": False, "set_alpha_to_one": False},
    "RePaintScheduler": _BETAS | {"clip_sample": True, "eta": 0.0},
    "SASolverScheduler": {k: v for k, v in _MULTISTEP.items() if k != "solver_order"}
    | _SIGMAS
    | _FLOW
    | _LIMIT
    | {
        "predictor_order": 2,
        "corrector_order": 2,
        "tau_func": None,
        "algorithm_type": "data_prediction",
    },
    "ScoreSdeVeScheduler": {
        "num_train_timesteps": 2000,
        "snr": 0.15,
        "sigma_min": 0.01,
        "sigma_max": 1348.0,
        "sampling_eps": 1e-5,
        "correct_steps": 1,
    },
    "UnCLIPScheduler": {
        "num_train_timesteps": 1000,
        "beta_schedule": "squaredcos_cap_v2",
        "prediction_type": "epsilon",
        "variance_type": "fixed_small_log",
        "clip_sample": True,
        "clip_sample_range": 1.0,
    },
    "UniPCMultistepScheduler": _MULTISTEP
    | _SIGMAS
    | _FLOW
    | _SHIFT
    | _FINAL
    | _RANGE
    | _RESCALE
    | {
        "predict_x0": True,
        "solver_type": "bh2",
        "disable_corrector": [],
        "solver_p": None,
        "shift_terminal": None,
    },
}

_FLOW_MATCHING = "its networks learn flow matching"
_DENOISERS = "its networks are preconditioned as those of Karras et al. 2022"
_CONSISTENCY = "its networks learn to map noise to the image in one step"
_DISTILLED = "its networks are distilled to few steps of their own"

# Other schedulers of diffusers, and what their networks learn.
UNKNOWN: dict[str, str] = {
    "CMStochasticIterativeScheduler": _CONSISTENCY,
    "EDMDPMSolverMultistepScheduler": _DENOISERS,
    "EDMEulerScheduler": _DENOISERS,
    "FlowMatchEulerDiscreteScheduler": _FLOW_MATCHING,
    "FlowMatchHeunDiscreteScheduler": _FLOW_MATCHING,
    "FlowMatchLCMScheduler": _DISTILLED,
    "LCMScheduler": _DISTILLED,
    "TCDScheduler": _DISTILLED,
}

# Settings that are followed: of the process, of the prediction and of clipping.
FOLLOWED = {
    "num_train_timesteps",
    "beta_start",
    "beta_end",
    "beta_schedule",
    "rescale_betas_zero_snr",
    "prediction_type",
    "clip_sample",
    "clip_sample_range",
    "sampling_eps",
}
# Settings that change the process, or that no sampler here follows: the only value that is
# accepted, and why others are refused.
REFUSED: dict[str, tuple[Any, str]] = {
    "trained_betas": (None, "only schedules that beta_schedule names are sampled"),
    "thresholding": (False, "only clip_sample is done; set it to false"),
    "timestep_type": ("discrete", "only networks that are told discrete times are sampled"),
    "use_flow_sigmas": (False, "only networks of diffusion are sampled, not of flow matching"),
    "use_dynamic_shifting": (False, "only networks of diffusion are sampled, not of flow matching"),
    "shift_terminal": (None, "only networks of diffusion are sampled, not of flow matching"),
}
# Settings without effect, since they belong to a setting that is refused.
IDLE = {"dynamic_thresholding_ratio", "sample_max_value", "flow_shift", "time_shift_type"}
# Settings of steps that samplers here have too, with the name of their option.
OPTIONS = {
    "variance_type": "variance",
    "timestep_spacing": "spacing",
    "final_sigmas_type": "final_sigmas_type",
    "lower_order_final": "lower_order_final",
    "snr": "snr",
    "correct_steps": "corrections",
    "eta": "eta",
}
# Settings of steps for which all samplers here use the same value.
ALWAYS = {"steps_offset": 0, "set_alpha_to_one": True}
# Settings of steps that only one solver has. A sampler here has an option of the same name, or
# none.
OTHERS = {
    "sigma_min",
    "sigma_max",
    "euler_at_final",
    "solver_order",
    "predictor_order",
    "corrector_order",
    "algorithm_type",
    "solver_type",
    "predict_x0",
    "disable_corrector",
    "solver_p",
    "tau_func",
    "lambda_min_clipped",
    "interpolation_type",
    "skip_prk_steps",
    "noise_sampler_seed",
}
# Settings that replace `timestep_spacing` when they are true, with the name of their spacing.
SPACINGS = {
    "use_karras_sigmas": "karras",
    "use_exponential_sigmas": "exponential",
    "use_beta_sigmas": "beta",
    "use_lu_lambdas": "lu",
}
# Two names of diffusers for the same variance, of which it computes one through the logarithm.
_SAME = {"fixed_small_log": "fixed_small"}

SCORE_SDE_VE = "ScoreSdeVeScheduler"
FOLLOWED_BY_VE = {"sigma_min", "sigma_max"}

# Keys of old versions of diffusers: what the network predicts, and the library that computes.
OLD = {"predict_epsilon", "tensor_format"}
KNOWN = OLD.union(*SCHEDULERS.values())


@dataclass(frozen=True)
class Scheduler:
    """A scheduler file of diffusers.

    Attributes:
        kind: name of its class in diffusers.
        path: path of the file, for errors.
        settings: settings of the class, with defaults for those that the file leaves out.
        foreign: settings in the file that only other classes have.
    """

    kind: str
    path: Path
    settings: Mapping[str, Any]
    foreign: Mapping[str, Any]

    @property
    def learned_variance(self) -> bool:
        """Whether the network predicts the variance of a step, too."""
        return bool(self.settings.get("variance_type") == "learned_range")

    def choices_with(self, sampler: Sampler, process: Process) -> list[Choice]:
        """Return the settings of this scheduler that a sampler does not follow.

        Args:
            sampler: sampler of the grid.
            process: process that is sampled.
        """
        found = [
            Choice.of(key, value, f"it is no setting of a {self.kind}, which does not read it")
            for key, value in self.foreign.items()
        ]
        usual, own = SCHEDULERS[self.kind], sampler.diffusers == self.kind
        for key, value in _steps(self.settings).items():
            option, ours = _ours(key, sampler, process)
            theirs = SPACINGS.get(key) or _SAME.get(str(value), value)
            if key in OTHERS and value == usual[key] and not own:
                continue  # a default of the checkpoint's solver, which no other solver has
            if ours is None and value != usual[key]:
                found.append(
                    Choice.of(key, value, f"the grid's {sampler.kind} has no such setting")
                )
            elif ours not in (None, theirs):
                used = ours if isinstance(ours, str) else json.dumps(ours)
                found.append(
                    Choice.of(key, value, f"the grid's {sampler.kind} uses {option} {used}")
                )
        return found


def read_scheduler(config: Mapping[str, Any], path: Path) -> Scheduler:
    """Return what a scheduler file says.

    Args:
        config: content of scheduler_config.json.
        path: path of that file, for errors.

    Raises:
        BenchmarkError: the class or a key is not known, or a setting cannot be followed.
    """
    kind = str(config.get("_class_name"))
    if kind not in SCHEDULERS:
        raise BenchmarkError(
            f"{path}: {kind} is no scheduler whose process is known here: "
            f"{UNKNOWN.get(kind) or nearest_names(kind, SCHEDULERS)}"
        )
    given = {key: value for key, value in config.items() if not key.startswith("_")}
    for key in given:
        if key not in KNOWN:
            raise BenchmarkError(
                f"{path}: {key} is no setting of these schedulers: remove it, if the samples do "
                f"not depend on it; {nearest_names(key, KNOWN)}"
            )
    usual = SCHEDULERS[kind]
    settings = usual | {key: value for key, value in given.items() if key in usual}
    read = {*usual, "tensor_format"}
    if given.get("predict_epsilon") is not None and "prediction_type" in usual:
        settings["prediction_type"] = _prediction(given, path)
        read.add("predict_epsilon")
    _check(settings, usual, path)
    foreign = {key: value for key, value in given.items() if key not in read}
    return Scheduler(kind, path, settings, foreign)


def _ours(key: str, sampler: Sampler, process: Process) -> tuple[str, Any]:
    """Return the sampler's option for a setting of diffusers, and its value; None: it has none."""
    if key in ALWAYS:
        return key, ALWAYS[key]
    if key in SPACINGS or key == "timestep_spacing":
        return "spacing", sampler.spacing_on(process)
    option = OPTIONS.get(key, key)
    value = getattr(sampler, option, None)
    return option, list(value) if isinstance(value, tuple) else value


def _steps(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of steps that have an effect."""
    steps = {
        key: value
        for key, value in settings.items()
        if key in OPTIONS or key in ALWAYS or key in OTHERS
    }
    for key in SPACINGS:
        if settings.get(key):
            steps.pop("timestep_spacing", None)
            steps[key] = True
    return {
        k: v for k, v in steps.items() if "beta_schedule" in settings or k not in FOLLOWED_BY_VE
    }


def _prediction(given: Mapping[str, Any], path: Path) -> str:
    """Return what a network predicts, from the setting with the old name, `predict_epsilon`.

    Raises:
        BenchmarkError: it is neither true nor false, or `prediction_type` contradicts it.
    """
    if not isinstance(given["predict_epsilon"], bool):
        raise BenchmarkError(
            f"{path}: predict_epsilon is {given['predict_epsilon']!r}: true or false would be right"
        )
    said = "epsilon" if given["predict_epsilon"] else "sample"
    if given.get("prediction_type", said) != said:
        raise BenchmarkError(
            f"{path}: predict_epsilon says that the network predicts {said}, prediction_type "
            f"{given['prediction_type']}: remove the one that is wrong"
        )
    return said


def _check(settings: Mapping[str, Any], usual: Mapping[str, Any], path: Path) -> None:
    """Refuse settings that cannot be followed."""
    for key, value in settings.items():
        if isinstance(usual[key], bool) and not isinstance(value, bool):
            raise BenchmarkError(f"{path}: {key} is {value!r}: true or false would be right")
        if key in REFUSED and value != REFUSED[key][0]:
            shown = repr(value) if isinstance(value, str) else "set"
            raise BenchmarkError(f"{path}: {key} is {shown}: {REFUSED[key][1]}")
    if (
        settings.get("variance_type") == "learned"
    ):  # which diffusers does not take as its authors do
        raise BenchmarkError(
            f"{path}: variance_type is 'learned': only networks that predict no variance, or one "
            "of learned_range, are sampled"
        )
    if settings.get("clip_sample") and settings.get("clip_sample_range", 1.0) != 1:
        raise BenchmarkError(
            f"{path}: clip_sample_range is {settings['clip_sample_range']!r}: only 1 is done; set "
            "it to 1, or clip_sample to false"
        )
