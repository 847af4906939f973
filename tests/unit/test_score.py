import dataclasses
import functools
import hashlib
import io
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import threading
import time
import weakref
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from icc import DISPLAY_P3, srgb_of_p3
from networks import images, inception_file, register, with_facts, with_weights
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from typer.testing import CliRunner

from benchmark.cli.app import app
from benchmark.core import progress
from benchmark.core.errors import BenchmarkError
from benchmark.core.values import Value
from benchmark.data.image_files import open_file
from benchmark.data.pixels import decode
from benchmark.extractors import EXTRACTORS
from benchmark.extractors.base import Embedder
from benchmark.metrics import METRICS, Metric
from benchmark.metrics.frechet import Frechet
from benchmark.metrics.inception_score import InceptionScore
from benchmark.tools import score as module
from benchmark.tools import score_decoding as decoding
from benchmark.tools import score_embedding as embedding_module
from benchmark.tools.score import save, score
from benchmark.tools.score_decoding import Loadable
from benchmark.tools.score_embedding import Embedding
from benchmark.tools.score_inputs import ImageInput, open_input
from benchmark.tools.score_options import MetricChoice
from benchmark.tools.score_sides import Census

CONTENT = b"weights"
SIZES = ((9, 7), (5, 5), (9, 7), (12, 4))


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def extractors(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Two more extractors: quarters of an image as features, and their negatives."""
    (tmp_path / "w.pth").write_bytes(CONTENT)
    known = EXTRACTORS.make("inception-v3-fid")
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    weights = dataclasses.replace(known.weights, file="w.pth", sha256=sha256, mirrors=())
    for name, sign in (("quarters", 1), ("negatives", -1)):
        extractor = with_facts(
            known,
            name,
            label="FD-quarters",
            dimension=12,
            preprocessing="none",
            weights=weights,
            preprocess=lambda _, x, sign=sign: sign * quarters(x),
            network=lambda *_: Tensor.clone,
            classifier=lambda *_: np.eye(12, 5, dtype=np.float32) / 50,
        )
        register(monkeypatch, extractor)


def quarters(x: Tensor) -> Tensor:
    return torch.nn.functional.adaptive_avg_pool2d(x.float(), 2).flatten(1)


def embedding(tmp_path: Path, extractor: str | None = "quarters", batch: int = 4) -> Embedding:
    return Embedding(extractor, tmp_path, device="cpu", batch=batch, threads=2)


def pictures(seed: int, count: int = 10, sizes: tuple[tuple[int, int], ...] = SIZES) -> list:
    rng = np.random.default_rng(seed)
    shades = rng.integers(0, 200, (count, 1, 1, 3))
    return [
        (shades[i] + rng.integers(0, 56, (*sizes[i % len(sizes)], 3))).astype(np.uint8)
        for i in range(count)
    ]


def folder(path: Path, images: list) -> Path:
    """Some images below subfolders, under suffixes of either case, and one file that is none."""
    for i, image in enumerate(images):
        file = path / ("deep/er" if i < 3 else "x") / f"{i:02}.{('png', 'PNG', 'Bmp')[i % 3]}"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file)
    (path / "notes.txt").write_text("no image")
    return path


def array(path: Path, images: list) -> Path:
    (np.save if path.suffix == ".npy" else np.savez)(path, np.stack(images))
    return path


def embedded(images: list) -> NDArray[np.float32]:
    rows = [quarters(torch.from_numpy(image).permute(2, 0, 1)[None]) for image in images]
    return torch.cat(rows).numpy()


def test_folders_of_mixed_sizes_score_as_their_images_one_by_one(tmp_path: Path) -> None:
    a, b = pictures(0), pictures(1)
    real, fake = folder(tmp_path / "a", a), folder(tmp_path / "b", b)
    found = score(real, fake, embedding(tmp_path))
    expected = {
        name: METRICS.make(name).compute(embedded(b), embedded(a)) for name in module.DEFAULT
    }
    assert found.counts == (10, 10)
    assert found.values.keys() == expected.keys()
    for name, value in expected.items():
        known = value.model_dump(exclude_none=True)
        assert found.values[name].model_dump(exclude_none=True) == pytest.approx(known, rel=1e-6)


@pytest.mark.parametrize("batch", [3, 64])
def test_features_are_in_the_order_of_the_images(tmp_path: Path, batch: int) -> None:
    shown = pictures(0)
    opened = open_input(folder(tmp_path / "a", shown))
    assert isinstance(opened, ImageInput)
    found = embedding_module.embed_images(
        opened,
        Embedder(quarters, Tensor.clone),
        torch.device("cpu"),
        embedding(tmp_path, batch=batch),
    )
    np.testing.assert_allclose(found, embedded(shown), rtol=1e-6)


@pytest.mark.parametrize("batch", [3, 64])
def test_folder_and_arrays_of_the_same_images_score_alike(tmp_path: Path, batch: int) -> None:
    a, b = pictures(0, sizes=((6, 8),)), pictures(1, sizes=((6, 8),))
    real = folder(tmp_path / "a", a)
    made = [
        folder(tmp_path / "b", b),
        array(tmp_path / "b.npy", b),
        array(tmp_path / "b.npz", b),
        tmp_path / "labelled.npz",
        tmp_path / "packed.npz",
        tmp_path / "features.npy",
    ]
    np.savez(made[3], np.stack(b), np.zeros(len(b), np.int64))  # images as arr_0, then labels
    np.savez_compressed(made[4], images=np.stack(b))
    np.save(made[5], embedded(b))
    scores = [score(real, fake, embedding(tmp_path, batch=batch)) for fake in made]
    for other in scores[1:]:
        assert other.values == scores[0].values
        assert other.counts == (10, 10)


@pytest.mark.parametrize(("limit", "ahead"), [(0, 1), (10 * 35 // 3 + 1, 2), (2**20, 8)])
def test_images_are_decoded_ahead_as_far_as_the_memory_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, ahead: int
) -> None:
    """Images of 35 pixels: beside the next one, at most as many as three threads may decode."""
    opened = open_input(folder(tmp_path / "a", pictures(0, count=20, sizes=((7, 5),))))
    decoded = []
    original = decoding.decode
    monkeypatch.setattr(
        decoding, "decode", lambda load, *more: (original(load, *more), decoded.append(1))[0]
    )
    monkeypatch.setattr(decoding, "AHEAD", 8)
    monkeypatch.setattr(decoding, "AHEAD_BYTES", limit)
    assert isinstance(opened, ImageInput)
    for taken, picture in enumerate(opened.pictures(3), 1):
        time.sleep(0.02)  # for threads that would go too far
        assert len(decoded) <= taken + ahead
        np.testing.assert_array_equal(picture.pixels, pictures(0, 20, ((7, 5),))[taken - 1])
    assert len(decoded) == 20


@pytest.mark.parametrize(("held", "ahead"), [(0, 8), (100, 3), (10**6, 1)])
def test_bytes_of_packed_images_are_taken_ahead_as_far_as_the_memory_goes(
    monkeypatch: pytest.MonkeyPatch, held: int, ahead: int
) -> None:
    monkeypatch.setattr(decoding, "AHEAD", 8)
    monkeypatch.setattr(decoding, "AHEAD_BYTES", 125)  # for each of two threads
    taken: list[int] = []

    def images() -> Iterator[Loadable]:
        for number in range(20):
            taken.append(number)
            load = functools.partial(Image.new, "RGB", (2, 1), (number, 0, 0))
            yield Loadable(str(number), load, held)

    found = []
    for number, picture in enumerate(decoding.ahead(images, "white")(2)):
        assert len(taken) <= number + ahead
        found.append(picture.pixels[0, 0, 0])
    assert found == taken == list(range(20))


def test_decoded_images_in_flight_stay_within_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the network works too: at most the limit, and what is needed next."""
    size, limit = 40 * 30 * 3, 2 * (40 * 30 * 10)
    opened = open_input(folder(tmp_path / "a", pictures(0, count=30, sizes=((40, 30),))))
    assert isinstance(opened, ImageInput)
    alive, most = [], []
    original = decoding._pixels

    def pixels(image: Image.Image) -> NDArray[np.uint8]:
        array = original(image)
        alive.append(weakref.ref(array))
        most.append(sum(size for reference in alive if reference() is not None))
        return array

    def forward(x: Tensor) -> Tensor:
        time.sleep(0.01)  # for threads that would go too far
        return x.clone()

    monkeypatch.setattr(decoding, "_pixels", pixels)
    monkeypatch.setattr(decoding, "AHEAD_BYTES", limit // 2)  # two threads decode
    monkeypatch.setattr(embedding_module, "TOGETHER", size)
    found = embedding_module.embed_images(
        opened, Embedder(quarters, forward), torch.device("cpu"), embedding(tmp_path, batch=4)
    )
    assert max(most) <= limit + size
    np.testing.assert_array_equal(found, embedded(pictures(0, count=30, sizes=((40, 30),))))


def test_photographs_are_let_go_before_the_network_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If there is memory for one image only, the next one is decoded and no other."""
    opened = open_input(folder(tmp_path / "a", pictures(0, count=12, sizes=((40, 30),))))
    assert isinstance(opened, ImageInput)
    made, left = [], []
    original = decoding._pixels

    def pixels(image: Image.Image) -> NDArray[np.uint8]:
        array = original(image)
        made.append(weakref.ref(array))
        return array

    def forward(x: Tensor) -> Tensor:
        left.append(sum(reference() is not None for reference in made))
        return x.clone()

    monkeypatch.setattr(decoding, "_pixels", pixels)
    monkeypatch.setattr(decoding, "AHEAD_BYTES", 0)
    monkeypatch.setattr(embedding_module, "TOGETHER", 1)
    embedding_module.embed_images(
        opened, Embedder(quarters, forward), torch.device("cpu"), embedding(tmp_path), Census()
    )
    assert len(left) == 3
    assert max(left) <= 1


def test_progress_counts_images_also_where_batches_are_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = open_input(folder(tmp_path / "a", pictures(0, count=20, sizes=((8, 6),))))
    assert isinstance(opened, ImageInput)
    monkeypatch.setattr(embedding_module, "TOGETHER", 8 * 6 * 3)  # batches of 8, not of 64
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0)
    network, asked = Embedder(quarters, Tensor.clone), embedding(tmp_path, batch=64)
    embedding_module.embed_images(opened, network, torch.device("cpu"), asked)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == [f"features: {n}/20" for n in range(1, 21)]


MEMORY = """
import dataclasses, hashlib, sys
from pathlib import Path
import torch
from benchmark.extractors.inception_2015 import Inception2015
from benchmark.runtime.memory import peak_of_process
from benchmark.tools.score import save
from benchmark.tools.score_embedding import Embedding
folder, weights, statistics = map(Path, sys.argv[1:])
sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
Inception2015.weights = dataclasses.replace(Inception2015.weights, sha256=sha256)
before = peak_of_process()
save(folder, Embedding("inception-v3-fid", folder, weights, "cpu", threads=2), statistics)
assert 'pandas' not in sys.modules  # 68 MB, which only tables need
print(peak_of_process() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="other systems count memory in other ways")
def test_photographs_take_little_more_memory_than_the_network(tmp_path: Path) -> None:
    """In float32 one of 12 megapixels is 144 MB, and the weights are 95 MB.

    It is 260 MB on top of what is imported, and 383 MB where whole photographs are made float32.
    """
    (tmp_path / "photographs").mkdir()
    rng = np.random.default_rng(0)
    for i in range(12):
        coarse = Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8))
        photograph = coarse.resize((4000, 3000), Image.Resampling.BICUBIC)
        photograph.save(tmp_path / "photographs" / f"{i}.jpg")
    arguments = ["photographs", inception_file(tmp_path).name, "statistics.npz"]
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, *arguments],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
    )
    assert not done.returncode, done.stderr
    assert int(done.stdout) < 320e6


