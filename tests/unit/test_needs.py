"""What a run lacks is said when it is planned, in a line for each with its key."""

from __future__ import annotations

import copy
import importlib.util
import os
import socket
import ssl
import time
from collections.abc import Callable
from http.client import BadStatusLine
from pathlib import Path
from typing import Any
from urllib.error import URLError

import forks
import pytest
import yaml
from PIL import Image

from benchmark.config import needs
from benchmark.config.disk import arrays
from benchmark.config.loading import parse_config
from benchmark.config.needs import check_folders, is_reachable, lacking
from benchmark.core.closure import MODULES
from benchmark.core.errors import BenchmarkError
from benchmark.data.listing import image_files
from benchmark.data.sources.base import drawn
from benchmark.storage.paths import Run

PROJECT = Path(__file__).parents[2]
SMOKE = PROJECT / "tests" / "workflow" / "smoke.yaml"


@pytest.fixture
def smoke() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(SMOKE.read_text())
    return copy.deepcopy(content)


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(needs, "is_reachable", lambda _: False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


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
        check_folders(parse_config(content), run)
    return str(caught.value)


def test_the_quickstart_needs_nothing_from_the_net(smoke: dict[str, Any], tmp_path: Path) -> None:
    assert lacking(parse_config(smoke), Run(tmp_path / "smoke")) == []
    check_folders(parse_config(smoke), Run(tmp_path / "smoke"))


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
    config = parse_config(made(smoke, str(tmp_path / "none")))
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
        "weights": {"kind": "diffusers", "source": "some/where", "revision": 40 * "0"},
    }  # fmt: skip


def unpinned(content: dict[str, Any]) -> None:
    hub_weights(content)
    del content["models"]["DDPM"]["weights"]["revision"]


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
        (hub_weights, "models.DDPM.weights: ", "huggingface.co: give a local folder"),
        (unpinned, "models.DDPM.weights: ", "give its commit, 40 hexadecimal digits, as revision"),
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
    said = lacking(parse_config(smoke), Run(tmp_path / "run"))
    assert said
    assert len(set(said)) == len(said)
    assert all(line.isprintable() for line in said)
    assert said[0].startswith(start)
    assert part in said[0]
    monkeypatch.setattr(needs, "is_reachable", lambda _: True)
    left = lacking(parse_config(smoke), Run(tmp_path / "run"))
    assert bool(left) == (change in (custom, huge, unpinned))


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


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (URLError(ssl.SSLCertVerificationError("self-signed certificate in chain")), True),
        (URLError(TimeoutError()), False),
        (BadStatusLine("garbage"), False),
    ],
)
def test_a_certificate_is_an_answer_and_garbage_is_none(
    monkeypatch: pytest.MonkeyPatch, error: Exception, expected: bool
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    assert is_reachable("https://nowhere.invalid") == expected


def test_behind_a_proxy_that_is_not_asked_nothing_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("all_proxy", "socks5h://127.0.0.1:1080")
    assert is_reachable("https://nowhere.invalid")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("HF_HUB_OFFLINE", True, "but downloads are switched off; or give a local copy"),
        ("ENDPOINT", "hf-mirror.com", "but HF_ENDPOINT: hf-mirror.com is not https"),
    ],
)
def test_a_hub_that_will_not_be_asked_is_told_without_asking(
    smoke: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: object,
    expected: str,
) -> None:
    monkeypatch.setattr(f"huggingface_hub.constants.{name}", value)
    monkeypatch.setattr(needs, "is_reachable", lambda _: pytest.fail("it was asked"))
    from_the_hub(smoke)
    [line] = lacking(parse_config(smoke), Run(tmp_path / "run"))
    assert line.startswith("data.tiny: must be downloaded, ")
    assert expected in line


