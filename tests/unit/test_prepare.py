from __future__ import annotations

import functools
import hashlib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from stages import do

from benchmark.config.config import Config
from benchmark.core.errors import BenchmarkError
from benchmark.data import load_dataset
from benchmark.data.sources.avatars import Avatars
from benchmark.data.sources.base import Candidates, Item, Offer, Source, drawn
from benchmark.data.sources.celeba_hq import CelebAHQ
from benchmark.data.sources.folder import Folder
from benchmark.stages import prepare as module
from benchmark.stages import reading
from benchmark.stages.prepare import prepare
from benchmark.storage.paths import REFERENCE, Run

IMAGES, MANIFEST = "images.npy", "manifest.json"
PROJECT = REFERENCE.parents[2]
SMOKE = PROJECT / "tests" / "workflow" / "smoke.yaml"


def avatars(**fields: Any) -> Avatars:
    return Avatars(**{"source": "avatars", "resolution": 16, "train": 6, "held_out": 4, **fields})


def folder(path: Path, **fields: Any) -> Folder:
    sizes = {"resolution": 16, "train": 3, "held_out": 2, "path": path}
    return Folder(**{"source": "folder", **sizes, **fields})


def fill(path: Path, colours: list[int]) -> Path:
    """Write one flat picture for each number, red as the number says."""
    path.mkdir(parents=True, exist_ok=True)
    for index, red in enumerate(colours):
        Image.new("RGB", (20, 16), (red, 0, 0)).save(path / f"{index:02d}.png")
    return path


def reds(images: np.ndarray) -> list[int]:
    return images[:, 0, 0, 0].tolist()


def content(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(path.iterdir())}


# the format


def test_array_and_manifest_say_the_same(tmp_path: Path) -> None:
    manifest = prepare(avatars(), tmp_path)
    images = np.load(tmp_path / IMAGES)
    assert images.shape == (10, 16, 16, 3)
    assert images.dtype == np.uint8
    assert images.flags.c_contiguous
    assert (manifest.count, manifest.resolution) == (10, 16)
    for split, (start, stop) in zip(
        (manifest.splits.train, manifest.splits.held_out), ((0, 6), (6, 10)), strict=True
    ):
        assert (split.start, split.stop) == (start, stop)
        assert split.sha256 == hashlib.sha256(images[start:stop].tobytes()).hexdigest()


def test_manifest_names_source_licence_and_authors(tmp_path: Path) -> None:
    prepare(avatars(), tmp_path)
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    assert manifest["source"]["style"] == "toon-head"
    assert "CC BY 4.0" in manifest["licence"]
    assert "Johan Melin" in manifest["attribution"]


def test_licence_is_told_once_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(avatars(), tmp_path)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("CC BY 4.0 (") == 1


def test_pixels_of_a_folder_arrive_in_the_array(tmp_path: Path) -> None:
    prepare(folder(fill(tmp_path / "in", [10, 20, 30, 40, 50])), tmp_path / "out")
    data = load_dataset(tmp_path / "out", verify=True)
    assert sorted(reds(data.train) + reds(data.held_out)) == [10, 20, 30, 40, 50]
    assert data.train.shape == (3, 16, 16, 3)
    assert not data.train.flags.writeable


def test_parquet_splits_are_kept_apart(tmp_path: Path) -> None:
    for name, values in (("train", range(20)), ("validation", range(100, 110))):
        fill(tmp_path / name, list(values))
        rows = [
            {"bytes": f.read_bytes(), "path": f.name} for f in sorted((tmp_path / name).iterdir())
        ]
        shard = tmp_path / "data" / f"{name}-00000-of-00001.parquet"
        shard.parent.mkdir(exist_ok=True)
        pq.write_table(pa.table({"image": rows}), shard, row_group_size=6)
    spec = {"source": "celeba_hq", "resolution": 8, "train": 12, "held_out": 5}
    prepare(CelebAHQ(**spec, path=tmp_path / "data"), tmp_path / "out")
    data = load_dataset(tmp_path / "out", verify=True)
    assert len(set(reds(data.train))) == 12
    assert max(reds(data.train)) < 20
    assert min(reds(data.held_out)) >= 100


