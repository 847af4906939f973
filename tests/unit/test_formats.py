"""Images in the formats that users have: read as the same images in a folder, or refused.

The files are made by each format's own tools, where these are installed (group `peers`).
"""

from __future__ import annotations

import pickle
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from packed_images import (
    SIZES,
    database,
    packed_zip,
    paths,
    plain_tar,
    refusal,
    scored,
    source,
    write_images,
)
from PIL import Image

from benchmark.config.loading import load_config
from benchmark.core.errors import BenchmarkError
from benchmark.data import load_dataset
from benchmark.data.packed import Packed
from benchmark.data.prepared import Manifest
from benchmark.data.sources import SOURCES
from benchmark.stages.prepare import prepare
from benchmark.tools.init import LEAST, Machine, write_config

HEAD = "0123456789" * 4


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of four images of class a and four of class b."""
    return write_images(tmp_path_factory.mktemp("formats") / "images")


def prepared(images: Path, kind: str, path: Path, **options: Any) -> Manifest:
    """Prepare packed images, and compare them with the same images in a folder."""
    found = source(kind, path, **options)
    found.check_files("data.mine")
    place = images.parent / "expected"
    if not place.exists():
        prepare(source("folder", images, labels="folders"), place)
    expected, read = load_dataset(place), path.parent / f"read-{kind}"
    manifest = prepare(found, read)
    data = load_dataset(read, verify=True)
    assert np.array_equal(data.train, expected.train)
    assert np.array_equal(data.held_out, expected.held_out)
    if found.label is not None:
        assert data.train_labels is not None
        assert data.train_labels.tolist() == expected.train_labels.tolist()
        assert data.held_out_labels.tolist() == expected.held_out_labels.tolist()
    return manifest


# zip


def edm_labels(images: Path) -> dict[str, Any]:
    return {
        "labels": [[str(p.relative_to(images)), int(p.parent.name == "b")] for p in paths(images)]
    }


def test_a_zip_has_the_images_and_classes_of_its_folder(images: Path, tmp_path: Path) -> None:
    path = packed_zip(tmp_path / "a.zip", images, edm_labels(images))
    manifest = prepared(images, "zip", path, label="dataset.json")
    assert manifest.labels is not None
    assert manifest.labels.classes == ("0", "1")
    assert manifest.formats == {"PNG": 8}
    assert prepared(images, "zip", path, label="folders").labels.classes == ("a", "b")
    scored(images, path)


def test_what_systems_leave_in_a_zip_is_no_image(images: Path, tmp_path: Path) -> None:
    path = packed_zip(tmp_path / "a.zip", images)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__MACOSX/a/._a0.png", b"x")
        archive.writestr("readme.txt", b"x")
    assert prepared(images, "zip", path).ignored_files == {".txt": 1, "system folder": 1}


@pytest.mark.parametrize("name", ["../a.png", "/a.png", "a/../../b.png", "..\\a.png", "C:/a.png"])
def test_a_zip_that_leads_out_is_refused(name: str, images: Path, tmp_path: Path) -> None:
    path = packed_zip(tmp_path / "a.zip", images)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(zipfile.ZipInfo(name), b"x")
    assert " leads out of the zip: pack it again without it" in refusal("zip", path)


def test_a_bomb_and_an_encrypted_image_are_refused(images: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("a.png", "w") as file,
    ):
        for _ in range(65):
            file.write(bytes(2**20))
    assert "'a.png' would unpack from " in refusal("zip", path)
    content = bytearray(packed_zip(path, images).read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    assert "'a/a0.png' is encrypted: " in refusal("zip", path)


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (None, "no dataset.json with `labels` in it: leave label out"),
        ({"labels": None}, "`labels` should be a list of pairs of the path"),
        ({"labels": [["a/a0.png", 1]]}, "dataset.json has no class for 'a/a1.png'"),
        ("gone", "dataset.json has a class for 'gone.png', which is no image there"),
        ("vector", "image 0 has the class [0.5]: a whole number or a text would be right"),
        ("negative", "image 0 has the class -1: 0 to 65535 would be right"),
        ("single", "1 classes in "),
        ("mixed", "some classes are numbers, as 0, and some texts, as 'x': all of one kind"),
    ],
)
def test_labels_that_do_not_match_a_zip(
    table: Any, expected: str, images: Path, tmp_path: Path
) -> None:
    if isinstance(table, str):
        pairs = edm_labels(images)["labels"]
        changed = {"gone": ["gone.png", 1], "vector": [pairs[0][0], [0.5]]}
        changed |= {"negative": [pairs[0][0], -1], "mixed": [pairs[0][0], "x"]}
        pairs = [[name, 0] for name, _ in pairs] if table == "single" else pairs
        table = {"labels": [*pairs, *([changed[table]] if table in changed else [])]}
    path = packed_zip(tmp_path / "a.zip", images, table)
    assert expected in refusal("zip", path, label="dataset.json")


def test_a_zip_that_is_damaged_empty_or_too_small(images: Path, tmp_path: Path) -> None:
    path = packed_zip(tmp_path / "a.zip", images)
    assert "path: 8 images in " in refusal("zip", path, train=6)
    path.write_bytes(path.read_bytes()[:-40])
    assert "not a whole zip file" in refusal("zip", path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", b"")
    assert "no images in it; 1 ignored: 1 × .txt" in refusal("zip", path)
    assert "gone.zip: no such file or folder" in refusal("zip", tmp_path / "gone.zip")


def test_a_damaged_image_in_a_zip_is_named_or_skipped(images: Path, tmp_path: Path) -> None:
    path = packed_zip(tmp_path / "a.zip", images)
    content = path.read_bytes()
    start = content.index(paths(images)[0].read_bytes())
    path.write_bytes(content[: start + 60] + b"!" + content[start + 61 :])
    with pytest.raises(BenchmarkError, match=r"a/a0\.png: Bad CRC-32"):
        prepare(source("zip", path), tmp_path / "data")
    manifest = prepare(source("zip", path, train=4, on_bad_image="skip"), tmp_path / "data")
    assert manifest.bad_images.count <= 1


# tar


def test_a_tar_has_the_images_of_its_folder(images: Path, tmp_path: Path) -> None:
    path = plain_tar(tmp_path / "a.tar", images)
    prepared(images, "tar", path)
    scored(images, path)


def test_the_shards_of_webdataset_have_images_and_classes(images: Path, tmp_path: Path) -> None:
    wds = pytest.importorskip("webdataset")
    folder = tmp_path / "shards"
    folder.mkdir()
    with wds.ShardWriter(str(folder / "of-%04d.tar"), maxcount=3, verbose=0) as shards:
        for number, path in enumerate(paths(images)):
            label = int(path.parent.name == "b")
            content = {"png": path.read_bytes(), "seg.png": path.read_bytes(), "cls": label}
            shards.write({"__key__": f"x/{number:04d}", "json": {"label": label}, **content})
    assert len(list(folder.iterdir())) == 3
    assert "has several images: give the extension of one, png or seg.png" in refusal("tar", folder)
    manifest = prepared(images, "tar", folder, image="png", label="cls")
    assert manifest.ignored_files == {".json": 8, ".seg.png": 8}
    scored(images, folder, "png")
    assert "no images in it" in refusal("tar", folder, image="jpg")
    assert "'x/0000.png' has no class: a member 'x/0000.txt'" in refusal(
        "tar", folder, image="png", label="txt"
    )


@pytest.mark.parametrize("name", [None, "number", "text"])
def test_classes_of_webdataset_in_json(name: str | None, images: Path, tmp_path: Path) -> None:
    wds = pytest.importorskip("webdataset")
    path = tmp_path / "a.tar"
    with wds.TarWriter(str(path)) as archive:
        for number, image in enumerate(paths(images)):
            is_b = image.parent.name == "b"
            told: Any = {"number": int(is_b), "text": "dog" if is_b else "cat", "caption": "x"}
            sample = {"png": image.read_bytes(), "json": told if name else int(is_b)}
            archive.write({"__key__": f"{number:04d}", **sample})
    label = f"json:{name}" if name else "json"
    manifest = prepared(images, "tar", path, label=label)
    assert manifest.labels
    assert manifest.labels.classes == (("cat", "dog") if name == "text" else ("0", "1"))
    assert manifest.ignored_files == {}
    if name:
        assert "'0000.json' names no class: a key is needed: json:caption, json:n" in refusal(
            "tar", path, label="json"
        )
        assert "no key 'numbers': json:caption, json:number, json:text would do" in refusal(
            "tar", path, label="json:numbers"
        )
    else:
        assert "it is 0 and has no keys: label: json would be right" in refusal(
            "tar", path, label="json:number"
        )


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"{", "names no class: Expecting property name"),
        (b"\xff", "names no class: 'utf-8' codec"),
        (b"[" * 60_000, "names no class: maximum recursion depth"),
        (b" " * 70_000, "names no class: has 70,000 bytes"),
        (b'{"class": null}', "image 0 has the class None: a whole number or a text would be"),
        (b'{"class": 1.5}', "image 0 has the class 1.5: a whole number or a text would be right"),
        (b'{"class": {"a": [1]}}', "image 0 has the class {'a': [1]}: a whole number"),
        (b'{"class": -1}', "image 0 has the class -1: 0 to 65535 would be right"),
        (b"{}", "no key 'class': an object with some would do"),
        (b'{"class": ' + b"9" * 5000 + b"}", "Exceeds the limit (4300 digits)"),
    ],
)
def test_json_that_names_no_class_is_refused(
    content: bytes, expected: str, images: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.json").write_bytes(content)
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        archive.add(paths(images)[0], "a.png")
        archive.add(tmp_path / "a.json", "a.json")
    said = refusal("tar", path, label="json:class", train=1, held_out=1)
    assert expected in said
    assert "\n" not in said


def test_tars_that_are_refused(images: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo("a.txt"))
    assert "no images in it; 1 ignored: 1 × .txt" in refusal("tar", path)
    with tarfile.open(path, "a") as archive:
        archive.addfile(tarfile.TarInfo("../a.png"))
    assert "'../a.png' leads out of the tar" in refusal("tar", path)
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("a.png"))
    assert "not a whole tar file that is not compressed" in refusal("tar", path)
    whole = plain_tar(path, images).read_bytes()
    path.write_bytes(whole[: whole.rindex(b"b/b3.png") + 600])
    assert "unexpected end of data" in refusal("tar", path)
    at = whole.index(b"b/b1.png")
    path.write_bytes(whole[:at] + b"??" + whole[at + 2 :])
    assert "damaged, or not whole: fetch it again" in refusal("tar", path)
    (tmp_path / "empty").mkdir()
    assert "a folder of .tar files would be right" in refusal("tar", tmp_path / "empty")


# parquet and Arrow


@pytest.fixture(scope="module")
def hugging(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The images as a data set of the library `datasets`."""
    datasets = pytest.importorskip("datasets")
    cache = str(tmp_path_factory.mktemp("cache"))
    return datasets.load_dataset(
        "imagefolder", data_dir=str(images), split="train", cache_dir=cache
    )


