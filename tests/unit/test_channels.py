"""Images of one channel, through all stages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from stages import do

from benchmark.config.building import sample_job, train_job
from benchmark.config.config import Config
from benchmark.config.disk import arrays
from benchmark.config.loading import filled_in, parse_config
from benchmark.core.errors import BenchmarkError
from benchmark.data import load_dataset
from benchmark.data.sources.folder import Folder
from benchmark.extractors import features_of
from benchmark.stages.prepare import prepare
from benchmark.storage.arrays import open_array
from benchmark.storage.paths import Run
from benchmark.tools.score_inputs import ImageInput, open_input

CELL = "DDPM-linear-ddpm-10-s0"


@pytest.fixture(scope="module")
def grey(smoke: Config) -> Config:
    """The smallest run, on grey images."""
    content = filled_in(smoke)
    content["data"]["tiny"]["channels"] = 1
    return parse_config(content)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, grey: Config) -> Run:
    run = Run(tmp_path_factory.mktemp("results") / "grey")
    do("prepare", grey, "tiny", run)
    do("train", grey, "DDPM-linear", run)
    do("sample", grey, CELL, run)
    do("controls", grey, "tiny", run)
    return run


def test_grey_is_the_luma_of_the_colours(
    smoke: Config, prepared: Run, grey: Config, done: Run
) -> None:
    colour, luma = (load_dataset(run.data("tiny"), verify=True) for run in (prepared, done))
    assert luma.train.shape == (24, 16, 16, 1)
    for image, expected in zip(luma.train, colour.train, strict=True):
        assert (image[..., 0] == np.asarray(Image.fromarray(expected).convert("L"))).all()


def test_grey_files_arrive_as_they_are(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (5, 8, 8), np.uint8)
    for number, pixels in enumerate(values):
        (tmp_path / "in").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "in" / f"{number}.png")
    source = Folder(path=tmp_path / "in", resolution=8, train=3, held_out=2, channels=1)
    manifest = prepare(source, tmp_path / "data")
    kept = np.load(tmp_path / "data" / "images.npy")[..., 0]
    assert {pixels.tobytes() for pixels in kept} == {pixels.tobytes() for pixels in values}
    assert manifest.conversions == {}
    Image.new("RGB", (8, 8), "red").save(tmp_path / "in" / "5.png")
    source = source.model_copy(update={"held_out": 3})
    assert prepare(source, tmp_path / "data").conversions == {"colour to grey": 1}


def test_a_network_follows_the_channels_of_its_data(smoke: Config, grey: Config) -> None:
    spec = train_job(grey, "DDPM-linear").spec()
    assert spec["network"]["image_channels"] == 1
    assert spec["data"]["channels"] == 1
    colour = train_job(smoke, "DDPM-linear").spec()
    assert colour["network"]["image_channels"] == 3
    assert "channels" not in colour["data"]


def test_all_stages_take_grey_images(grey: Config, done: Run) -> None:
    samples = open_array(done.samples(CELL))
    assert samples.shape == (8, 16, 16, 1)
    controls = open_array(done.samples("controls-tiny"))
    assert controls.shape[1:] == (16, 16, 1)
    assert sample_job(grey, CELL).channels == 1
    for path in (done.grid(CELL), done.chain(CELL), done.movie(CELL)):
        pixels = np.asarray(Image.open(path).convert("RGB"))
        assert (pixels == pixels[..., :1]).all()
    for name in ("tiny", CELL, "controls-tiny"):
        do("features", grey, name, done)
    do("evaluate", grey, CELL, done)
    [record] = do("retrieve", grey, CELL, done)
    assert "nearest_mean" in record.values
    assert done.neighbours(CELL).is_file()
    sizes = {array.name: array.size for array in arrays(grey, done) if array.kind == "samples"}
    assert sizes[CELL] == samples.nbytes


def test_features_of_grey_are_those_of_the_same_grey_in_colour() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8)

    def embed(pixels: torch.Tensor) -> torch.Tensor:
        assert pixels.shape[1] == 3
        return pixels.flatten(1).float()

    device = torch.device("cpu")
    grey = features_of(images, embed, device)
    assert (grey == features_of(images.repeat(3, axis=3), embed, device)).all()


def test_score_reads_grey_arrays(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8)
    np.save(tmp_path / "grey.npy", images)
    np.savez(tmp_path / "grey.npz", images)
    for name in ("grey.npy", "grey.npz"):
        found = open_input(tmp_path / name)
        assert isinstance(found, ImageInput)
        pictures = [picture.pixels for picture in found.pictures(1)]
        assert (np.stack(pictures) == images.repeat(3, axis=3)).all()


def test_a_colour_checkpoint_on_grey_data_is_refused(grey: Config) -> None:
    content = filled_in(grey)
    content["data"]["tiny"]["resolution"] = 32
    content["models"] = {
        "M": {
            "family": "DDIM",
            "data": "tiny",
            "weights": {"kind": "zoo", "name": "avatars-ddpm"},
        }
    }
    entry = {"table": "t", "model": "M", "schedule": "linear", "sampler": "ddim", "steps": 2}
    content["grid"] = [entry | {"samples": 8}]
    with pytest.raises(BenchmarkError) as caught:
        parse_config(content)
    assert str(caught.value) == (
        "config: models.M.weights: makes images of 3 channels, but those of data.tiny have 1: give "
        "these channels: 3, or choose other data"
    )


def test_channels_that_a_network_states_must_be_those_of_its_data(grey: Config) -> None:
    content = filled_in(grey)
    assert "image_channels" not in content["networks"]["net"]
    content["networks"]["net"]["image_channels"] = 3
    with pytest.raises(BenchmarkError, match=r"images have 1 channels, image_channels is not 1"):
        parse_config(content)
