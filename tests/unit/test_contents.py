"""What files contain: known by content only, and read again only if they may have changed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.data.sources.folder import Folder
from benchmark.models.checkpoints.diffusers import DiffusersCheckpoint
from benchmark.models.checkpoints.own import OwnCheckpoint
from benchmark.models.checkpoints.zoo import ZooCheckpoint
from benchmark.storage import contents as module
from benchmark.storage.contents import contents


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five images in subfolders, two of them links, and what else lies in such folders."""
    place = tmp_path / "images"
    for name in ("a.png", "sub/b.png", "sub/c.jpg"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(name.encode())
    (tmp_path / "target.png").write_bytes(b"target")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "d.png").write_bytes(b"d")
    (place / "link.png").symlink_to(tmp_path / "target.png")
    (place / "folder").symlink_to(tmp_path / "linked")
    return place


def told(folder: Path, results: Path) -> str:
    source = Folder(source="folder", path=folder, resolution=8, train=3, held_out=3)
    return contents(*source.local_files(), results)


def swap(link: Path, target: Path) -> None:
    link.unlink()
    link.symlink_to(target)


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: os.utime(folder / "a.png", (1, 1)),
        lambda folder: (folder / ".DS_Store").write_bytes(b"x"),
        lambda folder: (folder / ".a.png.swp").write_bytes(b"x"),
        lambda folder: (folder / "README.md").write_text("x"),
        lambda folder: (folder / "sub" / ".ipynb_checkpoints").mkdir(),
        lambda folder: shutil.copytree(folder, folder.parent / "copy").rename(folder / ".old"),
        lambda folder: swap(folder / "link.png", copied(folder.parent / "target.png")),
        lambda folder: folder.parent.joinpath("linked", "notes.txt").write_text("x"),
    ],
)
def test_what_is_no_image_and_when_it_was_written_change_nothing(
    change: Callable[[Path], object], folder: Path, tmp_path: Path
) -> None:
    before = told(folder, tmp_path)
    change(folder)
    assert told(folder, tmp_path) == before
    shutil.rmtree(tmp_path / ".cache")
    assert told(folder, tmp_path) == before


def copied(file: Path) -> Path:
    return Path(shutil.copy(file, file.with_name("another.png")))


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "a.png").write_bytes(b"other"),
        lambda folder: (folder / "a.png").write_bytes(b"A.png"),  # as many bytes
        lambda folder: (folder / "a.png").unlink(),
        lambda folder: (folder / "a.png").rename(folder / "z.png"),  # another order
        lambda folder: (folder / "new.png").write_bytes(b"new"),
        lambda folder: (folder.parent / "target.png").write_bytes(b"other"),
        lambda folder: swap(folder / "link.png", folder / "a.png"),
        lambda folder: (folder.parent / "target.png").unlink(),
        lambda folder: (folder.parent / "linked" / "d.png").write_bytes(b"other"),
        lambda folder: swap(folder / "folder", folder / "sub"),
    ],
)
def test_changed_images_are_noticed_and_those_behind_links_too(
    change: Callable[[Path], object], folder: Path, tmp_path: Path
) -> None:
    before = told(folder, tmp_path)
    change(folder)
    assert told(folder, tmp_path) != before


def test_only_changed_files_are_read_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    look = module._hash
    monkeypatch.setattr(module, "SETTLED", -60.0)  # as if all had been written a minute ago
    monkeypatch.setattr(module, "_hash", lambda path: (read.append(path.name), look(path))[1])
    told(folder, tmp_path)
    assert len(read) == 5
    told(folder, tmp_path)
    assert len(read) == 5
    (folder / "a.png").write_bytes(b"A.png")
    (tmp_path / "target.png").write_bytes(b"other")
    told(folder, tmp_path)
    assert sorted(read[5:]) == ["a.png", "link.png"]


