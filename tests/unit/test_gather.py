"""Images made elsewhere: which are taken, how they are fitted, and what is refused."""

from __future__ import annotations

import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from stages import do

from benchmark.config.config import Config
from benchmark.config.loading import parse_config, resolved
from benchmark.config.needs import check_folders
from benchmark.core.errors import BenchmarkError
from benchmark.stages import gather as gather
from benchmark.stages import reading
from benchmark.storage.paths import Run

SIDE = 16


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Nine images, each of a grey of its own, of several sizes."""
    for number in range(9):
        path = tmp_path / "gan" / f"{number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (SIDE + 3 * number, SIDE), (20 * number,) * 3).save(path)
    return tmp_path / "gan"


def with_images(smoke: Config, images: Path, samples: int = 9) -> Config:
    content: dict[str, Any] = smoke.model_dump(mode="json")
    content["models"]["GAN"] = {"family": "GAN", "data": "tiny", "images": str(images)}
    content["grid"].append({"table": "t", "model": "GAN", "samples": samples, "seed": [0, 1]})
    return parse_config(content)


def greys(run: Run, cell: str) -> list[int]:
    return [int(image.mean()) for image in np.load(run.samples(cell))]


def test_all_images_are_taken_in_an_order_of_chance_that_the_record_tells(
    smoke: Config, folder: Path, run: Run
) -> None:
    record = do("gather", with_images(smoke, folder), "GAN-s0", run)
    assert sorted(greys(run, "GAN-s0")) == [20 * n for n in range(9)]
    assert greys(run, "GAN-s0") != [20 * n for n in (0, 2, 4, 6, 8, 1, 3, 5, 7)]
    numbers = [int(Path(name).stem) for name in record.gathered.files]
    assert greys(run, "GAN-s0") == [20 * n for n in numbers]
    assert record.gathered.images_in_folder == 9
    assert record.timing is None
    assert run.grid("GAN-s0").stat().st_size > 0


@pytest.mark.parametrize(("threads", "expected"), [(2, 2), (None, 5)])
def test_as_many_processes_read_as_the_job_has_threads_or_cores(
    threads: int | None,
    expected: int,
    smoke: Config,
    folder: Path,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(reading, "IMAGES_PER_WORKER", 1)
    monkeypatch.setattr(gather, "available_cores", lambda: 5)
    monkeypatch.setattr(reading, "_pool", asked.append)
    record = do("gather", with_images(smoke, folder), "GAN-s0", run, threads=threads)
    assert asked == [expected]
    assert record.provenance.threads == expected


def test_the_seed_draws_some_of_many(smoke: Config, folder: Path, run: Run) -> None:
    config = with_images(smoke, folder, samples=5)
    for cell in ("GAN-s0", "GAN-s1"):
        do("gather", config, cell, run)
        assert len(set(greys(run, cell))) == 5
    assert greys(run, "GAN-s0") != greys(run, "GAN-s1")


def test_images_of_the_right_size_stay_as_they_are_and_others_are_fitted_to_the_data(
    smoke: Config, tmp_path: Path, run: Run
) -> None:
    rng = np.random.default_rng(0)
    right = rng.integers(0, 256, (3, SIDE, SIDE, 3), np.uint8)
    wide = rng.integers(0, 256, (2 * SIDE, 4 * SIDE, 3), np.uint8)
    (tmp_path / "made").mkdir()
    for number, image in enumerate([*right, wide]):
        Image.fromarray(image).save(tmp_path / "made" / f"{number}.png")
    record = do("gather", with_images(smoke, tmp_path / "made", samples=4), "GAN-s0", run)
    images = np.load(run.samples("GAN-s0"))
    found = dict(zip(record.gathered.files, images, strict=True))
    for number in range(3):
        np.testing.assert_array_equal(found[f"{number}.png"], right[number])
    square = Image.fromarray(wide[:, SIDE : 3 * SIDE])
    expected = square.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(found["3.png"], np.asarray(expected))


@pytest.mark.parametrize(
    ("break_it", "expected"),
    [
        (lambda f: (f / "0" / "0.png").unlink(), r"models\.GAN\.images: 8 images in .*: 9 are ask"),
        (lambda f: (f / "0" / "2.png").write_bytes(b"no"), r"models\.GAN\.images: .*: 0/2\.png: "),
        (lambda f: f.rename(f.with_name("gone")), "no such folder"),
    ],
)
def test_a_folder_that_will_not_do_is_refused_and_nothing_is_written(
    smoke: Config, folder: Path, run: Run, break_it: Any, expected: str
) -> None:
    break_it(folder)
    with pytest.raises(BenchmarkError, match=expected):
        do("gather", with_images(smoke, folder), "GAN-s0", run)
    assert not run.samples("GAN-s0").exists()
    assert not run.record("sample", "GAN-s0").exists()


def test_what_is_sampled_is_not_gathered_nor_the_other_way_round(
    smoke: Config, folder: Path
) -> None:
    config = with_images(smoke, folder)
    assert parse_config(json.loads(resolved(config))) == config
    with pytest.raises(BenchmarkError, match=r"models\.DDPM has no images: it is sampled"):
        config.job("gather", "DDPM-linear-ddpm-10-s0")
    with pytest.raises(BenchmarkError, match="GAN-s0: these images were made elsewhere"):
        config.job("sample", "GAN-s0").spec()


def of_classes(smoke: Config, images: Path, labels: str | None, samples: int = 6) -> Config:
    """Return a config whose data set has the hair of its faces as classes."""
    content: dict[str, Any] = with_images(smoke, images, samples).model_dump(mode="json")
    content["data"]["tiny"]["label"] = "hair"
    content["models"]["GAN"]["labels"] = labels
    return parse_config(content)


@pytest.fixture
def hair(smoke: Config, folder: Path, tmp_path: Path) -> Path:
    """Three images of each of two classes of the data set, each class of a grey of its own."""
    names = of_classes(smoke, folder, None).classes_of("tiny")
    for grey, name in ((50, names[3]), (200, names[1])):
        for number in range(3):
            path = tmp_path / "hair" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (SIDE, SIDE), (grey,) * 3).save(path)
    return tmp_path / "hair"


@pytest.mark.parametrize("kind", ["folders", "CSV"])
def test_images_made_elsewhere_have_the_classes_of_the_data(
    kind: str, smoke: Config, hair: Path, run: Run, tmp_path: Path
) -> None:
    csv = tmp_path / "of.csv"
    made = [(path.parent.name, path.name) for path in hair.rglob("*.png")]
    csv.write_text("".join(f"{name}/{file},{name}\n" for name, file in made))
    config = of_classes(smoke, hair, "folders" if kind == "folders" else str(csv))
    check_folders(config, run)
    record = do("gather", config, "GAN-s0", run)
    assert record.asked
    assert record.asked.classes == [*config.classes_of("tiny")]
    assert record.asked.labels == [3 if grey == 50 else 1 for grey in greys(run, "GAN-s0")]
    files = config.job("gather", "GAN-s0").files()
    assert files
    assert (kind == "CSV") == any(name.endswith("of.csv") for name in files[1])


def test_the_classes_of_images_made_elsewhere_are_in_the_specification_alone_where_stated(
    smoke: Config, hair: Path
) -> None:
    told = of_classes(smoke, hair, "folders").job("gather", "GAN-s0")
    untold = of_classes(smoke, hair, None).job("gather", "GAN-s0")
    assert told.spec().keys() - untold.spec().keys() == {"classes"}


def test_images_made_elsewhere_are_judged_by_class(
    smoke: Config, hair: Path, tmp_path: Path
) -> None:
    config = of_classes(smoke, hair, "folders")
    run = Run(tmp_path / "own" / smoke.run)  # `run` has data without classes, shared by tests
    do("prepare", config, "tiny", run)
    do("gather", config, "GAN-s0", run)
    for name in ("tiny", "GAN-s0"):
        do("features", config, name, run)
    [record] = do("evaluate", config, "GAN-s0", run)
    classes = config.classes_of("tiny")
    assert record.by_class
    assert {*record.by_class} == {classes[1], classes[3]}


def renamed(hair: Path) -> None:
    next(hair.iterdir()).rename(hair / "beard")


@pytest.mark.parametrize(
    ("break_it", "expected"),
    [
        (renamed, r"^models\.GAN\.labels: 'beard' is no class of the data: .*"),
        (
            lambda hair: (hair / "stray.png").write_bytes(next(hair.rglob("*.png")).read_bytes()),
            r"^models\.GAN\.labels: 'stray\.png' has no class: put it into the folder",
        ),
    ],
)
def test_classes_that_the_data_lack_are_refused_before_a_run(
    break_it: Any, expected: str, smoke: Config, hair: Path, run: Run
) -> None:
    break_it(hair)
    with pytest.raises(BenchmarkError, match=expected):
        check_folders(of_classes(smoke, hair, "folders"), run)


def test_labels_without_images_or_without_classes_of_the_data_are_refused(
    smoke: Config, folder: Path
) -> None:
    content: dict[str, Any] = with_images(smoke, folder).model_dump(mode="json")
    content["models"]["GAN"]["labels"] = "folders"
    with pytest.raises(BenchmarkError, match=r"models\.GAN\.labels: data\.tiny has no labels"):
        parse_config(content)
    content["models"]["GAN"]["labels"] = None
    content["models"]["DDPM"]["labels"] = "folders"
    with pytest.raises(BenchmarkError, match=r"labels: only images made elsewhere"):
        parse_config(content)


def packed(folder: Path, kind: str) -> Path:
    """Pack the images of a folder, in the order of their paths."""
    files = sorted(folder.rglob("*.png"))
    path = folder.with_suffix(f".{kind}")
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file in files:
                archive.write(file, file.relative_to(folder))
    elif kind == "tar":
        with tarfile.open(path, "w") as tar:
            for file in files:
                tar.add(file, file.relative_to(folder))
    elif kind == "parquet":
        rows = [{"bytes": file.read_bytes(), "path": file.name} for file in files]
        names = [file.parent.name for file in files]
        pq.write_table(pa.table({"image": rows, "other": rows, "hair": names}), path)
    elif kind == "npz":
        pixels = np.stack([np.asarray(Image.open(file)) for file in files])
        classes = sorted({file.parent.name for file in files})
        np.savez(path, pixels, np.array([classes.index(file.parent.name) for file in files]))
    else:
        lmdb = pytest.importorskip("lmdb")
        with lmdb.open(str(path)) as environment, environment.begin(write=True) as transaction:
            for file in files:
                transaction.put(str(file.relative_to(folder)).encode(), file.read_bytes())
    return path


def of_packed(smoke: Config, images: Path, samples: int = 6, **keys: Any) -> Config:
    content = of_classes(smoke, images, None, samples).model_dump(mode="json")
    content["models"]["GAN"] |= keys
    return parse_config(content)


@pytest.mark.parametrize("kind", ["zip", "tar", "parquet", "npz", "lmdb"])
def test_packed_images_made_elsewhere_are_those_of_the_folder(
    kind: str, smoke: Config, hair: Path, run: Run
) -> None:
    keys = {"image": "image"} if kind == "parquet" else {}
    config = of_packed(smoke, packed(hair, kind), **keys)
    check_folders(config, run)
    record = do("gather", config, "GAN-s0", run)
    found = np.load(run.samples("GAN-s0"))
    do("gather", with_images(smoke, hair, samples=6), "GAN-s0", run)
    assert np.array_equal(found, np.load(run.samples("GAN-s0")))
    assert record.gathered.folder == f"hair.{kind}"
    assert record.gathered.images_in_folder == 6
    assert len(set(record.gathered.files)) == 6
    files = config.job("gather", "GAN-s0").files()
    assert files
    assert len(files[1]) == 1


@pytest.mark.parametrize(
    ("kind", "keys"),
    [("zip", {"labels": "folders"}), ("parquet", {"labels": "hair", "image": "other"})],
)
def test_packed_images_made_elsewhere_have_the_classes_of_the_data(
    kind: str, keys: dict[str, str], smoke: Config, hair: Path, run: Run
) -> None:
    config = of_packed(smoke, packed(hair, kind), **keys)
    check_folders(config, run)
    record = do("gather", config, "GAN-s0", run)
    assert record.asked
    assert record.asked.classes == [*config.classes_of("tiny")]
    assert record.asked.labels == [3 if grey == 50 else 1 for grey in greys(run, "GAN-s0")]


def test_classes_that_packed_images_tell_as_numbers_are_those_of_the_data(
    smoke: Config, hair: Path, run: Run
) -> None:
    config = of_packed(smoke, packed(hair, "npz"), labels="arr_1")
    check_folders(config, run)
    record = do("gather", config, "GAN-s0", run)
    assert record.asked
    first = sorted(path.name for path in hair.iterdir())[0]
    of_first = 50 if first == config.classes_of("tiny")[3] else 200
    assert record.asked.labels == [int(grey != of_first) for grey in greys(run, "GAN-s0")]


def test_what_tells_packed_images_apart_is_in_the_specification(smoke: Config, hair: Path) -> None:
    path = packed(hair, "parquet")
    job = of_packed(smoke, path, labels="hair", image="other").job("gather", "GAN-s0")
    other = of_packed(smoke, path, labels="hair", image="image").job("gather", "GAN-s0")
    assert job.spec() != other.spec()
    assert "benchmark.data.sources.hugging_face" in job.modules()


@pytest.mark.parametrize(
    ("kind", "keys", "expected"),
    [
        ("zip", {"samples": 7}, r"images: 6 images in .*hair\.zip: 7 are asked for"),
        ("zip", {"labels": "x.csv"}, r"labels: 'dataset.json' or 'folders' is needed, not 'x.csv'"),
        ("zip", {"labels": "dataset.json"}, r"labels: .*: no dataset\.json with `labels` in it"),
        ("zip", {"image": "png"}, r"image: .*hair\.zip: only a tar, parquet and Arrow have sever"),
        ("tar", {"image": "jpg"}, r"images: .*: no images in it; 6 ignored: 6 × \.png"),
        ("tar", {"labels": "cls"}, r"labels: .*hair\.tar: '.*' has no class: a member"),
        ("parquet", {}, r"image: .*: several columns of images: give one of image, other"),
        ("parquet", {"image": "x"}, r"image: .*: no column 'x', only image, other"),
        ("parquet", {"image": "image", "labels": "y"}, r"labels: .*: no column 'y', only"),
        ("npz", {"labels": "arr_2"}, r"labels: .*: no array 'arr_2', only arr_0, arr_1"),
    ],
)
def test_packed_images_that_will_not_do_are_refused_before_a_run(
    kind: str, keys: dict[str, Any], expected: str, smoke: Config, hair: Path, run: Run
) -> None:
    config = of_packed(smoke, packed(hair, kind), **keys)
    with pytest.raises(BenchmarkError, match=rf"^models\.GAN\.{expected}") as caught:
        check_folders(config, run)
    assert "\n" not in str(caught.value)


def test_other_files_and_choices_are_refused(smoke: Config, hair: Path, run: Run) -> None:
    with pytest.raises(BenchmarkError, match=r"^models\.GAN\.image: files in a folder are images"):
        check_folders(of_packed(smoke, hair, image="png"), run)
    text = hair / "notes.txt"
    text.write_text("no images")
    with pytest.raises(BenchmarkError, match=r"^models\.GAN\.images: .*notes\.txt: a folder of im"):
        check_folders(of_packed(smoke, text), run)
    path = packed(hair, "npz")
    with np.load(path) as content:
        np.savez(path, content["arr_0"], np.array([0, 1, 2, 3, 4, 99]))
    with pytest.raises(
        BenchmarkError, match=r"^models\.GAN\.labels: 99 is no class of the data: 0"
    ):
        check_folders(of_packed(smoke, path, labels="arr_1"), run)
    path.with_suffix(".zip").write_bytes(b"PK\3\4 no zip")
    with pytest.raises(
        BenchmarkError, match=r"^models\.GAN\.images: .*hair\.zip: a folder of imag"
    ):
        check_folders(of_packed(smoke, path.with_suffix(".zip")), run)
