"""Packed images that are damaged, ambiguous or written in unusual ways: told apart, or refused."""

from __future__ import annotations

import io
import json
import lzma
import os
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from packed_images import database, packed_zip, paths, refusal, source, webp, write_images
from PIL import Image
from typer.testing import CliRunner

import benchmark as db
from benchmark.cli.app import app
from benchmark.core.errors import BenchmarkError
from benchmark.data import hub_files
from benchmark.data.image_tables import sets_of
from benchmark.data.sources import arrays
from benchmark.tools.score_inputs import ImageInput, open_input


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of four images of class a and four of class b."""
    return write_images(tmp_path_factory.mktemp("formats") / "images")


def read(found: Any) -> dict[str, np.ndarray]:
    """Return the pixels of all images by their names."""
    album = found.album()
    return {i.name: np.asarray(i.load()) for i in album.read(range(album.size))}


# arrays


class Failing(io.FileIO):
    """A file whose fourth read fails after it has moved on, as one on a network may."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        content = super().read(size)
        if len(content) == 300:
            Failing.reads += 1
            if Failing.reads == 2:
                raise OSError("Input/output error")
        return content


def test_after_a_failed_read_images_of_an_array_are_still_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 10, 10, 3)).astype(np.uint8)
    np.save(tmp_path / "a.npy", pixels)
    monkeypatch.setattr(Failing, "reads", 0)
    monkeypatch.setattr(arrays, "_opened", lambda batch: Failing(batch.path))
    items = list(source("arrays", tmp_path / "a.npy").album().read(range(6)))
    with pytest.raises(ValueError, match="Input/output error"):
        items[1].load()
    for place in (0, 2, 3, 4, 5):
        assert np.array_equal(np.asarray(items[place].load()), pixels[place])


def repacked(path: Path, method: int, flags: int = 0) -> bytearray:
    """Say of the members of a zip that they are packed by another method, or encrypted."""
    content = bytearray(path.read_bytes())
    for mark, place in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        start = content.find(mark)
        while start >= 0:
            content[start + place] |= flags
            content[start + place + 2] = method
            start = content.find(mark, start + 4)
    return content


@pytest.mark.parametrize(
    ("method", "flags", "expected"),
    [(0, 1, "is encrypted"), (97, 0, "compression method is not supported")],
)
def test_npz_files_that_cannot_be_unpacked_are_refused(
    method: int, flags: int, expected: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, np.zeros((8, 12, 12, 3), np.uint8), np.arange(8))
    path.write_bytes(repacked(path, method, flags))
    assert expected in refusal("arrays", path)
    with pytest.raises(BenchmarkError, match=f"^{path}: cannot be read: .*{expected}"):
        open_input(path)


def test_damaged_labels_of_a_batch_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    labels = np.arange(1000, 2000)
    np.savez(path, np.zeros((1000, 2, 2, 3), np.uint8), labels)
    content = path.read_bytes()
    start = content.index(labels.tobytes())
    path.write_bytes(content[:start] + b"\x01" + content[start + 1 :])
    said = refusal("arrays", path, label="arr_1")
    assert said == f"data.mine.label: {path}: Bad CRC-32 for file 'arr_1.npy'"


# zip


def test_a_damaged_entry_of_lzma_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.png", bytes(3000))
    content = path.read_bytes()
    at = content.index(b"a.png") + len("a.png") + 4
    path.write_bytes(content[:at] + b"\xff" + content[at + 1 :])
    with zipfile.ZipFile(path) as archive, pytest.raises(lzma.LZMAError):
        archive.read("a.png")
    [item] = source("zip", path).album().read([0])
    with pytest.raises(ValueError, match="unsupported options"):
        item.load()


def test_an_image_that_was_packed_twice_counts_once(images: Path, tmp_path: Path) -> None:
    first, last = paths(images)[0], paths(images)[7]
    path = packed_zip(tmp_path / "a.zip", images)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.write(last, "a/a0.png")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(first, "a/a0.png")
        archive.add(first, "a/a1.png")
        archive.add(last, "a/a0.png")
    expected = np.asarray(Image.open(last))
    for found, count in ((source("zip", path), 8), (source("tar", tmp_path / "a.tar"), 2)):
        assert found.album().size == count
        assert found.album().ignored == {"replaced by a later one": 1}
        assert np.array_equal(read(found)["a/a0.png"], expected)


