"""The job that measures the likelihood of images under a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmark.config.jobs.base import Files, RecordedJob, data_spec

if TYPE_CHECKING:
    from benchmark.config.jobs.sample import SampleJob
    from benchmark.config.jobs.subject import Subject
    from benchmark.config.schema import Likelihood


@dataclass(frozen=True, kw_only=True)
class LikelihoodJob(RecordedJob):
    """Measure the likelihood of training, held-out and sampled images under a network.

    Attributes:
        network: job that samples with the network, which says where its weights are.
        subjects: cells with its samples.
        settings: how the likelihood is measured.
        seed: seed of the run.
    """

    kind = "likelihood"
    network: SampleJob
    subjects: tuple[Subject, ...]
    settings: Likelihood
    seed: int

    def spec(self) -> dict[str, Any]:
        """Return all that the figures depend on, except files of weights and samples."""
        return {
            "seed": self.seed,
            "likelihood": self.settings.model_dump(mode="json", exclude={"model"}),
            "cells": [subject.name for subject in self.subjects],
            "batch": self.network.batch,
            "clip": self.network.clip,
            **self.network.computing.spec(),
            **self.network.weights_spec(),
            "compared": data_spec(self.network.source),
        }

    def modules(self) -> list[str]:
        """Return the stage, and the modules of the network and of the schedule."""
        return ["benchmark.stages.likelihood", *self.network.network_modules()]

    def files(self) -> Files | None:
        """Return the files of ready weights on this machine; None: the weights are trained."""
        return self.network.files()
