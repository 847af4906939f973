"""Every command that README.md and docs/ show is run, here or where this file says."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from checkout import PROJECT, copy
from PIL import Image
from test_workflow import SMOKE, lay_out, snakemake

from benchmark.report.bundle import pack

PAGES = [PROJECT / "README.md", *sorted(PROJECT.glob("docs/*.md"))]
BLOCK = re.compile(r"```sh\n(.*?)```", re.S)
PROGRAM = re.compile(r"(pip|uv|conda|python|pytest|snakemake|\.venv/bin/\w+|\.\.\.) \S")
OPTIONS = re.compile(r"^uv run( --(no-)?group \w+)*( |$)")
PYTHON = shlex.quote(sys.executable)

# What stands in the place of a part of a command: small runs, and no network.
SMALLER = [
    ("config/report.yaml", "smoke.yaml"),
    ("config/samplers.yaml", "smoke.yaml"),
    ("config/fashion.yaml", "smoke.yaml"),
    ("config/steer.yaml", "smoke.yaml"),
    ("config/training.yaml", "smoke.yaml"),
    ("config/modes.yaml", "smoke.yaml"),
    ("config/likelihood.yaml", "smoke.yaml"),
    ("config/claims.yaml", "smoke.yaml"),
    ("config/claims-report.yaml", "smoke.yaml"),
    ("config/claims-gans-report.yaml", "smoke.yaml"),
    ("mine.yaml", "smoke.yaml"),
    ("config FILE", "config smoke.yaml"),
    ("score REAL FAKE", "score real fake --extractor efficientnet-lite0 --device cpu"),
    (
        "why A B",
        "why real fake --extractor efficientnet-lite0 --device cpu --choices duplicates",
    ),
    ("interval_coverage.py 200", "interval_coverage.py 2"),
    ("interval_coverage.py 100", "interval_coverage.py 2"),
    ("memorisation_coverage.py 100", "memorisation_coverage.py 2"),
    ("modes_coverage.py 200", "modes_coverage.py 2"),
    ("plot_orders.py docs", "plot_orders.py ."),
    ("plot_discretisation.py docs", "plot_discretisation.py ."),
    ("init mine --data /data/faces", "init mine --data real"),
    (
        "invert results/quickstart DDIM-zoo-linear-ddim-50-s0",
        "invert results/quickstart DDIM-linear-ddim-5-s0 --steps 2,3 --images 3",
    ),
    ("watch results/RUN", "watch results/quickstart"),
    ("samples RUN CELL", "samples results/quickstart DDIM-linear-ddim-5-s0"),
    ("plots RUN", "plots results/quickstart"),
    ("cite RUN", "cite results/quickstart"),
    ("export RUN tables", "export results/quickstart tables"),
    ("bundle RUN", "bundle results/quickstart"),
]
CONFIG = "quickstart.yaml"  # in the place of the quickstart's
CI = (PROJECT / ".ci" / "run").read_text()
WHEELS = "makes an environment of downloaded wheels"
CHANGES = "changes the environment"
# Not run here, and why.
ELSEWHERE = {
    "uv sync --extra lmdb": CHANGES,
    "uv sync --extra mlflow": CHANGES,
    "uv sync --extra tensorboard": CHANGES,
    "pip install '.[cpu]'": CHANGES,
    "python -m benchmark fetch CONFIG": "by test_fetch.py",
    "python -m benchmark export RUN http://localhost:5000 --to mlflow": "by test_exporting.py",
    "python -m benchmark export RUN events --to tensorboard": "by test_exporting.py",
    "python -m benchmark export CONFIG TRAINING FILE": "by test_export.py",
    "pip install -q uv && uv run snakemake --cores all --resources gpu=1": "by .ci/run",
    "pip install -q uv && uv run pytest": "by .ci/run",
    "uv run snakemake --profile workflow/profiles/slurm": "by tests/slurm",
    "uv run python tests/slurm/cluster.py snakemake --profile workflow/profiles/slurm": "by "
    "tests/slurm, on the same cluster",
    "python -m benchmark merge": "by test_sharded_runs.py",
    "python -m benchmark train CONFIG NAME --processes N": "by test_process_group.py",
    "uv run pytest -m slow": "by .ci/run",
    "uv run lint-imports": "by .ci/run",
    "conda env create -f environment.yml": "its pip part by .ci/run; conda has no index here",
    "snakemake --cores all --resources gpu=1": "by .ci/run",
    "snakemake --unlock": "with a killed run",
    "python -m pytorch_fid": "of another project",
    "python -m benchmark export": "by test_workflow.py, of a named training",
    "uv run python tests/unit/posteriors.py": "takes minutes; what it computes, by test_methods.py",
    "python -m benchmark VERB ...": "any of the others",
    **dict.fromkeys(
        (
            "uv run python -m benchmark document results/samplers docs/samplers.md",
            "uv run python -m benchmark document results/claims docs/claims.md README.md",
            "uv run python -m benchmark document results/steer docs/steering.md",
            "uv run python -m benchmark document results/fashion docs/steering.md",
            "uv run python -m benchmark document results/training docs/training.md",
            "uv run python -m benchmark document results/modes docs/metrics.md",
        ),
        "with the quickstart's run; how it writes, by test_document.py",
    ),
    "python -m benchmark classifier CONFIG NAME": "by test_classifier.py",
    "uv run --group peers python tests/unit/dialects.py": "takes ten minutes",
    "uv run --with transformers==5.24.0 pytest tests/unit/test_extractors_clip.py": "with a "
    "package from PyPI",
    "uv run python -m benchmark why results/quickstart/data/avatars/images.npy "
    "results/quickstart/samples/DDIM-zoo-linear-ddim-50-s0 --extractor efficientnet-lite0 "
    "--choices number,duplicates,cell": "with "
    "other images, by test_why_cells.py and test_why_whole.py",
    "python -m benchmark speed": "part by part",
    "python -m benchmark speed sampling": "by test_speed.py",
    "uv run --group peers python -m benchmark speed sampling --output speed.json": "by "
    "test_speed.py",
    "uv run --group peers python -m benchmark speed": "part by part",
    "uv run python -m benchmark reference": "in chunks, by test_workflow.py",
    "python -m benchmark reference --minutes 10": "in chunks, by test_workflow.py",
    "python -m benchmark speed growth --output growth.json --figure growth.png": "smaller, "
    "by test_growth.py",
    "python -m benchmark speed scale --faiss": "smaller, by test_scale.py",
    "uv run python -m benchmark speed build --against 976d20f": "by "
    "test_speed_build.py, in a clone",
    "uv run python -m benchmark speed build sampling --against HEAD~1 --rounds 7 --images 32": "by "
    "test_speed_build.py, in a clone",
    "uv run --group peers python -m benchmark speed score": "smaller, by test_speed_score.py",
    "uv run --group peers python -m benchmark speed score --images 200 --rounds 3": "smaller, by "
    "test_speed_score.py",
    "uv run python -m benchmark speed prepare": "smaller, by test_speed_prepare.py",
    "uv run python -m benchmark speed prepare --edm FILE": "smaller, by test_speed_prepare.py",
    "uv export -q --no-default-groups --group gpu --no-hashes --no-emit-project --prune torch "
    "--prune torchvision -o requirements.txt": WHEELS,
    "python -m venv --system-site-packages .venv": WHEELS,
    ".venv/bin/pip install -q --no-index --no-deps --find-links wheels -r requirements.txt": WHEELS,
    ".venv/bin/python -m benchmark reference --minutes 10": WHEELS,
}


def commands(page: Path) -> Iterator[str]:
    """Yield what stands in blocks, indented, or between backquotes, and begins as a command."""
    text = page.read_text(encoding="utf-8")
    for block in BLOCK.findall(text):
        yield from filter(None, block.replace("\\\n", "").splitlines())
    rest = re.sub(r"```.*?```", "", text, flags=re.S)
    yield from (line[4:] for line in rest.splitlines() if line.startswith("    "))
    yield from (quoted.replace("\n", " ") for quoted in re.findall(r"`([^`]+)`", rest))


def shown() -> list[str]:
    """Return every command once, without remarks."""
    found = (re.sub(r"\s+#.*", "", c).strip() for page in PAGES for c in commands(page))
    return list(dict.fromkeys(c for c in found if PROGRAM.match(c) and OPTIONS.sub("", c)))


def adapted(command: str) -> str:
    """Return the command for the folder of the fixture and this Python."""
    command = OPTIONS.sub("", command.replace("... ", "python -m benchmark ", 1))
    for part, other in SMALLER:
        command = command.replace(part, other)
    if " speed " in command:
        command += " --quick"
    if command.startswith("snakemake") and "--configfile" not in command:
        command += f" --configfile {CONFIG}"
    if re.search(r"\bpytest\b", command):  # that what it selects is there; .ci/run runs it
        command += " --collect-only -q"
    program, _, arguments = command.partition(" ")
    return f"{PYTHON} {arguments}" if program == "python" else f"{PYTHON} -m {command}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with three small runs and two folders of images, as the pages name them."""
    folder = lay_out(tmp_path_factory.mktemp("documents"))
    for part in ("tests", ".ci", "docs", "README.md", "pyproject.toml"):
        copy(part, folder)
    config = yaml.safe_load(SMOKE.read_text()) | {"run": "quickstart"}
    (folder / CONFIG).write_text(yaml.safe_dump(config))
    done = snakemake(folder, "--cores", "2", "--resources", "gpu=1", config=CONFIG)
    assert done.returncode == 0, done.stderr
    rng = np.random.default_rng(0)
    for name in ("real", "fake"):
        (folder / name).mkdir()
        for i in range(30):
            Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(
                folder / name / f"{i}.png"
            )
    for name in ("before", "after"):
        shutil.copytree(folder / "results" / "quickstart", folder / "results" / name)
    pack(folder / "results" / "after", folder / "results" / "after.zip")
    return folder


def test_are_commands_found_on_the_pages() -> None:
    assert len(shown()) > 30
    assert "python -m benchmark bundle results/after" in shown()


def test_is_nothing_excused_that_no_page_shows() -> None:
    assert set(ELSEWHERE) <= set(shown())


def test_does_ci_run_what_is_left_to_it() -> None:
    whole = "uv run snakemake --cores all --resources gpu=1"
    for command in (whole, "uv run pytest", "-m slow", "uv run lint-imports"):
        assert command in CI


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", dict.fromkeys(adapted(c) for c in shown() if c not in ELSEWHERE)
)
def test_does_the_command_work(command: str, folder: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, shell=True, cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-1000:]}\n{done.stderr[-2000:]}"