def test_few_photographs_are_in_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = open_input(folder(tmp_path / "a", pictures(0, count=21, sizes=((8, 6),))))
    assert isinstance(opened, ImageInput)
    monkeypatch.setattr(embedding_module, "TOGETHER", 8 * 6 * 3)
    batches = []

    def forward(x: Tensor) -> Tensor:
        batches.append(len(x))
        return x.clone()

    network = Embedder(quarters, forward)
    embedding_module.embed_images(
        opened, network, torch.device("cpu"), embedding(tmp_path, batch=64)
    )
    assert batches == [8, 8, 5]


@pytest.mark.parametrize("batch", [1, 4, 64])
def test_large_images_are_made_small_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    """So a batch of photographs is never in memory, and the features are the same bits."""
    shown = pictures(0, count=10, sizes=((8, 6), (8, 6), (3, 3), (3, 3)))
    opened = open_input(folder(tmp_path / "a", shown))
    assert isinstance(opened, ImageInput)
    sizes, batches = [], []

    def small(x: Tensor) -> Tensor:
        sizes.append(tuple(x.shape))
        return quarters(x)

    def forward(x: Tensor) -> Tensor:
        batches.append(len(x))
        return x.clone()

    monkeypatch.setattr(embedding_module, "TOGETHER", 3 * 3 * 3 * 2)
    found = embedding_module.embed_images(
        opened,
        Embedder(small, forward),
        torch.device("cpu"),
        embedding(tmp_path, batch=batch),
    )
    assert {size for size in sizes if size[2:] == (8, 6)} == {(1, 3, 8, 6)}
    assert max(size[0] for size in sizes) == min(2, batch)
    assert batches == [len(shown[i : i + batch]) for i in range(0, len(shown), batch)]
    np.testing.assert_array_equal(found, embedded(shown))


