"""Where things lie changes nothing: another folder or checkout, a module of Snakemake."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from test_workflow import SMOKE, lay_out, planned, snakemake

IMAGES = "results/smoke/data/tiny/images.npy"
MODULE = """
configfile: "smoke.yaml"

module bench:
    snakefile: "{checkout}/Snakefile"
    config: config
{more}

use rule * from bench as bench_*

rule all:
    default_target: True
    input: rules.bench_all.input
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which the data set is prepared."""
    folder = lay_out(tmp_path_factory.mktemp("checkout"))
    done = snakemake(folder, "--cores", "1", target=IMAGES)
    assert done.returncode == 0, done.stderr
    return folder


def run_elsewhere(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Snakemake in a folder, as its own program, without what this process adds to the path."""
    program = Path(sys.executable).with_name("snakemake")
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return subprocess.run(
        [program, *arguments], cwd=folder, env=kept, capture_output=True, text=True
    )


def test_what_is_compared_is_one_json_string_without_a_place(checkout: Path) -> None:
    records = [
        json.loads(path.read_text())
        for path in (checkout / ".snakemake" / "metadata").rglob("*")
        if path.is_file()
    ]
    assert len(records) == 3  # images, manifest and record
    for record in records:
        [text] = record["params"]
        content = json.loads(yaml.safe_load(text))  # the repr of a string
        assert {"code", "data"} == content.keys()
        compared = json.dumps([record["params"], record["code"], record["input"]])
        for place in (checkout, Path(sys.prefix), Path.home()):
            assert str(place) not in compared


def test_every_rule_has_one_parameter_that_is_compared(checkout: Path) -> None:
    for file in sorted((checkout / "workflow" / "rules").glob("*.smk")):
        for block in file.read_text().split("    params:\n")[1:]:
            body = block.split("    shell:")[0]
            lines = [line for line in body.splitlines() if line.startswith(" " * 8 + "job=")]
            assert len(lines) == 1, (file.name, body)
            names = [
                line.strip()
                for line in body.splitlines()
                if line.startswith(" " * 8) and line[8].isalpha() and "=" in line
            ]
            # Snakemake compares no parameter of a function that takes input or resources.
            others = [n for n in names if not n.startswith("job=")]
            assert all("lambda w, input" in n or "lambda w, resources" in n for n in others)


def test_another_way_to_start_snakemake_plans_nothing(checkout: Path) -> None:
    again = run_elsewhere(checkout, "--dry-run", "--configfile", "smoke.yaml", "--", IMAGES)
    assert "Nothing to be done" in again.stdout + again.stderr


def test_a_moved_checkout_plans_nothing(checkout: Path, tmp_path: Path) -> None:
    shutil.copytree(checkout, tmp_path / "moved", symlinks=True)
    assert planned(tmp_path / "moved", target=IMAGES) == set()


@pytest.mark.parametrize("directory", [True, False])
def test_a_run_from_another_folder_has_the_code_of_its_checkout(
    directory: bool, checkout: Path, tmp_path: Path
) -> None:
    other = tmp_path / "benchmark"  # a package of the same name lies where the jobs run
    other.mkdir()
    (other / "__init__.py").touch()
    (other / "__main__.py").write_text("raise SystemExit('the code of another checkout')")
    options = ("--directory", str(tmp_path)) if directory else ()
    done = run_elsewhere(
        Path("/") if directory else tmp_path,
        *("--snakefile", str(checkout / "Snakefile"), *options, "--cores", "1"),
        *("--configfile", str(checkout / "smoke.yaml"), "--", IMAGES),
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / IMAGES).read_bytes() == (checkout / IMAGES).read_bytes()


def test_a_job_of_another_checkout_is_refused(checkout: Path, tmp_path: Path) -> None:
    environment = os.environ | {"BENCHMARK_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "benchmark", "prepare", "smoke.yaml", "tiny"]
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {tmp_path}: its jobs would run the code of {checkout}")


def test_the_workflow_works_as_a_module_of_another_one(checkout: Path, tmp_path: Path) -> None:
    shutil.copy(SMOKE, tmp_path)
    (tmp_path / "Snakefile").write_text(MODULE.format(checkout=checkout, more=""))
    done = run_elsewhere(tmp_path, "--cores", "1", "--", IMAGES)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / IMAGES).read_bytes() == (checkout / IMAGES).read_bytes()
    whole = run_elsewhere(tmp_path, "--dry-run")
    assert "bench_site" in whole.stdout, whole.stderr


def test_a_module_with_a_prefix_is_one_line(checkout: Path, tmp_path: Path) -> None:
    shutil.copy(SMOKE, tmp_path)
    text = MODULE.format(checkout=checkout, more='    prefix: "sub"')
    (tmp_path / "Snakefile").write_text(text)
    done = run_elsewhere(tmp_path, "--dry-run")
    assert done.returncode != 0
    [line] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert line.startswith("error: module: prefix and replace_prefix: leave them out")
    assert "Traceback" not in done.stderr


def test_object_storage_is_refused_in_one_line(checkout: Path) -> None:
    pytest.importorskip("snakemake_storage_plugin_fs")
    storage = ("--default-storage-provider", "fs", "--default-storage-prefix", "bucket")
    done = run_elsewhere(checkout, "--dry-run", "--configfile", "smoke.yaml", *storage)
    assert done.returncode != 0
    [line] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert line.startswith("error: --default-storage-provider: jobs read and write files below re")
    assert "Traceback" not in done.stderr


def test_a_network_beside_the_config_is_found_and_a_missing_one_is_one_line(
    checkout: Path, tmp_path: Path
) -> None:
    content = yaml.safe_load(SMOKE.read_text())
    content["networks"]["net"] = {"kind": "custom", "factory": "mine_here:network"}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(content))
    config = str(tmp_path / "own.yaml")
    wrong = snakemake(checkout, "--dry-run", config=config)
    assert wrong.returncode != 0
    [line] = [line for line in wrong.stderr.splitlines() if line.startswith("error: ")]
    assert "networks.net.factory: no module 'mine_here' in " in line
    assert "Traceback" not in wrong.stderr
    (tmp_path / "mine_here.py").write_text(
        "from torch import nn\n\n\ndef network(resolution):\n    return nn.Identity()\n"
    )
    assert "train" in planned(checkout, config=config)
