"""What a run needs and has not is said when it is planned, in a line each with its key."""

from __future__ import annotations

import copy
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from benchmark import needs
from benchmark.config import parse
from benchmark.errors import BenchmarkError
from benchmark.needs import check_folders, is_reachable, lacking
from benchmark.paths import Run

PROJECT = Path(__file__).parents[2]
SMOKE = PROJECT / "tests" / "workflow" / "smoke.yaml"


@pytest.fixture
def smoke() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(SMOKE.read_text())
    return copy.deepcopy(content)


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(needs, "is_reachable", lambda _: False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))


def images(folder: Path, count: int) -> str:
    folder.mkdir()
    for number in range(count):
        Image.new("RGB", (16, 16), (number, 0, 0)).save(folder / f"{number}.png")
    return str(folder)


def made(content: dict[str, Any], folder: str) -> dict[str, Any]:
    """The same config, where the images of DDPM were made elsewhere."""
    content["models"]["DDPM"] = {"family": "GAN", "data": "tiny", "images": folder}
    content["grid"][0] = {"table": "made", "model": "DDPM", "samples": 8}
    return content


def refusal(content: dict[str, Any], run: Run) -> str:
    with pytest.raises(BenchmarkError) as caught:
        check_folders(parse(content), run)
    return str(caught.value)


def test_the_quickstart_needs_nothing_from_the_net(smoke: dict[str, Any], tmp_path: Path) -> None:
    assert lacking(parse(smoke), Run(tmp_path / "smoke")) == []
    check_folders(parse(smoke), Run(tmp_path / "smoke"))


def test_a_missing_folder_is_told_with_its_key(smoke: dict[str, Any], tmp_path: Path) -> None:
    run, none = Run(tmp_path / "run"), str(tmp_path / "none")
    folder = {"source": "folder", "path": none, "resolution": 16, "train": 24, "held_out": 8}
    assert refusal(made(copy.deepcopy(smoke), none), run).startswith("models.DDPM.images: ")
    smoke["data"]["tiny"] = folder
    assert refusal(smoke, run).startswith(f"data.tiny.path: {none}: no such folder")


def test_too_few_images_are_told_before_the_first_job(
    smoke: dict[str, Any], tmp_path: Path
) -> None:
    run, seven = Run(tmp_path / "run"), images(tmp_path / "seven", 7)
    said = refusal(made(copy.deepcopy(smoke), seven), run)
    assert said == f"models.DDPM.images: 7 images in {seven}: 8 are asked for"
    folder = {"source": "folder", "path": seven, "resolution": 16, "train": 24, "held_out": 8}
    smoke["data"]["tiny"] = folder
    assert "data.tiny.path: 7 images" in refusal(smoke, run)
    assert "32 are asked for" in refusal(smoke, run)


def test_a_folder_that_was_read_already_is_not_needed(
    smoke: dict[str, Any], tmp_path: Path
) -> None:
    run = Run(tmp_path / "run")
    config = parse(made(smoke, str(tmp_path / "none")))
    for cell in config.cells:
        run.samples(cell.id).parent.mkdir(parents=True)
        run.samples(cell.id).touch()
    check_folders(config, run)


def from_the_hub(content: dict[str, Any]) -> None:
    content["data"]["tiny"] = {
        "source": "celeba", "resolution": 16, "train": 24, "held_out": 8,
    }  # fmt: skip


def hub_weights(content: dict[str, Any]) -> None:
    content["models"]["DDPM"] = {
        "family": "DDPM", "data": "tiny",
        "weights": {"kind": "diffusers", "source": "some/where"},
    }  # fmt: skip


def inception(content: dict[str, Any]) -> None:
    content["evaluation"]["extractor"] = "inception-v3-fid"


def custom(content: dict[str, Any]) -> None:
    content["networks"]["net"] = {"kind": "custom", "factory": "no_such_module:small"}


def huge(content: dict[str, Any]) -> None:
    content["grid"][1]["samples"] = 10_000_000
    content["data"]["tiny"]["resolution"] = 4096
    content["networks"]["net"] = {"kind": "custom", "factory": "json:loads"}


@pytest.mark.faults(
    "no internet, no room, a module that is missing",
    "what is still to be downloaded, written or trained",
    "the plan says it in a line each; a run stops before its first job",
)
@pytest.mark.parametrize(
    ("change", "start", "part"),
    [
        (from_the_hub, "data.tiny: ", "no answer from huggingface.co: give a local copy"),
        (hub_weights, "models.DDPM.weights: ", "give a local folder"),
        (inception, "evaluation.extractor: ", "put pt_inception-2015-12-05-6726825d.pth into"),
        (custom, "networks.net.factory: ", "no module 'no_such_module'"),
        (huge, "", "are free, and images and features alone need"),
    ],
)
def test_what_is_not_there_is_one_line(
    smoke: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[dict[str, Any]], None],
    start: str,
    part: str,
) -> None:
    monkeypatch.delenv("BENCHMARK_WEIGHTS", raising=False)
    change(smoke)
    said = lacking(parse(smoke), Run(tmp_path / "run"))
    assert said
    assert len(set(said)) == len(said)
    assert all(line.isprintable() for line in said)
    assert said[0].startswith(start)
    assert part in said[0]
    monkeypatch.setattr(needs, "is_reachable", lambda _: True)
    left = lacking(parse(smoke), Run(tmp_path / "run"))
    assert bool(left) == (change in (custom, huge))


def test_an_address_that_never_answers_does_not_hold_the_plan(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(needs, "SECONDS", 0.2)
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: time.sleep(60))
    assert not is_reachable("https://nowhere.invalid")


def test_an_address_that_refuses_is_not_reachable() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert not is_reachable(f"https://127.0.0.1:{unused.getsockname()[1]}")


def test_the_command_line_names_the_key_of_a_missing_folder(
    smoke: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "made.yaml"
    path.write_text(yaml.safe_dump(made(smoke, str(tmp_path / "none"))))
    command = [sys.executable, "-m", "benchmark", "config", str(path)]
    found = subprocess.run(command, cwd=PROJECT, env=os.environ, capture_output=True, text=True)
    assert found.returncode == 2
    [line] = found.stderr.splitlines()
    assert line.startswith("error: models.DDPM.images: ")