def test_who_stops_early_leaves_no_thread_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_input(folder(tmp_path / "a", pictures(0, count=20)))
    monkeypatch.setattr(decoding, "AHEAD_BYTES", 0)
    assert isinstance(opened, ImageInput)
    running = opened.pictures(3)
    next(running)
    running.close()
    assert not [t for t in threading.enumerate() if "ThreadPoolExecutor" in t.name]


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_an_array_is_read_image_by_image(tmp_path: Path, suffix: str) -> None:
    images = pictures(0, count=7, sizes=((3, 4),))
    opened = open_input(array(tmp_path / f"a{suffix}", images))
    assert isinstance(opened, ImageInput)
    np.testing.assert_array_equal([p.pixels for p in opened.pictures(1)], images)


def test_images_are_decoded_as_prepare_does(tmp_path: Path) -> None:
    """One rule for all commands: transparency is laid on white, 16 bits are scaled, and so on."""
    rng = np.random.default_rng(0)
    names = {"RGBA": (5, 4, 4), "LA": (5, 4, 2), "L": (5, 4), "RGB": (5, 4, 3)}
    for mode, shape in names.items():
        Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(tmp_path / f"{mode}.png")
    Image.fromarray(rng.integers(0, 65536, (5, 4), np.uint16)).save(tmp_path / "wide.png")
    opened = open_input(tmp_path)
    assert isinstance(opened, ImageInput)
    for picture, file in zip(opened.pictures(2), sorted(tmp_path.glob("*.png")), strict=True):
        image, notes = decode(functools.partial(open_file, file))
        np.testing.assert_array_equal(picture.pixels, np.asarray(image))
        assert (picture.format, picture.conversions) == ("PNG", notes)


def test_the_folder_of_a_cell_stands_for_its_samples(tmp_path: Path) -> None:
    cell = tmp_path / "results" / "run" / "samples" / "DDPM-s0"
    cell.mkdir(parents=True)
    shown, real = pictures(0, sizes=((6, 8),)), folder(tmp_path / "a", pictures(1))
    array(cell / "samples.npy", shown)
    for name in ("grid", "chain", "movie"):
        Image.fromarray(shown[0]).save(cell / f"{name}.png")
    found = score(real, cell, embedding(tmp_path))
    assert found.counts == (10, 10)
    assert found.values == score(real, cell / "samples.npy", embedding(tmp_path)).values
    assert f"{cell}: the images are those of samples.npy, beside its pictures" in found.notes
    assert wrong(tmp_path, fake=cell.parent).startswith(f"{cell}: a folder of a run's results")


def test_statistics_keep_how_their_images_were_read(tmp_path: Path) -> None:
    real, fake = tmp_path / "a", tmp_path / "b"
    for place, size, kind in ((real, (9, 7), "png"), (fake, (5, 4), "jpg")):
        place.mkdir()
        for i, pixels in enumerate(pictures(1, sizes=(size,))):
            Image.fromarray(pixels).convert("L").save(place / f"{i}.{kind}")
    kept = tmp_path / "kept.npz"
    save(real, embedding(tmp_path), kept)
    notes = score(real, fake, embedding(tmp_path), ["fd"]).notes
    assert "the two differ in size: 7×9 against 4×5" in notes
    of_statistics = [note.replace(str(kept), str(real)) for note in fd_notes(kept, fake, tmp_path)]
    assert of_statistics == notes
    with np.load(kept) as found:
        arrays = dict(found)
    np.savez(kept, **{**arrays, "images_read": np.array("[1, 2")})
    with pytest.raises(BenchmarkError, match=r"kept\.npz: images_read is '\[1, 2': write the stat"):
        fd_notes(kept, fake, tmp_path)


