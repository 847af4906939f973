"""Two runs started together in one checkout."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmark.paths import Run

SMOKE = Path(__file__).parent / "smoke.yaml"
NAMES = ("one", "two")


def start(folder: Path, name: str) -> subprocess.Popen[str]:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--configfile", f"{name}.yaml"]
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def end(run: subprocess.Popen[str]) -> None:
    out, _ = run.communicate()
    assert run.returncode == 0, out


@pytest.mark.slow
def test_two_runs_started_together_find_what_they_find_one_after_the_other(
    tmp_path: Path,
    lay_out: Callable[[Path], Path],
    found: Callable[[Run], dict[str, Any]],
) -> None:
    together, apart = tmp_path / "together", tmp_path / "apart"
    for folder in (together, apart):
        folder.mkdir()
        lay_out(folder)
        for seed, name in enumerate(NAMES):
            content = yaml.safe_load(SMOKE.read_text()) | {"run": name, "seed": seed}
            del content["grid"][1]
            content["grid"][0]["schedule"] = "linear"
            (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
    for run in [start(together, name) for name in NAMES]:
        end(run)
    for name in NAMES:
        end(start(apart, name))
    for name in NAMES:
        both = (found(Run(folder / "results" / name)) for folder in (together, apart))
        assert next(both) == next(both)
    samples = [found(Run(together / "results" / name))["DDPM-linear-ddpm-10-s0"] for name in NAMES]
    assert samples[0] != samples[1]