def embedded(hugging: Any) -> Any:
    from datasets.table import embed_table_storage

    return hugging.with_format("arrow").map(embed_table_storage, batched=True).with_format(None)


def test_parquet_of_datasets_has_images_and_the_names_of_classes(
    images: Path, hugging: Any, tmp_path: Path
) -> None:
    path = tmp_path / "train.parquet"
    embedded(hugging).to_parquet(path)
    manifest = prepared(images, "hugging-face", path, label="label")
    assert manifest.labels is not None
    assert manifest.labels.classes == ("a", "b")
    scored(images, path)


def test_saved_splits_of_datasets_are_told_apart(
    images: Path, hugging: Any, tmp_path: Path
) -> None:
    import datasets

    splits = datasets.DatasetDict(train=hugging, test=hugging.select(range(4, 8)))
    splits.save_to_disk(tmp_path / "saved")
    files = {"files": "train/*", "label": "label"}
    prepared(images, "hugging-face", tmp_path / "saved", **files)
    scored(images, tmp_path / "saved" / "train")
    options = {**files, "held_out_files": "test/*", "train": 8, "held_out": 4}
    found = source("hugging-face", tmp_path / "saved", **options)
    offer = found.offer()
    assert sorted(offer.train.order) == list(range(8))
    assert offer.held_out is not None
    assert sorted(offer.held_out.order) == list(range(8, 12))
    said = refusal("hugging-face", tmp_path / "saved", **{**options, "held_out": 5})
    assert "held_out: 4 images in " in said
    said = refusal("hugging-face", tmp_path / "saved", files="*", held_out_files="test/*")
    assert "is among `files` too" in said
    assert "none of " in refusal("hugging-face", tmp_path / "saved", files="valid/*")