def fd_notes(real: Path, fake: Path, tmp_path: Path) -> list[str]:
    return score(real, fake, embedding(tmp_path), ["fd"]).notes


def test_ignored_files_are_told_beside_the_score(tmp_path: Path) -> None:
    real, fake = folder(tmp_path / "a", pictures(0)), folder(tmp_path / "b", pictures(1))
    (fake / ".ipynb_checkpoints").mkdir()
    (fake / ".ipynb_checkpoints" / "a-checkpoint.png").write_bytes(b"")
    (fake / "x" / "._00.png").write_bytes(b"")
    found = score(real, fake, embedding(tmp_path))
    assert found.counts == (10, 10)
    line = f"{fake}: files: 3 ignored: 1 × .txt, 1 × hidden file, 1 × hidden folder"
    assert line in found.notes
    assert line in found.to_text()
    assert line in json.loads(found.to_json())["notes"]


def test_a_tagged_image_scores_as_its_srgb_pixels(tmp_path: Path) -> None:
    """One picture, as Display-P3 with its profile and converted to sRGB, is nearly the same."""
    shown = pictures(1, sizes=((16, 16),))
    for side in ("a", "tagged", "converted", "untagged"):
        (tmp_path / side).mkdir()
    for i, pixels in enumerate(shown):
        Image.fromarray(pixels).save(tmp_path / "tagged" / f"{i}.png", icc_profile=DISPLAY_P3)
        Image.fromarray(pixels).save(tmp_path / "untagged" / f"{i}.png")
        Image.fromarray(srgb_of_p3(pixels)).save(tmp_path / "converted" / f"{i}.png")
    found = score(tmp_path / "converted", tmp_path / "tagged", embedding(tmp_path), ["fd"])
    ignored = score(tmp_path / "converted", tmp_path / "untagged", embedding(tmp_path), ["fd"])
    assert found.values["frechet"].value < 1 < ignored.values["frechet"].value / 20
    line = "converted to 8-bit sRGB: 10 × colour profile Display P3 to sRGB"
    assert f"{tmp_path / 'tagged'}: {line}" in found.notes
    differ = "the two differ in colour: RGB against colour profile Display P3 to sRGB"
    assert differ in found.notes
    assert differ in found.to_text()
    assert differ in json.loads(found.to_json())["notes"]


def test_what_differs_between_the_sides_is_told(tmp_path: Path) -> None:
    for side in ("png", "jpeg", "grey", "same"):
        (tmp_path / side).mkdir()
    for i, pixels in enumerate(pictures(1, sizes=((16, 16),))):
        image = Image.fromarray(pixels)
        image.save(tmp_path / "png" / f"{i}.png")
        image.save(tmp_path / "same" / f"{9 - i}.PNG")
        image.resize((32, 24)).save(tmp_path / "jpeg" / f"{i}.jpg", quality=75)
        if i < 8:
            image.convert("L").save(tmp_path / "grey" / f"{i}.png")

    def told(real: str, fake: str) -> list[str]:
        notes = score(tmp_path / real, tmp_path / fake, embedding(tmp_path), ["fd"]).notes
        return [note for note in notes if note.startswith("the two differ in ")]

    assert told("png", "same") == []
    assert told("png", "png") == []
    assert told("png", "jpeg") == [
        "the two differ in size: 16×16 against 32×24",
        "the two differ in format: PNG against JPEG quality 75",
    ]
    assert told("grey", "png") == [
        "the two differ in colour: greyscale against RGB",
        "the two differ in number: 8 images against 10",
    ]
    np.save(tmp_path / "a.npy", np.stack(pictures(1, sizes=((16, 16),))))
    assert told("a.npy", "png") == ["the two differ in format: array against PNG"]


def test_identical_sets_have_distance_zero(tmp_path: Path) -> None:
    real = folder(tmp_path / "a", pictures(0))
    file = tmp_path / "a.npz"
    assert score(real, real, embedding(tmp_path), ["fd"], file).values["frechet"].value == 0
    assert score(file, file, embedding(tmp_path)).values["frechet"].value == 0
    assert score(file, real, embedding(tmp_path)).values["frechet"].value < 1e-9


def test_statistics_of_other_programs_give_the_distance_of_their_features(tmp_path: Path) -> None:
    a, b = embedded(pictures(0, count=30)), embedded(pictures(1, count=8))
    for name, x in (("a", a), ("b", b)):
        np.savez(tmp_path / f"{name}.npz", mu=x.mean(0), sigma=np.cov(x, rowvar=False))
    np.save(tmp_path / "b.npy", b)
    expected = Frechet().compute(b, a)
    both = score(tmp_path / "a.npz", tmp_path / "b.npz", embedding(tmp_path, None))
    assert both.values.keys() == {"frechet"}
    assert both.values["frechet"].value == pytest.approx(expected.value, rel=1e-6)
    assert both.values["frechet"].std_error is None
    assert both.counts == (None, None)
    assert both.to_text().splitlines()[-1].startswith("Fréchet distance")
    one = score(tmp_path / "a.npz", tmp_path / "b.npy", embedding(tmp_path, None))
    assert one.values["frechet"].value == pytest.approx(expected.value, rel=1e-6)
    assert one.values["frechet"].low == pytest.approx(expected.low, rel=1e-6)


def test_own_statistics_name_their_extractor_and_count(tmp_path: Path) -> None:
    real, fake = folder(tmp_path / "a", pictures(0)), folder(tmp_path / "b", pictures(1))
    file = tmp_path / "kept" / "a.npz"
    whole = score(real, fake, embedding(tmp_path), ["fd"], file)
    own = score(file, fake, embedding(tmp_path))
    assert own.values["frechet"].value == pytest.approx(whole.values["frechet"].value, rel=1e-9)
    assert own.counts == (10, 10)
    both = score(file, file, embedding(tmp_path, None))
    assert both.extractor == EXTRACTORS.make("quarters")
    alone = tmp_path / "alone.npz"
    save(real, embedding(tmp_path), alone)
    with np.load(file) as one, np.load(alone) as other:
        assert set(one.files) == set(other.files) > {"mu", "sigma", "extractor", "count"}
        np.testing.assert_array_equal(one["sigma"], other["sigma"])
        np.testing.assert_allclose(one["mu"], embedded(pictures(0)).mean(0), rtol=1e-6)


