"""The classes of images: where sources find them, how they are kept, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from stages import do

from benchmark.config.config import Config
from benchmark.config.jobs.base import data_spec
from benchmark.core.errors import BenchmarkError
from benchmark.data import load_dataset
from benchmark.data.sources.avatars import Avatars
from benchmark.data.sources.folder import Folder
from benchmark.records.record import read_record
from benchmark.stages.prepare import prepare
from benchmark.storage.paths import Run

SIZES: dict[str, Any] = {"resolution": 8, "train": 4, "held_out": 2}


def flat(path: Path, grey: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (8, 8), grey).save(path)


def classes(root: Path) -> Path:
    """Write three dark images of class a and three bright ones of class b."""
    for number in range(3):
        flat(root / "a" / f"{number}.png", 10 + number)
        flat(root / "b" / "deep" / f"{number}.png", 200 + number)
    return root


def table(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def folder(path: Path, **fields: Any) -> Folder:
    return Folder(path=path, **{**SIZES, **fields})


def check_bright_is_b(place: Path) -> None:
    data = load_dataset(place, verify=True)
    assert data.manifest.labels is not None
    assert data.manifest.labels.classes == ("a", "b")
    for images, labels in (
        (data.train, data.train_labels),
        (data.held_out, data.held_out_labels),
    ):
        assert labels is not None
        assert ((images[:, 0, 0, 0] > 100) == labels).all()
    counts = data.manifest.labels.counts()
    assert [sum(pair) for pair in counts.values()] == [3, 3]
    assert sum(train for train, _ in counts.values()) == 4


def test_each_folder_is_a_class(tmp_path: Path) -> None:
    source = folder(classes(tmp_path / "images"), labels="folders")
    assert source.classes() == ("a", "b")
    prepare(source, tmp_path / "data")
    check_bright_is_b(tmp_path / "data")


@pytest.mark.parametrize("titles", [(), ("file,class",)])
def test_a_table_says_the_classes(tmp_path: Path, titles: tuple[str, ...]) -> None:
    images = classes(tmp_path / "images")
    lines = [f"a/{i}.png,a" for i in range(3)] + [f"b/deep/{i}.png,b" for i in range(3)]
    source = folder(images, labels=str(table(tmp_path / "of.csv", *titles, *lines)))
    prepare(source, tmp_path / "data")
    check_bright_is_b(tmp_path / "data")


def test_another_table_makes_the_data_again_wherever_it_lies(tmp_path: Path) -> None:
    images = classes(tmp_path / "images")
    source = folder(images, labels=str(table(tmp_path / "of.csv", "a/0.png,a")))
    moved = folder(images, labels=str(table(tmp_path / "moved.csv", "a/0.png,a")))
    assert data_spec(source) == data_spec(moved)
    assert data_spec(source) != data_spec(folder(images))
    root, files = source.local_files()
    assert (root / files[-1]).resolve() == tmp_path / "of.csv"


def test_without_labels_all_is_as_it_was(tmp_path: Path) -> None:
    images = classes(tmp_path / "images")
    manifest = prepare(folder(images, labels="folders"), tmp_path / "data")
    manifest = prepare(folder(images), tmp_path / "data")
    assert manifest.labels is None
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == [
        "images.npy",
        "manifest.json",
    ]
    said = (tmp_path / "data" / "manifest.json").read_text()
    assert '"label' not in said
    assert '"channels"' not in said
    assert load_dataset(tmp_path / "data").train_labels is None
    assert not {"labels", "channels"} & data_spec(folder(images))["data"].keys()


def test_a_face_is_labelled_as_it_is_drawn(tmp_path: Path) -> None:
    source = Avatars(resolution=16, train=12, held_out=4, label="background")
    assert source.classes() == ("b6e3f4", "c0aede", "ffd5dc")
    prepare(source, tmp_path)
    data = load_dataset(tmp_path)
    assert data.train_labels is not None
    corners = [bytes(image[0, 0]).hex() for image in data.train]
    assert corners == [source.classes()[label] for label in data.train_labels]


def test_a_part_that_some_faces_lack_has_a_class_for_them() -> None:
    usual = Avatars(**SIZES, label="rearHair")
    assert usual.classes()[-1] == "none"
    always = Avatars(**SIZES, label="rearHair", options={"rearHairProbability": 100})
    assert "none" not in always.classes()
    some = Avatars(**SIZES, label="eyes", options={"eyesVariant": ["wide", "bow"]})
    assert some.classes() == ("bow", "wide")


def test_two_parts_of_a_face_make_a_class_together() -> None:
    parts = [Avatars(**SIZES, label=name) for name in ("hair", "skin")]
    both = Avatars(**SIZES, label="hair+skin")
    names = both.classes()
    assert len(names) == math.prod(len(part.classes()) for part in parts) == len(set(names))
    for i in range(5):
        found = [part.classes()[part._label(i)] for part in parts]
        assert names[both._label(i)] == "+".join(found)


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("hat", "label: style toon-head has no 'hat': "),
        ("hair+hat", "label: style toon-head has no 'hat': "),
        ("hair+", "label: style toon-head has no '': "),
        ("hair+hair", "label: hair+hair names one twice: keep one of the two"),
        ("hairs", "did you mean 'hair'?"),
        ("head", "label: all faces have the same head, head: choose another part"),
    ],
)
def test_a_label_that_the_style_does_not_have_is_refused(label: str, expected: str) -> None:
    with pytest.raises(ValueError, match="label") as caught:
        Avatars(**SIZES, label=label)
    assert expected in str(caught.value)


def refusal(source: Folder) -> str:
    with pytest.raises(BenchmarkError) as caught:
        source.check_files("data.faces")
    return str(caught.value)


def test_an_image_without_a_class_is_named(tmp_path: Path) -> None:
    images = classes(tmp_path / "images")
    flat(images / "stray.png", 5)
    said = refusal(folder(images, labels="folders"))
    assert said.startswith("data.faces.labels: 'stray.png' has no class: put it into the folder")
    csv = table(tmp_path / "of.csv", "a/0.png,a", "a/1.png,b")
    said = refusal(folder(images, labels=str(csv)))
    assert said.startswith("data.faces.labels: 'a/2.png' has no class: give it a line in ")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["a/0.png"], "line 1 has 1 columns: the path of an image and its class would be right"),
        (["a/0.png,a", "a/0.png,b"], "line 2: 'a/0.png' has two classes"),
        (["a/0.png,a"], "1 classes in "),
        (["a/0.png,a", "a/1.png, "], "' ' is no name of a class"),
        (["a/0.png,a", '"a/1.png","b\x07"'], "'b\\x07' is no name of a class"),
        (["a/0.png,\udcff", "b"], "no CSV in UTF-8"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path: Path, lines: list[str], expected: str) -> None:
    path = tmp_path / "of.csv"
    path.write_text("\n".join(lines), errors="surrogateescape")
    said = refusal(folder(classes(tmp_path / "images"), labels=str(path)))
    assert said.startswith("data.faces.labels: ")
    assert expected in said
    assert "\n" not in said


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    images = classes(tmp_path / "images")
    said = refusal(folder(images, labels=str(tmp_path / "of.csv")))
    assert said.endswith("of.csv: cannot be read: No such file or directory")


def test_an_empty_class_and_a_single_class_are_refused(tmp_path: Path) -> None:
    images = classes(tmp_path / "images")
    (images / "c").mkdir()
    assert "class 'c' has no image: leave it out" in refusal(folder(images, labels="folders"))
    for number in range(6):
        flat(tmp_path / "one" / "a" / f"{number}.png", number)
    said = refusal(folder(tmp_path / "one", labels="folders"))
    assert "labels: 1 classes in " in said


def test_changed_labels_are_found(tmp_path: Path) -> None:
    prepare(folder(classes(tmp_path / "images"), labels="folders"), tmp_path / "data")
    path = tmp_path / "data" / "labels.npy"
    np.save(path, 1 - np.load(path))
    with pytest.raises(BenchmarkError, match=r"labels\.npy: its labels are not the ones"):
        load_dataset(tmp_path / "data")
    path.unlink()
    with pytest.raises(BenchmarkError, match=r"labels\.npy: No such file"):
        load_dataset(tmp_path / "data")


def test_the_record_has_the_numbers_of_images_of_each_class(tmp_path: Path, smoke: Config) -> None:
    source = folder(classes(tmp_path / "images"), labels="folders")
    config = smoke.model_copy(update={"data": {"tiny": source}})
    run = Run(tmp_path / "run")
    do("prepare", config, "tiny", run)
    prepared = read_record(run.record("data", "tiny")).prepared
    assert prepared is not None
    assert prepared.classes is not None
    assert [sum(pair) for pair in prepared.classes.values()] == [3, 3]