def test_a_finished_run_asks_for_nothing(
    smoke: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BENCHMARK_WEIGHTS", raising=False)
    for change in (from_the_hub, hub_weights, inception, custom):
        change(smoke)
    config, run = parse_config(smoke), Run(tmp_path / "run")
    assert len(lacking(config, run)) == 4
    done = [array.path for array in arrays(config, run)]
    done += [run.manifest("tiny"), *map(run.weights, config.trainings)]
    for path in done:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert lacking(config, run) == []
    run.features("inception-v3-fid", config.controls_of("tiny")).unlink()
    assert [line.split(":")[0] for line in lacking(config, run)] == ["evaluation.extractor"]


def test_a_file_system_that_does_not_tell_its_size_refuses_no_run(
    smoke: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: (0, 0, 0))
    assert lacking(parse_config(smoke), Run(tmp_path / "run")) == []
    monkeypatch.setattr("shutil.disk_usage", lambda _: (10, 10, 0))
    assert "0.0 GB are free" in lacking(parse_config(smoke), Run(tmp_path / "run"))[0]


def spoil(path: Path, how: str) -> None:
    path.unlink()
    if how == "empty":
        path.touch()
    else:
        path.symlink_to("nowhere.png")


@pytest.mark.faults(
    "an image that is empty, or a link to nothing",
    "the folder of a data set, or of images made elsewhere",
    "the plan refuses it if it would be read, with key, folder and file",
)
@pytest.mark.parametrize(
    ("how", "said"), [("empty", "an empty file"), ("link", "a broken link, or not a regular file")]
)
def test_a_broken_image_is_told_by_the_plan(
    smoke: dict[str, Any], tmp_path: Path, how: str, said: str
) -> None:
    run, forty = Run(tmp_path / "run"), images(tmp_path / "forty", 40)
    spoil(tmp_path / "forty" / "7.png", how)
    elsewhere = made(copy.deepcopy(smoke), forty)
    elsewhere["grid"][0]["samples"] = 40
    assert refusal(elsewhere, run) == f"models.DDPM.images: {forty}: 7.png: {said}"
    folder = {"source": "folder", "path": forty, "resolution": 16, "train": 32, "held_out": 8}
    smoke["data"]["tiny"] = folder
    assert refusal(smoke, run) == f"data.tiny.path: {forty}: 7.png: {said}"
    folder["on_bad_image"] = "skip"
    assert refusal(smoke, run).startswith(f"data.tiny.path: 39 images in {forty} that are neither")
    folder["held_out"] = 7
    check_folders(parse_config(smoke), run)


def test_a_broken_image_that_is_not_drawn_refuses_nothing(
    smoke: dict[str, Any], tmp_path: Path
) -> None:
    forty = images(tmp_path / "forty", 40)
    elsewhere = made(smoke, forty)
    files = image_files(tmp_path / "forty").files
    last = files[drawn(40, 0)[8]]  # of which the first 8 are read
    spoil(tmp_path / "forty" / last, "empty")
    check_folders(parse_config(elsewhere), Run(tmp_path / "run"))
    first = files[drawn(40, 0)[7]]
    spoil(tmp_path / "forty" / first, "empty")
    assert refusal(elsewhere, Run(tmp_path / "run")).endswith(f"{first}: an empty file")


def test_a_module_beside_the_config_is_found_by_the_command_line(
    smoke: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "own.yaml"
    smoke["run"] = tmp_path.name  # of which there are no weights yet
    smoke["networks"]["net"] = {"kind": "custom", "factory": "beside_the_config:small"}
    path.write_text(yaml.safe_dump(smoke))
    # Configs that other tests read in this process have left their folders there.
    environment = {key: value for key, value in os.environ.items() if key != MODULES}

    def said() -> str:
        done = forks.run(forks.BENCHMARK, "benchmark", ("config", path), PROJECT, environment)
        assert done.returncode == 0, done.stderr
        return done.stderr

    assert "put beside_the_config.py there" in said()
    (tmp_path / "beside_the_config.py").write_text("small = None")
    assert "warning" not in said()


def test_the_command_line_names_the_key_of_a_missing_folder(
    smoke: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "made.yaml"
    path.write_text(yaml.safe_dump(made(smoke, str(tmp_path / "none"))))
    found = forks.run(forks.BENCHMARK, "benchmark", ("config", path), PROJECT, os.environ)
    assert found.returncode == 2
    [line] = found.stderr.splitlines()
    assert line.startswith("error: models.DDPM.images: ")


def test_a_missing_library_of_neighbours_is_told_before_a_run(
    smoke: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    hidden = lambda name, *more: None if name == "faiss" else find(name, *more)  # noqa: E731
    monkeypatch.setattr(importlib.util, "find_spec", hidden)
    [line] = lacking(parse_config(smoke), Run(tmp_path / "smoke"))
    assert line.startswith("faiss: is not installed, which finds the nearest images: pip install")