# tar


def packed_tar(path: Path, images: Path, *names: str) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, image in zip(names, paths(images), strict=False):
            archive.add(image, name)
    return path


def test_names_that_differ_in_numbers_alone_are_images_each(images: Path, tmp_path: Path) -> None:
    path = packed_tar(tmp_path / "a.tar", images, "shot.0001.png", "shot.0002.png", "shot.3.4.png")
    assert source("tar", path).album().size == 3
    opened = open_input(path)
    assert opened.count == 3  # type: ignore[union-attr]
    packed_tar(path, images, "shot.draft.png", "shot.final.png")
    assert "give the extension of one, draft.png or final.png, or * for all" in refusal("tar", path)
    assert source("tar", path, image="*").album().size == 2


def test_extensions_are_given_in_either_case(images: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for number, image in enumerate(paths(images)):
            archive.add(image, f"{number}.PNG")
            archive.add(image, f"{number}.seg.png")
            member = tarfile.TarInfo(f"{number}.CLS")
            member.size = 1
            archive.addfile(member, io.BytesIO(b"%d" % (number % 2)))
    for image, label in (("PNG", "CLS"), ("png", "cls")):
        found = source("tar", path, image=image, label=label)
        assert found.album().size == 8
        assert found.classes() == ("0", "1")


def test_links_in_a_tar_are_followed_or_counted(images: Path, tmp_path: Path) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    (folder / "a.png").write_bytes(paths(images)[0].read_bytes())
    os.link(folder / "a.png", folder / "b.png")
    (folder / "c.png").symlink_to("a.png")
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for name in ("a.png", "b.png", "c.png"):
            archive.add(folder / name, f"./{name}")
        lost = tarfile.TarInfo("d.png")
        lost.type, lost.linkname = tarfile.LNKTYPE, "gone.png"
        archive.addfile(lost)
        pipe = tarfile.TarInfo("e.png")
        pipe.type = tarfile.FIFOTYPE
        archive.addfile(pipe)
    found = source("tar", path)
    assert found.album().ignored == {"link": 2, "no regular file": 1}
    content = read(found)
    assert [*content] == ["a.png", "b.png"]
    assert np.array_equal(content["a.png"], content["b.png"])


def test_members_of_a_tar_that_are_too_large_are_refused_unread(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmark.data import image_files
    from benchmark.data.sources import tar

    path = packed_tar(tmp_path / "a.tar", images, "a.png", "b.png")
    with tarfile.open(path, "a") as archive:
        member = tarfile.TarInfo("a.txt")
        member.size = 70_000
        archive.addfile(member, io.BytesIO(bytes(70_000)))
    monkeypatch.setattr(tar, "read_span", lambda *_: pytest.fail("it is read"))
    assert "'a.txt' names no class: has 70,000 bytes" in refusal("tar", path, label="txt")
    for module in (image_files, tar):
        monkeypatch.setattr(module, "MOST_BYTES", 100)
    found = source("tar", path, seed=1)
    with pytest.raises(BenchmarkError, match=r"'a\.png' has .* bytes, more than any image: leave"):
        found.album()
    assert image_files.flaw(paths(images)[0]).endswith("bytes, more than any image")


# parquet and Arrow

ROWS = [{"bytes": b"x", "path": None}] * 4


def table(path: Path, names: list[str] | None = None, suffix: str = "parquet") -> None:
    """Write four rows, with the names of two classes as `datasets` writes them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = pa.table({"image": ROWS, "label": [0, 1] * 2})
    if names:
        told = {"info": {"features": {"label": {"names": names}}}}
        content = content.replace_schema_metadata({"huggingface": json.dumps(told)})
    if suffix == "arrow":
        with pa.ipc.new_stream(path, content.schema) as writer:
            writer.write_table(content)
    else:
        pq.write_table(content, path)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"],
            ["data/train-*"],
        ),
        (
            ["train/data-00000-of-00001.arrow", "test/data-00000-of-00001.arrow"],
            ["train/data-*", "test/data-*"],
        ),
        (["a/train/0000.parquet", "a/train/0001.parquet"], ["a/train/*"]),
        (["train/a/0.parquet", "validation/a/0.parquet"], ["train/*", "validation/*"]),
        (["train.parquet", "test.parquet"], ["train*", "test*"]),
        (["my-train.arrow", "my-val.arrow"], ["my-train*", "my-val*"]),
        (["0000.parquet", "latest.parquet", "part/strain.parquet"], []),
    ],
)
def test_names_of_files_tell_splits(files: list[str], expected: list[str]) -> None:
    assert sets_of(files) == expected


def test_splits_and_configurations_are_not_mixed_unasked(tmp_path: Path) -> None:
    for name in ("train", "test"):
        table(tmp_path / "data" / f"{name}-00000-of-00001.parquet")
    said = refusal("hugging-face", tmp_path)
    assert (
        "files of several sets: give one of data/test-*, data/train-*, or *.parquet for all" in said
    )
    assert source("hugging-face", tmp_path, files="*.parquet").album().size == 8
    assert source("hugging-face", tmp_path, files="data/train-*").album().size == 4
    with pytest.raises(BenchmarkError, match=r"several sets.*; score has no `files`: give it a"):
        open_input(tmp_path)


def test_what_map_leaves_beside_a_saved_data_set_is_not_read(tmp_path: Path) -> None:
    for name in ("data-00000-of-00001", "cache-0123456789abcdef", "cache-012_00000_of_00002"):
        table(tmp_path / f"{name}.arrow", suffix="arrow")
    album = source("hugging-face", tmp_path).album()
    assert album.size == 4
    assert album.ignored == {"cache of Dataset.map": 2}
    assert source("hugging-face", tmp_path, files="cache-*").album().size == 8


def test_a_suffix_may_be_in_large_letters(tmp_path: Path) -> None:
    table(tmp_path / "A.PARQUET")
    assert source("hugging-face", tmp_path).album().size == 4
    assert source("hugging-face", tmp_path / "A.PARQUET").album().size == 4
    assert open_input(tmp_path / "A.PARQUET").count == 4  # type: ignore[union-attr]


def test_files_whose_classes_have_other_names_are_refused(tmp_path: Path) -> None:
    table(tmp_path / "a.parquet", ["cat", "dog"])
    table(tmp_path / "b.parquet", ["dog", "cat"])
    assert (
        "b.parquet: the classes of label are ('dog', 'cat'), but ('cat', 'dog') in a.parquet"
        in (refusal("hugging-face", tmp_path, label="label"))
    )
    table(tmp_path / "b.parquet", ["cat", "dog"])
    assert source("hugging-face", tmp_path, label="label").classes() == ("cat", "dog")


def test_a_class_without_a_name_is_refused(tmp_path: Path) -> None:
    """The library `datasets` writes -1 where the classes of a split are not published."""
    table(tmp_path / "a.parquet", ["cat", "dog"])
    content = pq.read_table(tmp_path / "a.parquet")
    content = content.set_column(1, "label", pa.array([0, 1, -1, 0]))
    pq.write_table(content, tmp_path / "a.parquet")
    said = refusal("hugging-face", tmp_path, label="label")
    assert "row 2 has the class -1: 0 to 1 would be right" in said


def test_every_file_of_the_hub_that_a_pattern_takes_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["data/train-00000-of-00001.parquet", "a/b/c.parquet", "README.md"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    checked: list[Path] = []
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(tmp_path))
    monkeypatch.setattr(hub_files, "check_blob", checked.append)
    for pattern, count in (("*", 3), ("*.parquet", 2), ("data/train-*.parquet", 1)):
        checked.clear()
        hub_files.downloaded("a/b", "0" * 40, [pattern])
        assert len(checked) == count, pattern


# LMDB


def test_a_damaged_page_of_an_lmdb_is_named(images: Path, tmp_path: Path) -> None:
    folder = database(tmp_path / "x", paths(images))
    path = folder / "data.mdb"
    album = source("lmdb", folder).album()
    content = bytearray(path.read_bytes())
    place = content.index(webp(paths(images)[2])) // 4096 * 4096
    content[place + 10] = 4  # the kind of the page: no longer one of keys and values
    path.write_bytes(content)
    said = refusal("lmdb", folder)
    assert "data.mdb: not a whole LMDB: " in said
    assert said.endswith("; fetch it again")
    [item] = album.read([3])
    with pytest.raises(ValueError, match="CORRUPTED"):
        item.load()


# which format


def test_a_folder_with_files_of_several_formats_is_refused(images: Path, tmp_path: Path) -> None:
    both = tmp_path / "both"
    both.mkdir()
    np.save(both / "features.npy", np.zeros((4, 8, 8, 3), np.uint8))
    with tarfile.open(both / "a.tar", "w") as archive:
        archive.add(images, "images")
    with pytest.raises(BenchmarkError, match=r"several formats \(arrays, tar\): name one file"):
        open_input(both)
    assert open_input(both / "a.tar")
    np.savez(tmp_path / "batch.npz", arr_0=np.zeros((4, 8, 8, 3), np.uint8))
    assert open_input(tmp_path / "batch.npz")


def test_score_is_told_which_image_of_a_sample_is_meant(images: Path, tmp_path: Path) -> None:
    shards, rows = tmp_path / "a.tar", tmp_path / "a.parquet"
    few = paths(images)[:4]
    with tarfile.open(shards, "w") as archive:
        for number, image in enumerate(few):
            archive.add(image, f"{number}.png")
            archive.add(paths(images)[7], f"{number}.seg.png")
    column = [{"bytes": image.read_bytes(), "path": None} for image in few]
    pq.write_table(pa.table({"png": column, "mask": column[::-1]}), rows)
    for path in (shards, rows):
        with pytest.raises(BenchmarkError, match=r"; score takes it by --image$"):
            open_input(path)
        found = open_input(path, image="png")
        assert isinstance(found, ImageInput)
        for picture, image in zip(found.pictures(1), few, strict=True):
            assert np.array_equal(picture.pixels, np.asarray(Image.open(image).convert("RGB")))
    options = ["--image", "png", "--extractor", "efficientnet-lite0", "--metrics", "fd"]
    done = CliRunner().invoke(app, ["score", str(shards), str(rows), *options, "--format", "json"])
    assert done.exit_code == 0, done.output
    assert abs(json.loads(done.stdout)["values"]["frechet"]["value"]) < 1e-3
    with pytest.raises(BenchmarkError, match=r"--image: is for tars, .*, unlike .*: leave it out"):
        db.score(images, images, image="png")
    with pytest.raises(BenchmarkError, match="no column 'jpg', only png, mask"):
        db.score(rows, rows, image="jpg")


def test_images_that_rows_name_are_inputs_too(images: Path, tmp_path: Path) -> None:
    """So that a changed one is prepared anew; beside rows that hold bytes may lie anything."""
    (tmp_path / "x.png").write_bytes(paths(images)[0].read_bytes())
    for bytes_of_last, expected in ((b"x", []), (None, ["x.png"])):
        rows = [{"bytes": b"x", "path": "y"}, {"bytes": bytes_of_last, "path": "x.png"}]
        whole = pa.table({"image": rows})
        for path in (tmp_path / "a.parquet", tmp_path / "a.arrow"):
            if path.suffix == ".parquet":
                pq.write_table(whole, path)
            else:
                with pa.ipc.new_file(path, whole.schema) as file:
                    file.write_table(whole)
            found = source("hugging-face", path).local_files()
            assert found == (tmp_path, [path.name, *expected])
            path.unlink()


def test_nothing_is_unpacked_to_the_disk(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"bytes": image.read_bytes(), "path": None} for image in paths(images)]
    pixels = np.stack([np.asarray(Image.open(image)) for image in paths(images)])
    pq.write_table(pa.table({"image": rows}), tmp_path / "a.parquet")
    np.savez_compressed(tmp_path / "a.npz", pixels)
    packed_tar(tmp_path / "a.tar", images, *(f"{i}.png" for i in range(8)))
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for image in paths(images):
            archive.write(image, image.name)
    kinds = {"zip": "zip", "tar": "tar", "parquet": "hugging-face", "npz": "arrays"}
    before, empty = set(tmp_path.iterdir()), tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(empty))
    monkeypatch.setenv("TMPDIR", str(empty))
    monkeypatch.chdir(empty)
    for suffix, kind in kinds.items():
        assert len(read(source(kind, tmp_path / f"a.{suffix}"))) == 8
    assert not list(empty.iterdir())
    assert set(tmp_path.iterdir()) == {*before, empty}