@pytest.mark.parametrize("name", ["fake.npz", "old.npz", "a", "new", "new.npy", "f.npz", "a/x/y"])
def test_statistics_replace_nothing_and_no_image_is_read_before(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, fake = folder(tmp_path / "a", pictures(0)), tmp_path / "fake.npz"
    array(fake, pictures(1, sizes=((6, 8),)))
    (tmp_path / "old.npz").write_text("kept")
    (tmp_path / "f.npz").mkdir()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    monkeypatch.setattr(decoding, "_decode", None)
    monkeypatch.setattr(module, "embed_images", None)
    file = tmp_path / name
    reason = "exists already" if name.endswith(".npz") else r"kept in a file whose name ends in"
    for call in (
        lambda: score(real, fake, embedding(tmp_path), ["fd"], file),
        lambda: score(fake, real, embedding(tmp_path), ["fd"], file),
        lambda: save(real, embedding(tmp_path), file),
    ):
        with pytest.raises(BenchmarkError, match=f"^{file}: .*{reason}"):
            call()
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert after == before


def test_statistics_below_a_file_are_refused_at_once(tmp_path: Path) -> None:
    real = folder(tmp_path / "a", pictures(0))
    with pytest.raises(BenchmarkError, match=r"notes\.txt is not a writable folder"):
        save(real, embedding(tmp_path), real / "notes.txt" / "s.npz")


def test_a_refused_score_leaves_no_statistics_behind(tmp_path: Path) -> None:
    real, fake = folder(tmp_path / "a", pictures(0)), folder(tmp_path / "b", pictures(1, count=4))
    with pytest.raises(BenchmarkError, match="k = 5 neighbours among 4 images"):
        score(real, fake, embedding(tmp_path), ["recall"], tmp_path / "new" / "s.npz")
    assert not (tmp_path / "new").exists()


def test_inception_score_is_that_of_the_logits(tmp_path: Path) -> None:
    a, b = pictures(0), pictures(1)
    real, fake = folder(tmp_path / "a", a), folder(tmp_path / "b", b)
    expected = InceptionScore(splits=2).compute(
        embedded(b) @ (np.eye(12, 5, dtype=np.float32) / 50)
    )
    choice = MetricChoice(isc_splits=2)
    found = score(real, fake, embedding(tmp_path), ["is"], choice=choice).values["inception-score"]
    assert found.value == pytest.approx(expected.value, rel=1e-6)
    assert found.value > 1.01


def test_only_inception_features_are_called_fid(tmp_path: Path) -> None:
    real, fake = folder(tmp_path / "a", pictures(0)), folder(tmp_path / "b", pictures(1))
    text = score(real, fake, embedding(tmp_path)).to_text()
    assert "FD-quarters" in text
    assert "FID" not in text
    assert "KID" not in text


def test_a_distance_of_fewer_images_than_dimensions_and_one_is_marked(tmp_path: Path) -> None:
    real = folder(tmp_path / "a", pictures(0, count=13))
    fake = folder(tmp_path / "b", pictures(1, count=12))
    found = score(real, fake, embedding(tmp_path), ["fd", "kid"])
    (warning,) = found.warnings
    assert warning.startswith(f"{fake}: 12 images are fewer than 13, which 12 dimensions need")
    *_, distance, kernel, where, note = found.to_text().splitlines()
    assert where.endswith("interval over the images of FAKE: FD-quarters, kernel")
    assert re.match(r"FD-quarters +[0-9.]+† \[", distance)
    assert "†" not in kernel
    assert note.split(maxsplit=1) == ["†", warning]
    assert json.loads(found.to_json())["warnings"] == [warning]
    assert "†" not in score(real, fake, embedding(tmp_path), ["kid"]).to_text()
    enough = score(real, real, embedding(tmp_path), ["fd"])
    assert (enough.warnings, "†" in enough.to_text()) == ([], False)


def test_what_four_images_do_not_allow_is_missing_with_its_reason(tmp_path: Path) -> None:
    real, fake = folder(tmp_path / "a", pictures(0)), folder(tmp_path / "b", pictures(1, count=4))
    found = score(real, fake, embedding(tmp_path))
    assert found.values.keys() == set(module.DEFAULT) - {"recall"}
    assert found.missing.keys() == {"recall"}
    assert "recall: not computed: fake: k = 5 neighbours among 4 images" in "".join(found.warnings)
    assert re.search("\nrecall +not computed: fake: k = 5 neighbours among 4", found.to_text())
    with pytest.raises(BenchmarkError, match="fake: k = 5 neighbours among 4 images"):
        score(real, fake, embedding(tmp_path), ["fd", "recall"])


def test_a_result_that_is_not_finite_is_missing_or_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure = module._measure

    def overflowing(metric: Metric, *others: Any) -> Value:
        return Value(value=float("inf")) if metric.short == "kid" else measure(metric, *others)

    monkeypatch.setattr(module, "_measure", overflowing)
    real, fake = folder(tmp_path / "a", pictures(0)), folder(tmp_path / "b", pictures(1))
    found = score(real, fake, embedding(tmp_path))
    assert found.missing == {"kernel": "the result is not a finite number"}
    with pytest.raises(BenchmarkError, match=r"^kernel: the result is not a finite number$"):
        score(real, fake, embedding(tmp_path), ["kid"])


@pytest.mark.parametrize("metrics", [",", "", " , "])
def test_metrics_that_name_none_are_refused(tmp_path: Path, metrics: str) -> None:
    real = folder(tmp_path / "a", pictures(0))
    run = CliRunner().invoke(app, ["score", str(real), str(real), "--metrics", metrics])
    assert isinstance(run.exception, BenchmarkError)
    assert str(run.exception) == f"--metrics: {metrics!r} names none: give names, as fd,kid"


def wrong(tmp_path: Path, **sides: Path) -> str:
    """Return the error of a score whose other side is right."""
    right = tmp_path / "right"
    if not right.exists():
        folder(right, pictures(0))
    with pytest.raises(BenchmarkError) as caught:
        score(sides.get("real", right), sides.get("fake", right), embedding(tmp_path))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("side", ["real", "fake"])
def test_unusable_folders_are_refused_by_name(tmp_path: Path, side: str) -> None:
    (tmp_path / "empty").mkdir()
    broken = folder(tmp_path / "broken", pictures(0))
    file = broken / "x" / "04.PNG"
    file.write_bytes(file.read_bytes()[:60])
    deep = folder(tmp_path / "deep", pictures(0))
    grey = deep / "x" / "grey.tif"
    Image.fromarray(np.full((5, 5), 200, np.int32)).save(grey)
    cases = {
        "empty": "empty: no images in it",
        "none": "none: no such folder",
        "broken": f"{file}: not a readable image: ",
        "deep": f"{grey}: not a readable image: 32-bit or signed pixels have no known range",
    }
    for name, message in cases.items():
        assert message in wrong(tmp_path, **{side: tmp_path / name})
    one = folder(tmp_path / "one", pictures(0, count=1))
    assert f"{one}: 1 images are too few: at least 3" in wrong(tmp_path, **{side: one})


UNUSABLE = {
    "floats.npy": (np.zeros((5, 4, 4, 3)), "float64 of shape (5, 4, 4, 3): images must be uint8"),
    "grey.npy": (np.zeros((5, 4, 4), np.uint8), "uint8 of shape (5, 4, 4): images must be uint8"),
    "narrow.npy": (np.zeros((5, 7)), "features of dimension 7, not 12 as those of quarters"),
    "grey.npz": ({"x": np.zeros((5, 4, 4), np.uint8)}, "images must be uint8 N×H×W×3"),
    "two.npz": ({"x": np.zeros(3), "y": np.zeros(3)}, "holds x, y: give mu and sigma, or one"),
    "fortran.npz": ({"x": np.zeros((5, 4, 4, 3), np.uint8, order="F")}, "in the order of C"),
    "narrow.npz": (
        {"mu": np.zeros(7), "sigma": np.eye(7)},
        "features of dimension 7, not 12 as those of quarters",
    ),
    "flat.npz": ({"mu": np.zeros(12), "sigma": np.ones(12)}, "they must be d and d×d"),
    "d0.npz": ({"mu": np.zeros(0), "sigma": np.zeros((0, 0))}, "d and d×d, d at least 1"),
    "d0.npy": (np.zeros((5, 0)), "features must be N×d with d at least 1, not of shape (5, 0)"),
    "n0.npy": (np.zeros((0, 12)), "0 images are too few: at least 3"),
    "h0.npy": (np.zeros((5, 0, 4, 3), np.uint8), "of shape (5, 0, 4, 3): images must be uint8"),
    "h0.npz": ({"x": np.zeros((5, 0, 4, 3), np.uint8)}, "of shape (5, 0, 4, 3): images must be"),
    "1e200.npy": (np.full((5, 12), 1e200), "features of 1e+200 overflow when they are multiplied"),
    "-1e150.npy": (np.full((5, 12), -1e150), "features of 1e+150 overflow"),
    "long.npy": (np.full((5, 12), np.longdouble("1e4000")), "the features of image 0 hold NaN or"),
    "1e200.npz": ({"mu": np.full(12, 1e200), "sigma": np.eye(12)}, "features above 1e+15"),
    "1e40.npz": ({"mu": np.zeros(12), "sigma": 1e40 * np.eye(12)}, "features above 1e+15"),
    "count.npz": ({"mu": np.zeros(12), "sigma": np.eye(12), "count": np.array("abc")}, "is 'abc'"),
    "below.npz": ({"mu": np.zeros(12), "sigma": np.eye(12), "count": np.array(-5)}, "count is -5"),
    "part.npz": ({"mu": np.zeros(12), "sigma": np.eye(12), "count": np.array(2.7)}, "count is 2.7"),
    "negated.npz": (
        {"mu": np.zeros(12), "sigma": -np.eye(12)},
        "sigma is no covariance: it has the eigenvalue -1, and none may be below 0",
    ),
    "triangle.npz": (
        {"mu": np.zeros(12), "sigma": np.eye(12) + np.triu(np.full((12, 12), 1e-4))},
        "sigma is no covariance: it must be symmetric",
    ),
    "complex.npz": (
        {"mu": np.zeros(12), "sigma": np.eye(12) + 0j},
        "mu is float64, sigma complex128: they must be real numbers",
    ),
    "text.npz": ({"mu": np.full(12, "a"), "sigma": np.eye(12)}, "they must be real numbers"),
    "nan.npz": ({"mu": np.full(12, np.nan), "sigma": np.eye(12)}, "holds NaN or infinity"),
    "other.npz": (
        {"mu": np.zeros(12), "sigma": np.eye(12), "extractor": np.array("negatives")},
        "extractor 'negatives', not 'quarters': compare features of one network only",
    ),
    "objects.npy": (np.array([{}], dtype=object), "cannot be read: holds Python objects"),
    "1e-160.npy": (np.eye(5, 12) * 1e-160, "features of 1e-160 vanish when they are multiplied"),
    "capitals.npz": (
        {"MU": np.zeros(12), "SIGMA": np.eye(12)},
        "holds MU, SIGMA, as if statistics: call them mu and sigma",
    ),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_unusable_files_are_refused_by_name(tmp_path: Path, name: str) -> None:
    content, message = UNUSABLE[name]
    path = tmp_path / name
    if isinstance(content, dict):
        np.savez(path, **content)
    else:
        np.save(path, content)
    for side in ("real", "fake"):
        found = wrong(tmp_path, **{side: path})
        assert found.startswith(f"{path}: ")
        assert message in found


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
@pytest.mark.parametrize("content", [b"", b"1 2 3\n", pickle.dumps(np.zeros((5, 12)))])
def test_a_file_of_another_kind_is_refused_without_the_advice_to_unpickle_it(
    tmp_path: Path, name: str, content: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    line = f"{path}: cannot be read: neither .npy nor .npz: write it by np.save or np.savez"
    assert wrong(tmp_path, fake=path) == line


def test_a_file_that_is_no_input_is_told_what_is(tmp_path: Path) -> None:
    path = tmp_path / "statistics.pt"
    path.write_bytes(b"PK")
    line = (
        f"{path}: give a folder of images, or a file of them: .npy, .npz, .zip, .tar, .parquet "
        "or .arrow"
    )
    assert wrong(tmp_path, real=path) == line


def test_features_in_the_shape_of_a_covariance_beside_labels_are_features(tmp_path: Path) -> None:
    features, labels = np.random.default_rng(0).normal(size=(12, 12)), np.arange(12)
    np.savez(tmp_path / "a.npz", features=features, labels=labels)
    assert np.array_equal(open_input(tmp_path / "a.npz"), features)


@pytest.mark.parametrize("name", ["cut.npy", "cut.npz", "none.npy"])
def test_damaged_files_are_refused_by_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name != "none.npy":
        array(path, pictures(0, sizes=((6, 8),)))
        path.write_bytes(path.read_bytes()[:-500])
    assert wrong(tmp_path, fake=path).startswith(f"{path}: cannot be read: ")


def test_an_archive_that_ends_before_its_last_image_is_refused(tmp_path: Path) -> None:
    whole = io.BytesIO()
    np.save(whole, np.stack(pictures(0, sizes=((6, 8),))))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("arr_0.npy", whole.getvalue()[:-100])
    assert wrong(tmp_path, fake=tmp_path / "a.npz").startswith(f"{tmp_path / 'a.npz'}: ends before")


def test_a_damaged_member_of_an_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, np.stack(pictures(0, count=40, sizes=((6, 8),))))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    assert wrong(tmp_path, fake=path).startswith(f"{path}: cannot be read: ")


def test_nan_in_features_is_refused(tmp_path: Path) -> None:
    features = embedded(pictures(0))
    features[4, 2] = np.nan
    np.save(tmp_path / "f.npy", features)
    path = tmp_path / "f.npy"
    assert wrong(tmp_path, fake=path) == f"{path}: the features of image 4 hold NaN or infinity"


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.longdouble, ">f8", ">f4"])
def test_features_of_any_float_type_score_as_in_float64(tmp_path: Path, dtype: str) -> None:
    for name, seed in (("a", 0), ("b", 1)):
        features = np.random.default_rng(seed).normal(size=(20, 12)).astype(np.float16)
        np.save(tmp_path / f"{name}.npy", features.astype(np.float64))
        np.save(tmp_path / f"{name}-typed.npy", features.astype(dtype))
    own = embedding(tmp_path)
    expected = score(tmp_path / "a.npy", tmp_path / "b.npy", own).values
    found = score(tmp_path / "a-typed.npy", tmp_path / "b-typed.npy", own).values
    for name, value in expected.items():
        assert found[name].value == pytest.approx(value.value, rel=1e-5), name


