"""The command `init` writes a config that fits the images and the machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from benchmark.cli import plan
from benchmark.cli.app import app
from benchmark.config.loading import load_config
from benchmark.config.needs import check_folders
from benchmark.core.errors import BenchmarkError
from benchmark.storage.paths import Run
from benchmark.tools.init import LEAST, Machine, write_config

CPU = Machine(cores=2, gpu="", gpu_memory=0)
GPU = Machine(cores=16, gpu="Example GPU", gpu_memory=24 * 2**30)


def images(folder: Path, count: int, side: int) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        pixels = rng.integers(0, 256, (side, side + 9, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


@pytest.mark.parametrize(
    ("machine", "side", "resolution"),
    [(CPU, 100, 32), (CPU, 20, 16), (CPU, 9, 16), (GPU, 100, 64), (GPU, 300, 128)],
)
def test_the_config_fits_images_and_machine(
    machine: Machine, side: int, resolution: int, tmp_path: Path
) -> None:
    data = images(tmp_path / "it's data", 100, side)
    path = write_config(tmp_path / "my run!", data, machine)
    config = load_config(path)
    check_folders(config, Run(tmp_path / "results"))
    source = config.data["mine"]
    assert config.run == "my-run-"
    assert source.resolution == resolution
    assert (source.train, source.held_out) == (72, 18)  # a tenth is spare
    assert {cell.samples for cell in config.cells} == {18}
    assert len(config.cells) == 4
    assert "docs/config.md" in path.read_text()


def test_a_config_is_never_overwritten(tmp_path: Path) -> None:
    data = images(tmp_path / "data", LEAST, 16)
    path = write_config(tmp_path / "mine", data, CPU)
    before = path.read_text()
    with pytest.raises(BenchmarkError, match="is there already"):
        write_config(tmp_path / "mine", data, GPU)
    assert path.read_text() == before


def test_too_few_images_are_refused(tmp_path: Path) -> None:
    data = images(tmp_path / "data", LEAST - 1, 16)
    with pytest.raises(BenchmarkError, match=f"{LEAST - 1} images are too few: give {LEAST}"):
        write_config(tmp_path / "mine", data, CPU)
    assert not (tmp_path / "mine").exists()


def test_images_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for number in range(LEAST):
        (tmp_path / "data" / f"{number}.png").write_text("no image")
    with pytest.raises(BenchmarkError, match="no image of it can be read"):
        write_config(tmp_path / "mine", tmp_path / "data", CPU)


@pytest.mark.parametrize("place", ["clone", "elsewhere", "installed"])
def test_the_next_command_finds_the_workflow(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = images(tmp_path / "data", LEAST, 16)
    clone = tmp_path / "my clone"
    clone.mkdir()
    if place != "installed":
        (clone / "Snakefile").touch()
    monkeypatch.setattr(plan, "HOME", clone)
    monkeypatch.chdir(clone if place == "clone" else tmp_path)
    done = CliRunner().invoke(app, ["init", "mine", "--data", str(data)])
    told = {
        "clone": "next: snakemake --cores all ",
        "elsewhere": f"next: snakemake --snakefile '{clone}/Snakefile' --cores all ",
        "installed": "next: snakemake --snakefile THE-CLONE/Snakefile --cores all ",
    }
    assert told[place] in done.stderr, done.output
