"""Does jobs of a config in this process."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from benchmark.config.config import Config
from benchmark.storage.paths import Run

MERGED = ("merge_samples", "merge_features")  # the rules of the stage `merge`


def do(rule: str, config: Config, name: str, run: Run, **options: Any) -> Any:
    """Do the job of a rule, and return its record or its records."""
    stage = import_module(f"benchmark.stages.{'merge' if rule in MERGED else rule}").stage
    return stage(config.job(rule, name), run, **options)