def test_features_up_to_the_largest_have_every_figure(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 1)):
        features = np.random.default_rng(seed).uniform(-1, 1, (20, 12))
        np.save(tmp_path / f"{name}.npy", 1e15 * features)
    found = score(tmp_path / "a.npy", tmp_path / "b.npy", embedding(tmp_path))
    assert found.values.keys() == set(module.DEFAULT)


def test_rounding_in_float32_leaves_a_covariance_one(tmp_path: Path) -> None:
    features = np.random.default_rng(0).normal(size=(5, 12)).astype(np.float32)
    sigma = np.cov(features, rowvar=False, dtype=np.float32)
    sigma[0, 1] *= np.float32(1 + 1e-6)
    np.savez(tmp_path / "a.npz", mu=features.mean(0), sigma=sigma)
    np.save(tmp_path / "a.npy", features)
    found = score(tmp_path / "a.npz", tmp_path / "a.npy", embedding(tmp_path))
    assert found.values["frechet"].value < 1e-3


def test_metrics_that_cannot_be_computed_are_refused_by_name(tmp_path: Path) -> None:
    real, file = folder(tmp_path / "a", pictures(0)), tmp_path / "a.npz"
    save(real, embedding(tmp_path), file)
    own = embedding(tmp_path)
    for metrics, sides, message in (
        (["fd", "kid"], (file, real), f"kernel cannot be computed from statistics, as in {file}"),
        (["is"], (real, file), f"inception-score cannot be computed from statistics, as in {file}"),
        (["precisions"], (real, real), "no metric 'precisions': did you mean 'precision'"),
    ):
        with pytest.raises(BenchmarkError, match=message):
            score(*sides, own, metrics)
    split = score(file, real, own, ["is", "fd"], choice=MetricChoice(isc_splits=1))
    assert split.values.keys() == {"inception-score", "frechet"}
    with pytest.raises(BenchmarkError, match="holds statistics already"):
        save(file, own, tmp_path / "b.npz")
    with pytest.raises(BenchmarkError, match="no extractor 'quarter': did you mean 'quarters'"):
        score(real, real, embedding(tmp_path, "quarter"))