# determinism


def test_two_runs_write_the_same_bytes(tmp_path: Path) -> None:
    prepare(avatars(), tmp_path / "a")
    prepare(avatars(), tmp_path / "b")
    assert content(tmp_path / "a") == content(tmp_path / "b")


@pytest.mark.slow
def test_number_of_workers_does_not_change_the_bytes(tmp_path: Path) -> None:
    spec = avatars(train=500, held_out=100)
    for workers in (1, 2, 3):
        prepare(spec, tmp_path / str(workers), workers=workers)
    assert content(tmp_path / "1") == content(tmp_path / "2") == content(tmp_path / "3")


@pytest.mark.parametrize(("threads", "expected"), [(2, 2), (None, 5)])
def test_as_many_processes_read_as_the_job_has_threads_or_cores(
    threads: int | None,
    expected: int,
    smoke: Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(reading, "IMAGES_PER_WORKER", 1)
    monkeypatch.setattr(module, "available_cores", lambda: 5)
    monkeypatch.setattr(reading, "_pool", asked.append)
    record = do("prepare", smoke, "tiny", Run(tmp_path), threads=threads)
    assert asked == [expected]
    assert record.provenance.threads == expected


def test_few_images_are_on_their_way_in_the_order_of_their_items() -> None:
    source = avatars(train=1, held_out=1)
    taken: list[int] = []

    def items() -> Iterator[Item]:
        for number in range(100):
            taken.append(number)
            yield Item(str(number), functools.partial(Image.new, "RGB", (16, 16)))

    with ThreadPoolExecutor(2) as pool:
        for number, picture in enumerate(reading._read_in(pool, 1, source, items())):
            assert picture.name == str(number)
            assert len(taken) <= number + 32 + reading.CHUNK
    assert taken == list(range(100))


def test_bytes_that_images_hold_stay_within_the_allowance(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Images of 200 bytes and an allowance of 1,000: two chunks of two, and one beside them."""
    monkeypatch.setattr(reading, "HELD", 1000)
    source = avatars(train=1, held_out=1)
    taken: list[int] = []

    def items() -> Iterator[Item]:
        for number in range(40):
            taken.append(number)
            large = 5000 if number == 20 else 200
            yield Item(str(number), functools.partial(Image.new, "RGB", (16, 16)), held=large)

    with ThreadPoolExecutor(1) as pool:
        for number, picture in enumerate(reading._read_in(pool, 1, source, items())):
            assert picture.name == str(number)
            assert len(taken) <= number + 7
    assert taken == list(range(40))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can hide /dev/shm")
def test_without_shared_memory_one_process_reads_all_images(tmp_path: Path) -> None:
    config = tmp_path / "smoke.yaml"
    content = yaml.safe_load(SMOKE.read_text())
    content["data"]["tiny"] |= {"train": 400, "held_out": 8}
    config.write_text(yaml.safe_dump(content))
    hidden = "mount -t tmpfs -o ro tmpfs /dev/shm && exec "
    command = [sys.executable, "-m", "benchmark", "prepare", str(config), "tiny", "--threads", "2"]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", hidden + shlex.join(command)],
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "warning: images are read by one process alone: " in done.stderr
    assert "Traceback" not in done.stderr
    assert (
        len(load_dataset(tmp_path / "results" / "smoke" / "data" / "tiny", verify=True).train)
        == 400
    )


def test_folder_read_by_two_processes_gives_the_bytes_of_one(tmp_path: Path) -> None:
    path = tmp_path / "in"
    path.mkdir()
    for i in range(400):
        Image.new("RGB", (16, 16), (i % 256, i // 256, 0)).save(path / f"{i}.png")
    spec = folder(path, train=300, held_out=100)
    prepare(spec, tmp_path / "1", workers=1)
    prepare(spec, tmp_path / "2", workers=2)
    assert content(tmp_path / "1") == content(tmp_path / "2")


def test_seed_changes_the_draw(tmp_path: Path) -> None:
    path = fill(tmp_path / "in", list(range(0, 200, 10)))
    first = prepare(folder(path), tmp_path / "0")
    second = prepare(folder(path, seed=1), tmp_path / "1")
    assert first.splits.train.sha256 != second.splits.train.sha256


# duplicates


class Numbers(Source):
    """Flat pictures of given reds, tried in their order."""

    reds: list[int]
    distinct: bool = False
    own_held_out: list[int] | None = None

    def offer(self) -> Offer:
        own = self.own_held_out
        return Offer(
            train=self._candidates(self.reds),
            held_out=None if own is None else self._candidates(own),
            origin="numbers",
            licence="none",
            attribution="nobody",
            distinct=self.distinct,
        )

    def fit(self, image: Image.Image) -> Image.Image:
        return image

    def _candidates(self, values: list[int]) -> Candidates:
        def read(indices: Any) -> Any:
            for i in indices:
                yield Item(str(i), lambda i=i: Image.new("RGB", (8, 8), (values[i], 0, 0)))

        return Candidates(range(len(values)), read)


def numbers(values: list[int], train: int, held_out: int, **fields: Any) -> Numbers:
    return Numbers(resolution=8, train=train, held_out=held_out, reds=values, **fields)


def test_held_out_image_that_is_in_the_training_set_is_replaced(tmp_path: Path) -> None:
    manifest = prepare(numbers([1, 2, 2, 3, 1, 4], train=2, held_out=2), tmp_path)
    data = load_dataset(tmp_path, verify=True)
    assert reds(data.train) == [1, 2]
    assert reds(data.held_out) == [3, 4]
    assert manifest.duplicates.passed_over == [["2", "1"], ["4", "0"]]
    assert manifest.duplicates.passed_over_count == 2


def test_held_out_split_of_its_own_is_also_checked(tmp_path: Path) -> None:
    prepare(numbers([1, 2], train=2, held_out=1, own_held_out=[2, 9]), tmp_path)
    assert reds(load_dataset(tmp_path).held_out) == [9]


def test_duplicates_within_a_set_are_kept_and_listed(tmp_path: Path) -> None:
    manifest = prepare(numbers([5, 5, 5, 7, 7], train=3, held_out=2), tmp_path)
    assert manifest.duplicates.kept == [["0", "1", "2"], ["3", "4"]]
    assert manifest.duplicates.kept_groups == 2
    assert manifest.duplicates.passed_over_count == 0


def test_distinct_source_passes_over_duplicates_in_every_set(tmp_path: Path) -> None:
    spec = numbers([5, 5, 6, 6, 7, 8, 8], train=2, held_out=2, distinct=True)
    manifest = prepare(spec, tmp_path)
    assert reds(load_dataset(tmp_path).train) == [5, 6]
    assert reds(load_dataset(tmp_path).held_out) == [7, 8]
    assert manifest.duplicates.kept_groups == 0
    assert manifest.duplicates.passed_over_count == 2


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(0, 6), min_size=2, max_size=14),
    st.integers(1, 5),
    st.integers(1, 5),
    st.booleans(),
)
def test_no_image_is_ever_in_both_sets(
    values: list[int], train: int, held_out: int, distinct: bool
) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        try:
            prepare(numbers(values, train, held_out, distinct=distinct), path)
        except BenchmarkError:
            assert list(path.iterdir()) == []
            return
        data = load_dataset(path, verify=True)
        assert (len(data.train), len(data.held_out)) == (train, held_out)
        assert not set(reds(data.train)) & set(reds(data.held_out))
        if distinct:
            assert len(set(reds(data.train))) == train


# bad input


def test_style_with_too_few_images_is_a_clear_error(tmp_path: Path) -> None:
    options = {"eyesVariant": "wide", "hairVariant": "bun", "mouthVariant": "smile"}
    options |= {"hairColor": "000000", "skinColor": "ffffff", "eyebrowsVariant": "happy"}
    options |= {"clothesVariant": "shirt", "clothesColor": "000000"}
    fixed = {**options, "beardProbability": 0, "rearHairProbability": 0}
    spec = avatars(options=fixed, background=["ffffff"], train=4)
    with pytest.raises(BenchmarkError, match=r"train: 4 images asked for, 1 found: 0 .*, 39 "):
        prepare(spec, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_fewer_images_than_asked_names_both_numbers(tmp_path: Path) -> None:
    path = fill(tmp_path / "in", [1, 2, 3, 4])
    with pytest.raises(BenchmarkError, match=r"in: train \+ held_out: 5 .* asked for, 4 found"):
        prepare(folder(path), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:40])


def test_truncated_image_is_named(tmp_path: Path) -> None:
    path = fill(tmp_path / "in", [1, 2, 3, 4, 5])
    truncate(path / "02.png")
    with pytest.raises(BenchmarkError, match=r"in: 02\.png: ") as error:
        prepare(folder(path), tmp_path / "out")
    assert "\n" not in str(error.value)
    assert list((tmp_path / "out").iterdir()) == []


def test_skipped_images_are_counted_named_and_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = fill(tmp_path / "in", [1, 2, 3, 4, 5, 6])
    truncate(path / "02.png")
    manifest = prepare(folder(path, on_bad_image="skip"), tmp_path / "out")
    said = capsys.readouterr().err
    assert f"folder {path}: skipped: 02.png: " in said
    assert f"folder {path}: 1 of 6 images skipped, as above" in said
    data = load_dataset(tmp_path / "out", verify=True)
    assert manifest.bad_images.count == 1
    assert manifest.bad_images.all[0].startswith("02.png: ")
    assert sorted(reds(data.train) + reds(data.held_out)) == [1, 2, 4, 5, 6]


def test_every_skipped_image_is_named_in_the_manifest(tmp_path: Path) -> None:
    path = fill(tmp_path / "in", [*range(1, 41)])
    for number in range(30):
        truncate(path / f"{number:02}.png")
    manifest = prepare(folder(path, train=9, held_out=1, on_bad_image="skip"), tmp_path / "out")
    assert manifest.bad_images.count == len(manifest.bad_images.all) == 30


def test_conversions_and_ignored_files_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = fill(tmp_path / "in", [1, 2, 3, 4])
    Image.new("L", (20, 16), 9).save(path / "grey.png")
    (path / ".DS_Store").write_bytes(b"")
    manifest = prepare(folder(path), tmp_path / "out")
    said = capsys.readouterr().err
    assert f"folder {path}: converted: greyscale: 1" in said
    assert f"folder {path}: files: 1 ignored: 1 × hidden file" in said
    assert manifest.ignored_files == {"hidden file": 1}


def test_too_many_skipped_images_are_an_error(tmp_path: Path) -> None:
    path = fill(tmp_path / "in", [1, 2, 3, 4, 5])
    truncate(path / "02.png")
    with pytest.raises(BenchmarkError, match="1 unreadable"):
        prepare(folder(path, on_bad_image="skip"), tmp_path / "out")


def test_images_smaller_than_the_crop_are_named(tmp_path: Path) -> None:
    path = fill(tmp_path / "in", [1, 2, 3, 4, 5])
    with pytest.raises(BenchmarkError, match=r"\.png: 20×16 pixels are too few"):
        prepare(folder(path, crop=17), tmp_path / "out")


def test_same_file_name_in_two_folders_is_two_images(tmp_path: Path) -> None:
    fill(tmp_path / "in" / "a", [1, 2])
    fill(tmp_path / "in" / "b", [3, 4, 5])
    prepare(folder(tmp_path / "in"), tmp_path / "out")
    data = load_dataset(tmp_path / "out")
    assert sorted(reds(data.train) + reds(data.held_out)) == [1, 2, 3, 4, 5]


def test_copies_in_two_folders_are_told_apart_by_their_paths(tmp_path: Path) -> None:
    fill(tmp_path / "in" / "a", [1, 2])
    fill(tmp_path / "in" / "b", [1])
    seed = next(s for s in range(99) if set(drawn(3, s)[:2]) == {0, 2})  # trains on both copies
    spec = folder(tmp_path / "in", train=2, held_out=1, seed=seed)
    assert prepare(spec, tmp_path / "out").duplicates.kept == [["a/00.png", "b/00.png"]]


def test_conversions_are_counted(tmp_path: Path) -> None:
    path = fill(tmp_path / "in", [1])
    Image.new("L", (16, 16), 9).save(path / "grey.png")
    Image.new("RGB", (16, 16), 9).quantize(2).save(path / "palette.png")
    Image.new("CMYK", (16, 16), 9).save(path / "cmyk.JPG")
    Image.fromarray(np.full((8, 8), 9999, np.uint16)).save(path / "deep.png")
    manifest = prepare(folder(path), tmp_path / "out")
    assert manifest.conversions == {
        "16-bit": 1,
        "CMYK": 1,
        "enlarged": 1,
        "greyscale": 2,
        "palette": 1,
    }


def test_failed_rerun_leaves_what_was_there(tmp_path: Path) -> None:
    path = fill(tmp_path / "in", [1, 2, 3, 4, 5])
    prepare(folder(path), tmp_path / "out")
    before = content(tmp_path / "out")
    truncate(path / "02.png")
    with pytest.raises(BenchmarkError):
        prepare(folder(path), tmp_path / "out")
    assert content(tmp_path / "out") == before


def test_killed_rerun_leaves_no_manifest_beside_images_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = Path.replace

    def killed(path: Path, target: Path) -> Path:
        if target.name == MANIFEST:
            raise KeyboardInterrupt
        return replace(path, target)

    prepare(numbers([1, 2], 1, 1), tmp_path)
    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        prepare(numbers([3, 4], 1, 1), tmp_path)
    assert list(content(tmp_path)) == [IMAGES]


def test_rerun_replaces_what_was_there(tmp_path: Path) -> None:
    prepare(numbers([1, 2], 1, 1), tmp_path)
    prepare(numbers([3, 4, 5], 2, 1), tmp_path)
    assert sorted(content(tmp_path)) == [IMAGES, MANIFEST]
    assert reds(load_dataset(tmp_path, verify=True).train) == [3, 4]


# reading it again


def test_missing_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"manifest\.json: .*; prepare the data first"):
        load_dataset(tmp_path)


def test_damaged_manifest_is_named(tmp_path: Path) -> None:
    prepare(numbers([1, 2], 1, 1), tmp_path)
    truncate(tmp_path / MANIFEST)
    with pytest.raises(BenchmarkError, match=r"manifest\.json: .*prepare the data again"):
        load_dataset(tmp_path)


def test_truncated_array_is_named(tmp_path: Path) -> None:
    prepare(numbers([1, 2], 1, 1), tmp_path)
    (tmp_path / IMAGES).write_bytes((tmp_path / IMAGES).read_bytes()[:-1])
    with pytest.raises(BenchmarkError, match=r"images\.npy: damaged"):
        load_dataset(tmp_path)


def test_array_with_code_in_it_is_refused(tmp_path: Path) -> None:
    prepare(numbers([1, 2], 1, 1), tmp_path)
    np.save(tmp_path / IMAGES, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(BenchmarkError, match=r"images\.npy: damaged"):
        load_dataset(tmp_path)


def test_array_of_another_shape_is_named(tmp_path: Path) -> None:
    prepare(numbers([1, 2], 1, 1), tmp_path)
    np.save(tmp_path / IMAGES, np.zeros((2, 9, 9, 3), np.uint8))
    with pytest.raises(BenchmarkError, match=r"images\.npy: holds uint8 \(2, 9, 9, 3\)"):
        load_dataset(tmp_path)


def test_changed_pixel_is_found_when_asked(tmp_path: Path) -> None:
    prepare(numbers([1, 2], 1, 1), tmp_path)
    changed = bytearray((tmp_path / IMAGES).read_bytes())
    changed[-1] ^= 1
    (tmp_path / IMAGES).write_bytes(changed)
    load_dataset(tmp_path)
    with pytest.raises(BenchmarkError, match=r"images\.npy: the held_out images"):
        load_dataset(tmp_path, verify=True)