def test_files_of_one_folder_that_are_looked_at_one_by_one_are_all_known(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    look = module._hash
    monkeypatch.setattr(module, "SETTLED", -60.0)  # as if all had been written a minute ago
    monkeypatch.setattr(module, "_hash", lambda path: (read.append(path.name), look(path))[1])
    for name in ("a.png", "link.png", "a.png", "link.png"):  # as the weights of two models are
        contents(folder, [name], tmp_path)
    assert read == ["a.png", "link.png"]


def test_a_file_that_was_just_written_is_not_taken_as_known(folder: Path, tmp_path: Path) -> None:
    before = told(folder, tmp_path)
    state = (folder / "a.png").stat()
    (folder / "a.png").write_bytes(b"A.png")  # within the same tick of a slow clock
    os.utime(folder / "a.png", ns=(state.st_atime_ns, state.st_mtime_ns))
    assert told(folder, tmp_path) != before


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"a.png": 1}', '{"a.png": [1, 2]}'])
def test_a_damaged_or_unwritable_cache_costs_time_only(
    damage: str, folder: Path, tmp_path: Path
) -> None:
    before = told(folder, tmp_path)
    [cache] = (tmp_path / ".cache" / "contents").iterdir()
    cache.write_text(damage)
    assert told(folder, tmp_path) == before

    cache.unlink()
    cache.parent.rmdir()
    cache.parent.write_text("no folder")  # which not even an administrator can write into
    assert told(folder, tmp_path) == before


def test_broken_links_and_unreadable_files_are_left_to_the_job(
    folder: Path, tmp_path: Path
) -> None:
    os.mkfifo(folder / "pipe.png")
    (folder / "broken.png").symlink_to(tmp_path / "nowhere")
    assert told(folder, tmp_path) == told(folder, tmp_path)


def test_a_pipeline_is_told_by_what_is_read_of_it(tmp_path: Path) -> None:
    pipeline = tmp_path / "pipeline"
    for name in ("unet/config.json", "unet/diffusion_pytorch_model.safetensors"):
        (pipeline / name).parent.mkdir(parents=True, exist_ok=True)
        (pipeline / name).write_text(name)
    (pipeline / "scheduler").mkdir()
    (pipeline / "scheduler" / "scheduler_config.json").write_text("{}")
    spec = DiffusersCheckpoint(kind="diffusers", source=str(pipeline))

    def now() -> str:
        return contents(*spec.local_files(), tmp_path)

    before = now()
    for extra in ("README.md", ".git/HEAD", "logs/events.out", "unet/optimizer.bin", "log.json"):
        (pipeline / extra).parent.mkdir(exist_ok=True)
        (pipeline / extra).write_text("x")
    assert now() == before
    for name in ("unet/config.json", "unet/diffusion_pytorch_model.safetensors"):
        (pipeline / name).write_text("other")
        assert now() != before
        before = now()
    (pipeline / "unet" / "diffusion_pytorch_model.fp16.safetensors").write_text("a variant")
    assert now() != before


def test_weights_are_told_by_content_wherever_they_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "w.safetensors").write_bytes(b"weights")
    monkeypatch.chdir(tmp_path)
    paths = [Path(place, "w.safetensors") for place in ("here", tmp_path / "here", "there")]
    specs = [OwnCheckpoint(kind="own", path=path) for path in paths]
    found = [contents(*spec.local_files(), tmp_path) for spec in specs]
    assert len(set(found)) == 1
    zoo = ZooCheckpoint(kind="zoo", name="avatars-ddpm").local_files()
    assert zoo[1] == ["avatars-ddpm.safetensors"]


def test_a_renamed_file_of_weights_is_the_same_but_for_its_format(tmp_path: Path) -> None:
    names = ("a.safetensors", "b.safetensors", "a.pt", "c.safetensors")
    for name in names[:3]:
        (tmp_path / name).write_bytes(b"weights")
    (tmp_path / names[3]).write_bytes(b"others")
    one, renamed, other_format, others = (contents(tmp_path, [n], tmp_path) for n in names)
    assert one == renamed
    assert len({one, other_format, others}) == 3
