"""The profiles: each parses, and plans the smallest run with what its jobs ask for."""

from __future__ import annotations

import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import forks
import pytest
import yaml
from snakemake_executor_plugin_slurm.utils import set_gres_string

PROJECT = Path(__file__).parents[2]
PROFILES = PROJECT / "workflow" / "profiles"


class Asked(dict[str, Any]):
    """What a job asks for; items are attributes too, as Snakemake gives them to plug-ins."""

    __getattr__ = dict.__getitem__


def plan(profile: str, *options: str, profiles: Path = PROFILES) -> str:
    arguments = [
        *("--dry-run", "--nolock", "--snakefile"),
        *(
            str(PROJECT / "Snakefile"),
            "--workflow-profile",
            str(profiles / profile),
        ),
        *("--configfile", str(PROJECT / "tests" / "workflow" / "smoke.yaml")),
        *("--config", "run=planned", *options),
    ]
    done = forks.run(forks.SNAKEMAKE, "snakemake", arguments, PROJECT, os.environ)
    text = done.stdout + done.stderr
    assert done.returncode == 0, text
    assert f"{profile} for setting default" in text
    assert "prepare" in text.split("Job stats:")[1]
    return text


def resources(text: str, rule: str) -> dict[str, str]:
    """What the first job of a rule asks for."""
    line = re.search(rf"^rule {rule}:.*?resources: ([^\n]*)", text, re.MULTILINE | re.DOTALL)
    assert line is not None
    return dict(item.split("=", 1) for item in line.group(1).split(", "))


@pytest.mark.parametrize("profile", ["default", "gpu"])
def test_a_profile_of_one_machine_plans_the_run(profile: str) -> None:
    assert resources(plan(profile), "train")["gpu"] == "0"
    settings = yaml.safe_load((PROFILES / profile / "config.yaml").read_text())
    assert settings["scheduler"] == "greedy"  # which is fast with hundreds of cells
    assert settings["scheduler-subsample"] == 50


def test_jobs_on_a_cluster_ask_for_partition_time_memory_and_gpu() -> None:
    text = plan("slurm", "device=auto")
    for rule in ("train", "sample", "features"):
        asked = resources(text, rule)
        assert (asked["gpu"], asked["slurm_partition"]) == ("1", "gpu")
        assert int(asked["runtime"]) > 0
        assert int(asked["mem_mb"]) > 0
    asked = resources(text, "evaluate")
    assert asked["slurm_partition"] == "cpu"
    assert "gpu" not in asked
    assert "slurm_partition" in resources(text, "prepare")


def test_a_site_that_knows_gres_alone_is_asked_for_gpus_by_gres(tmp_path: Path) -> None:
    text = (PROFILES / "slurm" / "config.yaml").read_text()
    (tmp_path / "gres").mkdir()
    (tmp_path / "gres" / "config.yaml").write_text(
        re.sub(r"# (gpu: 0|gres: gpu:1) # <-", r"\1", text)
    )
    planned = plan("gres", "device=auto", profiles=tmp_path)
    for rule in ("train", "sample", "features"):
        asked = resources(planned, rule)
        assert (asked["gpu"], asked["gres"]) == ("0", "gpu:1")
        wanted = Asked(gpu=int(asked["gpu"]), gres=asked["gres"])
        assert set_gres_string(SimpleNamespace(resources=wanted)) == " --gres=gpu:1"
    assert "gres" not in resources(planned, "evaluate")


def test_jobs_of_a_config_without_a_gpu_ask_for_none() -> None:
    assert resources(plan("slurm", "device=cpu"), "train")["gpu"] == "0"


@pytest.mark.parametrize(("cores", "said"), [("1", False), ("1000", True)])
def test_jobs_that_read_images_are_told_their_threads_and_too_many_cores_are_named(
    cores: str, said: bool
) -> None:
    text = plan("default", "--printshellcmds", "--cores", cores)
    assert re.search(rf"benchmark prepare \$BENCHMARK_CONFIG tiny --threads {cores} ", text)
    assert ("warning: --cores 1000: " in text) == said