def test_other_weights_are_refused(tmp_path: Path) -> None:
    real = folder(tmp_path / "a", pictures(0))
    (tmp_path / "w.pth").write_bytes(b"other")
    with pytest.raises(BenchmarkError, match=r"w\.pth: its SHA-256 is"):
        score(real, real, embedding(tmp_path))
    (tmp_path / "w.pth").unlink()
    with pytest.raises(BenchmarkError, match=r"w\.pth: missing, and cannot be downloaded"):
        score(real, real, embedding(tmp_path))


def test_the_command_prints_a_table_or_json_and_keeps_statistics(tmp_path: Path) -> None:
    real, fake = folder(tmp_path / "a", pictures(0)), folder(tmp_path / "b", pictures(1))
    options = ["--extractor", "quarters", "--weights", str(tmp_path / "w.pth"), "--threads", "1"]
    kept = tmp_path / "kept.npz"
    run = CliRunner()
    as_json = run.invoke(app, ["score", str(real), str(fake), *options, "--format", "json"])
    assert as_json.exit_code == 0
    printed = json.loads(as_json.stdout)
    assert printed["label"] == "FD-quarters"
    assert printed["real"] == {"path": str(real), "images": 10}
    assert printed["values"].keys() == set(module.DEFAULT)
    [warning] = printed["warnings"]  # of both
    assert warning.startswith(f"{real}: 10 images and {fake}: 10 images are fewer than 13, which")
    assert "10 images are fewer than 13, which 12 dimensions need" in as_json.stderr
    saved = run.invoke(app, ["score", str(real), *options, "--save-stats", str(kept)])
    assert saved.exit_code == 0
    assert f"{kept}: statistics of 10 images written" in saved.stderr
    table = run.invoke(
        app, ["score", str(kept), str(fake), *options, "--metrics", "fd, is", "--isc-splits", "2"]
    )
    assert [line.split()[0] for line in table.stdout.splitlines()] == [
        "real",
        "fake",
        "note",  # FAKE holds a file that is no image
        "features",
        "FD-quarters",
        "inception-score",
        "where",
        "where",
        "†",
    ]
    alone = run.invoke(app, ["score", str(real), *options])
    assert isinstance(alone.exception, BenchmarkError)
    assert str(alone.exception).startswith("FAKE: is missing")