def test_rows_that_hold_a_path_alone_are_read_from_beside(
    images: Path, hugging: Any, tmp_path: Path
) -> None:
    path = tmp_path / "train.parquet"
    hugging.to_parquet(path)
    first = pq.read_table(path).column("image")[0].as_py()
    assert first["bytes"] is None
    found = source("hugging-face", path)
    with pytest.raises(BenchmarkError, match=r"holds no bytes, but the path '.*: put that file b"):
        prepare(found, tmp_path / "data")
    (tmp_path / "b").symlink_to(images / "b")
    for image in (images / "a").iterdir():
        (tmp_path / image.name).symlink_to(image)
    prepared(images, "hugging-face", path)
    scored(images, path)


def test_jpegs_keep_their_quality_in_the_manifest(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    noise = np.random.default_rng(0).integers(0, 256, (8, 12, 12, 3)).astype(np.uint8)
    for number, pixels in enumerate(noise):
        Image.fromarray(pixels).save(tmp_path / f"{number}.jpg", quality=95)
    files = [str(tmp_path / f"{number}.jpg") for number in range(8)]
    data = datasets.Dataset.from_dict({"image": files}).cast_column("image", datasets.Image())
    embedded(data).to_parquet(tmp_path / "as-they-are.parquet")
    written_again = embedded(data).map(lambda row: {"image": row["image"]})
    written_again.to_parquet(tmp_path / "mapped.parquet")
    found = {
        name: prepare(source("hugging-face", tmp_path / f"{name}.parquet"), tmp_path / name).formats
        for name in ("as-they-are", "mapped")
    }
    assert found["as-they-are"] == {"JPEG quality 95": 8}
    assert found["mapped"] == {"JPEG quality 75": 8}


def table(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def test_tables_that_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    rows = [{"bytes": b"x", "path": None}] * 8
    table(path, number=list(range(8)), text=["x"] * 8)
    assert (
        "no column of images: struct<bytes, path> or binary would be one, it has only number"
        in (refusal("hugging-face", path))
    )
    table(path, image=rows, mask=rows, label=[0, 1] * 4)
    assert "several columns of images: give one of image, mask" in refusal("hugging-face", path)
    assert "no column 'img', only image, mask" in refusal("hugging-face", path, image="img")
    said = refusal("hugging-face", path, image="label")
    assert "column 'label' is int64 and holds no images; these do: image, mask" in said
    said = refusal("hugging-face", path, image="mask", label="class")
    assert "label: " in said
    assert "no column 'class', only image, mask, label" in said
    path.write_bytes(path.read_bytes()[:-9])
    assert "not a whole parquet file" in refusal("hugging-face", path)
    (tmp_path / "a.arrow").write_bytes(b"ARROW1")
    assert "not a whole Arrow file" in refusal("hugging-face", tmp_path / "a.arrow")
    table(tmp_path / "train-00000-of-00002.parquet", image=rows)
    path.unlink()
    (tmp_path / "a.arrow").unlink()
    assert "1 of the 2 files like train-00000-of-00002" in refusal("hugging-face", tmp_path)


def test_columns_make_up_a_class_together(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    rows = [{"bytes": b"x", "path": None}] * 3
    columns = {"Male": [True, False, True], "age": ["old", "old", "young"], "n": [1, 1, 2]}
    table(path, image=rows, empty=[None, 1, 2], **columns)
    assert source("hugging-face", path, label="Male+age").classes() == (
        *("Male+old", "Male+young", "no Male+old"),
    )
    assert source("hugging-face", path, label="n+Male").classes() == (
        *("1+Male", "1+no Male", "2+Male"),
    )
    said = refusal("hugging-face", path, label="Male+empty")
    assert "row 0 has None in column empty" in said
    assert "no column 'Female', only image" in refusal("hugging-face", path, label="Male+Female")
    assert "Male+Male names one twice" in refusal("hugging-face", path, label="Male+Male")
    table(path, image=rows, a=["x+y", "x", "z"], c=["z", "y+z", "z"])
    assert "row 0 has 'x+y' in column a" in refusal("hugging-face", path, label="a+c")
    table(path, image=rows, **columns, **{"Male+age": ["a", "b", "b"]})
    assert source("hugging-face", path, label="Male+age").classes() == ("a", "b")


def test_names_that_datasets_keeps_make_up_a_class_together(hugging: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    embedded(hugging.add_column("Male", [True, False] * 4)).to_parquet(path)
    found = source("hugging-face", path, label="label+Male")
    assert found.classes() == ("a+Male", "a+no Male", "b+Male", "b+no Male")


@pytest.mark.parametrize("options", [{}, {"repository": "a/b"}, {"path": "x", "revision": HEAD}])
def test_a_data_set_of_the_hub_needs_a_commit(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="needed"):
        SOURCES.make("hugging-face", **SIZES, **options)


def test_a_data_set_of_the_hub_is_asked_for_by_id_and_commit(
    hugging: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []
    folder = tmp_path / "datasets--owner--name" / "snapshots" / HEAD

    def download(repository: str, **options: Any) -> str:
        asked.append({"repository": repository, **options})
        embedded(hugging).to_parquet(folder / "data" / "train-00000-of-00001.parquet")
        return str(folder)

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    options = {"repository": "owner/name", "revision": HEAD, "label": "label", **SIZES}
    found = SOURCES.make("hugging-face", files="data/*", **options)
    with pytest.raises(BenchmarkError, match="classes of owner/name are not known before it is d"):
        found.classes()
    assert found.local_files() is None
    assert not asked
    manifest = prepare(found, tmp_path / "prepared")
    assert found.classes() == ("a", "b")
    assert asked[-1]["repository"] == "owner/name"
    assert asked[-1]["revision"] == HEAD
    assert asked[-1]["repo_type"] == "dataset"
    assert asked[-1]["allow_patterns"] == ["data/*"]
    assert manifest.origin == f"owner/name, revision {HEAD}, from the Hugging Face hub"


# arrays


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_a_batch_of_guided_diffusion_has_images_and_classes(
    write: Callable[..., None], images: Path, tmp_path: Path
) -> None:
    pixels = np.stack([np.asarray(Image.open(path)) for path in paths(images)])
    write(tmp_path / "a.npz", pixels, np.array([0] * 4 + [1] * 4))
    prepared(images, "arrays", tmp_path / "a.npz", label="arr_1")
    scored(images, tmp_path / "a.npz")
    folder = tmp_path / "folder"
    folder.mkdir()
    np.save(folder / "0.npy", pixels[:3])
    np.save(folder / "1.npy", pixels[3:])
    prepared(images, "arrays", folder)
    scored(images, folder)


def test_arrays_that_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    grey = np.zeros((8, 12, 12, 1), np.uint8)
    np.savez(path, grey, np.zeros(7, int))
    assert "arr_1 is int64 of shape (7,): a whole number for each of the 8" in refusal(
        "arrays", path, label="arr_1"
    )
    assert "no array 'y', only arr_0, arr_1" in refusal("arrays", path, label="y")
    np.savez(path, grey.astype(np.float32))
    assert "float32 of shape (8, 12, 12, 1): uint8 N×H×W×3" in refusal("arrays", path)
    np.savez(path, np.array([{}], object))
    assert "object of shape (1,)" in refusal("arrays", path)
    np.save(tmp_path / "a.npy", np.asfortranarray(np.ones((8, 12, 12, 3), np.uint8)))
    assert "in the order of C" in refusal("arrays", tmp_path / "a.npy")
    path.write_bytes(b"none")
    assert "neither .npy nor .npz" in refusal("arrays", path)


# LMDB


def test_an_lmdb_has_the_images_in_the_order_of_their_keys(images: Path, tmp_path: Path) -> None:
    prepared(images, "lmdb", database(tmp_path / "train_lmdb", paths(images)))
    scored(images, tmp_path / "train_lmdb")


def test_each_lmdb_in_a_folder_is_a_class(images: Path, tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    for name in ("a", "b"):
        database(tmp_path / "all" / name, paths(images / name))
    prepared(images, "lmdb", tmp_path / "all", label="folders")


def test_an_lmdb_that_is_not_whole_is_refused(images: Path, tmp_path: Path) -> None:
    folder = database(tmp_path / "x", paths(images))
    content = (folder / "data.mdb").read_bytes()
    (folder / "data.mdb").write_bytes(content[:9000])
    assert " bytes: fetch it again" in refusal("lmdb", folder)
    (folder / "data.mdb").write_bytes(b"none")
    assert "not an LMDB" in refusal("lmdb", folder)
    (folder / "data.mdb").unlink()
    assert "a folder with data.mdb, or of such folders" in refusal("lmdb", folder)


def test_without_its_library_the_group_is_named(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data.mdb").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "lmdb", None)
    assert "uv sync --extra lmdb, or pip install 'diffusion-benchmark[lmdb]'" in refusal(
        "lmdb", tmp_path
    )


# all formats


def test_images_are_read_by_several_processes(images: Path, tmp_path: Path) -> None:
    """What a worker is given can be sent to it: by the folder's own bytes, and by no open file."""
    path = packed_zip(tmp_path / "a.zip", images)
    for found in (source("zip", path), source("tar", plain_tar(tmp_path / "a.tar", images))):
        item = next(found.album().read([3]))
        assert pickle.loads(pickle.dumps(item)).load().size == (10, 12)


def test_a_changed_file_is_looked_at_again(images: Path, tmp_path: Path) -> None:
    path = packed_zip(tmp_path / "a.zip", images)
    found = source("zip", path)
    assert found.album().size == 8
    assert found.album() is found.album()
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("z.png", b"x")
    assert found.album().size == 9


def test_each_format_is_recognised_by_its_content() -> None:
    formats = [part for part in SOURCES.classes.values() if issubclass(part, Packed)]
    assert {part.model_fields["source"].default for part in formats} == {
        *("arrays", "hugging-face", "lmdb", "tar", "zip")
    }
    assert not any(part.recognises(Path(__file__)) for part in formats)


def test_init_writes_a_config_for_packed_images(images: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for number in range(LEAST):
            archive.add(paths(images)[0], f"{number}.png")
    config = load_config(write_config(tmp_path / "mine", path, Machine(2, "", 0)))
    assert config.data["mine"].model_dump()["source"] == "tar"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(BenchmarkError, match=r"^--data: .*a\.tar: "):
        write_config(tmp_path / "other", path, Machine(2, "", 0))
