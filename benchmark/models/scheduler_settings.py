"""The settings in scheduler files of diffusers, and what is done with each of them here.

Settings of the process, of the prediction and of clipping are followed. A setting for a process
that is not known here is refused. Settings of the steps are those of the checkpoint's own sampler:
the sampler of the grid takes its place, and `Scheduler.choices_with` tells where the two differ. A
key that diffusers does not know is refused.
"""

from __future__ import annotations

from typing import Any

from benchmark.diffusion.timesteps import KARRAS_RHO

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
_STRAIGHT = {"num_train_timesteps": 1000, "shift": 1.0}
_EDM = (
    {
        "sigma_min": 0.002,
        "sigma_max": 80.0,
        "sigma_data": 0.5,
        "sigma_schedule": "karras",
        "num_train_timesteps": 1000,
        "rho": 7.0,
    }
    | _PREDICTION
    | _FINAL
)

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
    "EDMDPMSolverMultistepScheduler": _EDM | _THRESHOLD | _SOLVER | _DPM,
    "EDMEulerScheduler": _EDM,
    "EulerAncestralDiscreteScheduler": _BETAS | _PREDICTION | _LINSPACE | _RESCALE,
    "EulerDiscreteScheduler": _BETAS
    | _PREDICTION
    | _LINSPACE
    | _SIGMAS
    | _RANGE
    | _FINAL
    | _RESCALE
    | {"interpolation_type": "linear", "timestep_type": "discrete"},
    "FlowMatchEulerDiscreteScheduler": _STRAIGHT
    | _SHIFT
    | _SIGMAS
    | {
        "base_shift": 0.5,
        "max_shift": 1.15,
        "base_image_seq_len": 256,
        "max_image_seq_len": 4096,
        "invert_sigmas": False,
        "shift_terminal": None,
        "stochastic_sampling": False,
    },
    "FlowMatchHeunDiscreteScheduler": _STRAIGHT,
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

_STEP = "its networks learn to go from noise to the image in one step or few"
_TOKENS = "its networks fill in tokens"
_VIDEOS = "its networks make videos"
_AUDIO = "its networks make audio"

# Other schedulers of diffusers, and what their networks learn.
UNKNOWN: dict[str, str] = {
    "AmusedScheduler": _TOKENS,
    "BlockRefinementScheduler": _TOKENS,
    "CMStochasticIterativeScheduler": _STEP,
    "CogVideoXDDIMScheduler": _VIDEOS,
    "CogVideoXDPMScheduler": _VIDEOS,
    "CosineDPMSolverMultistepScheduler": _AUDIO,
    "DDPMWuerstchenScheduler": "its networks make latents",
    "DiscreteDDIMScheduler": _TOKENS,
    "EntropyBoundScheduler": _TOKENS,
    "FlowMapEulerDiscreteScheduler": _STEP,
    "FlowMatchLCMScheduler": _STEP,
    "HeliosDMDScheduler": _VIDEOS,
    "HeliosScheduler": _VIDEOS,
    "IPNDMScheduler": _AUDIO,
    "KarrasVeScheduler": "diffusers no longer has it, and its files say nothing of the training",
    "LCMScheduler": _STEP,
    "LTXEulerAncestralRFScheduler": _VIDEOS,
    "MiniMaxH3Scheduler": _VIDEOS,
    "PiflowScheduler": _STEP,
    "RFD4ProteinaScheduler": "its networks make proteins",
    "SCMScheduler": _STEP,
    "TCDScheduler": _STEP,
    "VQDiffusionScheduler": _TOKENS,
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
    "shift",
    "use_flow_sigmas",
    "flow_shift",
    "sigma_data",
}
# Settings that change the process, or that no sampler here follows: the only value that is
# accepted, and why others are refused.
REFUSED: dict[str, tuple[Any, str]] = {
    "trained_betas": (None, "only schedules that beta_schedule names are sampled"),
    "thresholding": (False, "only clip_sample is done; set it to false"),
    "timestep_type": ("discrete", "only networks that are told discrete times are sampled"),
    "use_dynamic_shifting": (
        False,
        "its pipeline chooses such a shift; set it to false, and shift or flow_shift to a number",
    ),
    "shift_terminal": (None, "no times here are stretched to end at a given one; set it to null"),
    "invert_sigmas": (False, "only networks whose time grows with the noise are sampled"),
}
# Settings without effect, since they belong to a setting that is refused.
IDLE = {
    "dynamic_thresholding_ratio",
    "sample_max_value",
    "time_shift_type",
    "base_shift",
    "max_shift",
    "base_image_seq_len",
    "max_image_seq_len",
}
# Settings of steps that samplers here have too, with the name of their option.
OPTIONS = {
    "variance_type": "variance",
    "timestep_spacing": "spacing",
    "sigma_schedule": "spacing",
    "final_sigmas_type": "final_sigmas_type",
    "lower_order_final": "lower_order_final",
    "snr": "snr",
    "correct_steps": "corrections",
    "eta": "eta",
}
# Settings of steps for which all samplers here use the same value.
ALWAYS = {"steps_offset": 0, "set_alpha_to_one": True, "rho": float(KARRAS_RHO)}
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
    "stochastic_sampling",
}
# Settings that replace `timestep_spacing` when they are true, with the name of their spacing.
SPACINGS = {
    "use_karras_sigmas": "karras",
    "use_exponential_sigmas": "exponential",
    "use_beta_sigmas": "beta",
    "use_lu_lambdas": "lu",
}
# Two names of diffusers for the same variance, of which it computes one through the logarithm.
SAME = {"fixed_small_log": "fixed_small"}

SCORE_SDE_VE = "ScoreSdeVeScheduler"
# Settings of some solvers that are followed where a scheduler has no `beta_schedule`: they are then
# those of the process.
FOLLOWED_WITHOUT_BETAS = {"sigma_min", "sigma_max"}
# Settings that only schedulers of networks of another training have.
OF_OTHER_NETWORKS = {
    "shift": "it was trained for flow matching",
    "sigma_data": "it is preconditioned as those of Karras et al. 2022",
}

# Keys of old versions of diffusers: what the network predicts, and the library that computes.
OLD = {"predict_epsilon", "tensor_format"}
KNOWN = OLD.union(*SCHEDULERS.values())
