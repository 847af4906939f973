"""Scheduler files of diffusers: what they say, and which of it a sampler of the grid follows."""

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
from benchmark.models.scheduler_settings import (
    ALWAYS,
    FOLLOWED_WITHOUT_BETAS,
    KNOWN,
    OF_OTHER_NETWORKS,
    OPTIONS,
    OTHERS,
    REFUSED,
    SAME,
    SCHEDULERS,
    SPACINGS,
    UNKNOWN,
)


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
            theirs = SPACINGS.get(key) or SAME.get(str(value), value)
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
    for key, training in OF_OTHER_NETWORKS.items():
        if key in foreign:
            raise BenchmarkError(
                f"{path}: {key} says of the network that {training}, which a {kind} does not "
                "sample: a DDPMPipeline with the scheduler of the training would be right"
            )
    return Scheduler(kind, path, settings, foreign)


def _ours(key: str, sampler: Sampler, process: Process) -> tuple[str, Any]:
    """Return the sampler's option for a setting of diffusers, and its value; None: it has none."""
    if key in ALWAYS:
        return key, ALWAYS[key]
    option = OPTIONS.get(key, key)
    if key in SPACINGS or option == "spacing":
        return "spacing", sampler.spacing_on(process)
    value = getattr(sampler, option, None)
    return option, list(value) if isinstance(value, tuple) else value


def _steps(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of steps that have an effect."""
    steps = {
        key: value
        for key, value in settings.items()
        if key in OPTIONS or key in ALWAYS or key in OTHERS
    }
    if settings.get("use_flow_sigmas"):  # whose times follow from flow_shift alone
        steps.pop("timestep_spacing", None)
    for key in SPACINGS:
        if settings.get(key):
            steps.pop("timestep_spacing", None)
            steps[key] = True
    if "beta_schedule" in settings:
        return steps
    return {key: value for key, value in steps.items() if key not in FOLLOWED_WITHOUT_BETAS}


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