def test_a_set_that_is_compared_with_itself_is_told(tmp_path: Path) -> None:
    real, other = folder(tmp_path / "a", pictures(0)), folder(tmp_path / "b", pictures(1))
    copy = Path(shutil.copytree(real, tmp_path / "copy"))

    def told(fake: Path) -> str:
        return "\n".join(score(real, fake, embedding(tmp_path), ["fd"]).notes)

    assert f"{real}: is compared with itself" in told(real)
    assert f"{real} and {copy} hold the same images" in told(copy)
    assert "itself" not in told(other)
    assert "the same images" not in told(other)


def test_the_embedded_extractor_scores_folders(tmp_path: Path) -> None:
    real, fake = folder(tmp_path / "a", pictures(0)), folder(tmp_path / "b", pictures(1))
    found = score(real, fake, embedding(tmp_path, "efficientnet-lite0"), ["fd"])
    assert found.values["frechet"].value > 1
    assert "\nFD-EffNetLite0" in found.to_text()


@pytest.fixture(scope="module")
def inception(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return inception_file(tmp_path_factory.mktemp("inception"))


def as_peers_know(inception: Path, patch: pytest.MonkeyPatch) -> None:
    """Give pytorch-fid these weights, and let the extractor expect them."""
    from pytorch_fid import inception as peer

    state = torch.load(inception, weights_only=True)
    patch.setattr(peer, "load_state_dict_from_url", lambda *_, **__: state)
    own = with_weights(EXTRACTORS.make("inception-v3-fid"), inception)
    register(patch, own)


def flat(path: Path, seed: int, count: int) -> Path:
    """A folder as pytorch-fid wants it: no subfolders, small suffixes, one size."""
    path.mkdir()
    for i, image in enumerate(images(count, 40, 56, seed).permute(0, 2, 3, 1).numpy()):
        Image.fromarray(image // (1 + seed % 2)).save(path / f"{i:02}.png")
    return path


def test_statistics_of_pytorch_fid_are_read_back(
    inception: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytorch_fid import fid_score as peer

    as_peers_know(inception, monkeypatch)
    # compressing covariances of 2048 × 2048 takes seconds
    monkeypatch.setattr(np, "savez_compressed", np.savez)
    real, theirs, ours = flat(tmp_path / "a", 2, 5), tmp_path / "a.npz", tmp_path / "own.npz"
    peer.save_fid_stats([str(real), str(theirs)], 4, torch.device("cpu"), 2048, num_workers=0)
    own = Embedding(None, tmp_path, inception, "cpu", 4)
    save(real, own, ours)
    with np.load(theirs) as a, np.load(ours) as b:
        np.testing.assert_allclose(b["mu"], a["mu"], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(b["sigma"], a["sigma"], atol=1e-4 * a["sigma"].max())
        trace = np.trace(a["sigma"])
    found = score(theirs, real, own, ["fd"])
    assert "\nFID " in found.to_text()
    assert found.values["frechet"].value < 1e-4 * trace


@pytest.mark.slow
def test_two_folders_have_the_fid_of_pytorch_fid(
    inception: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytorch_fid import fid_score as peer

    as_peers_know(inception, monkeypatch)
    real, fake = flat(tmp_path / "a", 2, 12), flat(tmp_path / "b", 3, 9)
    expected = peer.calculate_fid_given_paths(
        [str(real), str(fake)], 4, torch.device("cpu"), 2048, num_workers=0
    )
    found = score(real, fake, Embedding(None, tmp_path, inception, "cpu", 4), ["fd"])
    error = found.values["frechet"].value / expected - 1
    print(f"score: FID of folders {abs(error):.1e}")
    assert abs(error) < 1e-3
