"""Fashion-MNIST: its idx files, read from a folder or downloaded."""

from __future__ import annotations

import gzip
import hashlib
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmark.core.errors import BenchmarkError
from benchmark.data import load_dataset
from benchmark.data.idx import read_idx
from benchmark.data.sources import fashion_mnist
from benchmark.data.sources.fashion_mnist import (
    ADDRESS,
    CLASSES,
    FILES,
    SETS,
    FashionMNIST,
    Published,
    check_published,
)
from benchmark.stages.prepare import prepare

PACKED = gzip.compress(b"\0\0\x08\x01\0\0\0\x02ab", mtime=0)
DEBIAN = Path("/usr/share/datasets/fashion-mnist")


def idx(array: np.ndarray) -> bytes:
    return (
        bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + bytes(array)
    )


def fill(folder: Path, counts: tuple[int, int] = (12, 6), packed: bool = True) -> Path:
    """Write four files, whose image i is all i and of class i modulo 10."""
    folder.mkdir(exist_ok=True)
    for first, count, (images, labels) in zip((0, 100), counts, SETS.values(), strict=True):
        numbers = np.arange(first, first + count, dtype=np.uint8)
        pixels = np.broadcast_to(numbers[:, None, None], (count, 28, 28))
        for name, array in ((images, pixels), (labels, numbers % 10)):
            content = idx(np.ascontiguousarray(array))
            path = folder / (f"{name}.gz" if packed else name)
            path.write_bytes(gzip.compress(content, 1) if packed else content)
    return folder


def source(path: Path | None, **fields: Any) -> FashionMNIST:
    return FashionMNIST(**{"train": 10, "held_out": 5, "path": path, **fields})


@pytest.mark.parametrize("packed", [True, False])
def test_images_and_labels_arrive_together(tmp_path: Path, packed: bool) -> None:
    manifest = prepare(source(fill(tmp_path / "in", packed=packed)), tmp_path / "data")
    data = load_dataset(tmp_path / "data", verify=True)
    assert data.train.shape == (10, 28, 28, 1)
    assert manifest.labels is not None
    assert manifest.labels.classes == CLASSES
    for images, labels, first in (
        (data.train, data.train_labels, 0),
        (data.held_out, data.held_out_labels, 100),
    ):
        numbers = images[:, 5, 5, 0]
        assert (labels == numbers % 10).all()
        assert ((numbers >= first) & (numbers < first + 100)).all()
    assert manifest.conversions == {}


def test_a_larger_square_has_a_black_border(tmp_path: Path) -> None:
    fill(tmp_path / "in")
    manifest = prepare(source(tmp_path / "in", resolution=32, channels=3), tmp_path / "data")
    images = load_dataset(tmp_path / "data").held_out
    assert images.shape == (5, 32, 32, 3)
    inside = images[:, 2:30, 2:30]
    assert (inside == inside[:, :1, :1]).all()
    assert (inside >= 100).all()
    assert (images.reshape(5, -1).sum(1) == inside.reshape(5, -1).sum(1)).all()
    assert manifest.conversions == {"greyscale": 15}


def test_it_is_never_made_smaller_or_larger_than_published() -> None:
    for wrong in ({"resolution": 27}, {"train": 60_001}, {"held_out": 10_001}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            source(None, **wrong)


def test_a_folder_without_one_of_the_files_is_refused(tmp_path: Path) -> None:
    (fill(tmp_path) / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(BenchmarkError, match=r"data\.f\.path: .*: no t10k-labels-idx1-ubyte\.gz"):
        source(tmp_path).check_files("data.f")
    source(None).check_files("data.f")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "it begins with nothing"),
        (b"\0\0\x0d\x01\0\0\0\x01\0\0\0\0", "it begins with 00000d01, not with 000008"),
        (b"\0\0\x08\x03\0\0", "unpack requires a buffer"),
        (b"\0\0\x08\x01\0\0\0\x02a", "its header says 2 bytes, 1 follow"),
        (b"\0\0\x08\x01\0\0\0\x02abc", "its header says 2 bytes, more follow"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "bytes, more than"),
        (PACKED[:-3], "no whole idx file"),
        (PACKED[:12] + b"\xff" * 9, "no whole idx file"),
    ],
)
def test_a_damaged_file_is_one_line(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "x-ubyte"
    path.write_bytes(content)
    with pytest.raises(BenchmarkError) as caught:
        read_idx(path)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_arrays_of_another_shape_and_wrong_labels_are_refused(tmp_path: Path) -> None:
    fill(tmp_path)
    labels = tmp_path / f"{SETS['train'][1]}.gz"
    labels.write_bytes(gzip.compress(idx(np.full(12, 10, np.uint8))))
    with pytest.raises(BenchmarkError, match="a label from 0 to 9 for each image"):
        source(tmp_path).offer()
    labels.write_bytes(gzip.compress(idx(np.zeros(11, np.uint8))))
    with pytest.raises(BenchmarkError, match=r"has 12 images and .* 11 labels"):
        source(tmp_path).offer()
    images = tmp_path / f"{SETS['train'][0]}.gz"
    images.write_bytes(gzip.compress(idx(np.zeros((12, 14, 14), np.uint8))))
    with pytest.raises(BenchmarkError, match="N×28×28 would be right"):
        source(tmp_path).offer()


def test_downloads_are_kept_only_if_they_are_the_published_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = fill(tmp_path / "served")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def fetch(url: str, size: int, path: Path) -> None:
        assert url.startswith(ADDRESS)
        path.write_bytes((served / url.removeprefix(ADDRESS)).read_bytes())

    monkeypatch.setattr(fashion_mnist, "fetch", fetch)
    asked = source(None)
    missing = asked.unfetched()
    assert missing is not None
    assert missing.addresses == (ADDRESS,)
    with pytest.raises(BenchmarkError, match="damaged on the way, or another file"):
        asked.offer()
    assert not list((tmp_path / "cache").rglob("*.gz"))
    known = {
        name: Published(
            0, hashlib.sha256(gzip.decompress((served / f"{name}.gz").read_bytes())).hexdigest()
        )
        for name in FILES
    }
    monkeypatch.setattr(fashion_mnist, "FILES", known)
    assert len(asked.offer().train.order) == 12
    assert asked.unfetched() is None


def test_its_address_is_https() -> None:
    assert ADDRESS.startswith("https://")


@pytest.mark.skipif(
    not DEBIAN.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed"
)
def test_the_published_files_are_read() -> None:
    for name in ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte", "train-labels-idx1-ubyte"):
        check_published(DEBIAN / f"{name}.gz", FILES[name])
    candidates = source(DEBIAN).offer().held_out
    assert candidates is not None
    assert len(candidates.order) == 10_000
    [item] = candidates.read([0])
    assert item.label == 9
    assert np.asarray(item.load()).shape == (28, 28)
    assert isinstance(item.load(), Image.Image)
