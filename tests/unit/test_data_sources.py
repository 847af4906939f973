from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pydantic import TypeAdapter, ValidationError

from benchmark.config.schema import Source
from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import explain
from benchmark.data.hub_files import missing
from benchmark.data.listing import ignored_line, image_files
from benchmark.data.sources.base import drawn


def source(**fields: Any) -> Any:
    sizes = {"resolution": 16, "train": 3, "held_out": 2}
    return TypeAdapter(Source).validate_python({**sizes, **fields})


def refusal(**fields: Any) -> str:
    with pytest.raises(ValidationError) as error:
        source(**fields)
    return explain(error.value, fields)


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


def png(value: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (16, 16), (value, 0, 0)).save(file, "PNG")
    return file.getvalue()


def shard(path: Path, values: list[int], column: str = "image") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"bytes": png(v), "path": None} for v in values]
    pq.write_table(pa.table({column: rows, "label": values}), path, row_group_size=2)
    return path


def names(candidates: Any, indices: list[int]) -> list[str]:
    return [item.name for item in candidates.read(indices)]


def reds(candidates: Any, indices: list[int]) -> list[int]:
    return [item.load().getpixel((0, 0))[0] for item in candidates.read(indices)]


# what a config may say


def test_unknown_source_names_the_nearest() -> None:
    assert "did you mean 'avatars'" in refusal(source="avatar")


def test_unknown_field_names_the_nearest() -> None:
    assert "did you mean 'resolution'" in refusal(source="avatars", resolutoin=3)


@pytest.mark.parametrize(
    ("field", "value"), [("resolution", 7), ("train", 0), ("held_out", 0), ("seed", -1)]
)
def test_number_out_of_range_is_named(field: str, value: int) -> None:
    assert field in refusal(source="avatars", **{field: value})


def test_unknown_style_names_the_nearest() -> None:
    assert "did you mean 'toon-head'" in refusal(source="avatars", style="toonhead")


def test_unknown_style_option_names_the_nearest() -> None:
    message = refusal(source="avatars", options={"eyeVariant": "wide"})
    assert "did you mean 'eyesVariant'" in message


def test_unknown_option_value_names_the_nearest() -> None:
    message = refusal(source="avatars", options={"eyesVariant": ["wide", "wynk"]})
    assert "options.eyesVariant" in message
    assert "did you mean 'wink'" in message


def test_option_value_out_of_range_is_refused() -> None:
    message = refusal(source="avatars", options={"beardProbability": 200})
    assert "options.beardProbability: 200" in message


@pytest.mark.parametrize("crop", [0, -3, "center"])
def test_impossible_crop_is_refused(crop: object) -> None:
    assert "crop" in refusal(source="folder", path="x", crop=crop)


# avatars


def test_avatar_depends_on_seed_and_number_only() -> None:
    few, many = source(source="avatars"), source(source="avatars", train=50)
    other = source(source="avatars", seed=1)
    assert few.render(4).tobytes() == many.render(4).tobytes()
    assert few.render(4).tobytes() != few.render(5).tobytes()
    assert few.render(4).tobytes() != other.render(4).tobytes()


def test_avatar_has_its_resolution_and_a_background_of_the_list() -> None:
    spec = source(source="avatars", resolution=24, background=["102030"])
    image = spec.render(0)
    assert image.size == (24, 24)
    assert image.mode == "RGB"
    assert image.getpixel((0, 0)) == (0x10, 0x20, 0x30)


def test_avatar_fills_the_frame() -> None:
    spec = source(source="avatars", resolution=32, background=["00ff00"])
    images = np.stack([np.asarray(spec.render(i)) for i in range(16)])
    head = (images != (0, 255, 0)).any(axis=-1).mean(axis=0)
    assert head[8:28, 10:22].min() == 1
    assert head.mean() > 0.5


def test_avatar_option_restricts_what_is_drawn() -> None:
    plain = source(source="avatars", options={"beardProbability": 0})
    bearded = source(source="avatars", options={"beardProbability": 100})
    assert plain.render(0).tobytes() != bearded.render(0).tobytes()


# folder


def test_folder_is_recursive_and_ignores_case(tmp_path: Path) -> None:
    for name in ("b.PNG", "a/x.jpg", "a/b/x.JPEG", "c/x.jpg"):
        touch(tmp_path / name)
    assert image_files(tmp_path)[0] == ["a/b/x.JPEG", "a/x.jpg", "b.PNG", "c/x.jpg"]


def test_files_that_are_no_images_are_counted(tmp_path: Path) -> None:
    for name in ("a.png", "b.txt", "c/d.TXT", "README"):
        touch(tmp_path / name)
    assert image_files(tmp_path) == (["a.png"], {".txt": 2, "no suffix": 1})


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="gone: no such folder"):
        image_files(tmp_path / "gone")


def test_file_instead_of_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"a\.png: is a file, not a folder"):
        image_files(touch(tmp_path / "a.png"))


def test_folder_without_images_is_named_with_what_is_in_it(tmp_path: Path) -> None:
    touch(tmp_path / "a.heic")
    with pytest.raises(BenchmarkError, match=r"no images in it; 1 ignored: 1 × .heic; .*\.jpg"):
        image_files(tmp_path)


HIDDEN = (".DS_Store", "._a.png", ".a.png.swp", ".#a.png", "deep/._x.jpg", ".hidden.png")
HIDDEN_FOLDERS = (".ipynb_checkpoints/a-checkpoint.png", "deep/.git/x.png", ".Trash-1000/a.png")
SYSTEM = ("Thumbs.db", "desktop.ini", "DESKTOP.INI", "Icon\r", "deep/ehthumbs.db")
SYSTEM_FOLDERS = ("__MACOSX/deep/._x.png", "__MACOSX/a.png", "@eaDir/a.png/THUMB_S.jpg")
BACKUPS = ("a.png~", "#a.png#", "~$a.png")


def test_hidden_and_system_files_are_no_images_and_are_counted(tmp_path: Path) -> None:
    for name in ("a.png", "deep/x.JPG", "#1.png", "~1.png", "a.PNG.bak"):
        touch(tmp_path / name)
    for name in HIDDEN + HIDDEN_FOLDERS + SYSTEM + SYSTEM_FOLDERS + BACKUPS:
        touch(tmp_path / name)
    files, ignored = image_files(tmp_path)
    assert files == ["#1.png", "a.png", "deep/x.JPG", "~1.png"]
    assert ignored == {
        ".bak": 1,
        "backup file": 3,
        "hidden file": 6,
        "hidden folder": 3,
        "system file": 5,
        "system folder": 2,
    }
    assert ignored_line(ignored).startswith("20 ignored: 1 × .bak, 3 × backup file, 6 × hidden")


def test_a_folder_that_is_itself_hidden_is_read(tmp_path: Path) -> None:
    touch(tmp_path / ".cache" / "@eaDir" / "x.png")
    assert image_files(tmp_path / ".cache" / "@eaDir").files == ["x.png"]


def test_a_linked_file_counts_by_its_own_name(tmp_path: Path) -> None:
    touch(tmp_path / "blobs" / "0a1b")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x.png").symlink_to(tmp_path / "blobs" / "0a1b")
    (tmp_path / "data" / ".y.png").symlink_to(tmp_path / "blobs" / "0a1b")
    assert image_files(tmp_path / "data") == (["x.png"], {"hidden file": 1})


@pytest.mark.parametrize("below", [".", "samples", "samples/A-s0"])
def test_pictures_of_a_run_are_no_images(tmp_path: Path, below: str) -> None:
    for name in ("samples.npy", "grid.png", "chain.png", "movie.png"):
        touch(tmp_path / "samples" / "A-s0" / name)
    with pytest.raises(BenchmarkError, match=r"^images: .*A-s0: a folder of a run's results"):
        image_files(tmp_path / below, "images")


def test_hidden_files_beside_parquet_files_are_not_read(tmp_path: Path) -> None:
    shard(tmp_path / "train-00000-of-00001.parquet", [1, 2])
    touch(tmp_path / "._train-00000-of-00001.parquet")
    touch(tmp_path / ".ipynb_checkpoints" / "train-00000-of-00001.parquet")
    offer = source(source="celeba", path=tmp_path).offer()
    assert reds(offer.train, [0, 1]) == [1, 2]
    assert offer.ignored == {"hidden file": 1, "hidden folder": 1}


@pytest.mark.skipif(sys.platform == "win32", reason="needs symbolic links")
def test_loop_of_links_ends(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "x.png")
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to("self")
    assert image_files(tmp_path)[0] == ["a/x.png"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs symbolic links")
def test_linked_folder_is_read(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere" / "x.png")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "link").symlink_to(tmp_path / "elsewhere")
    assert image_files(tmp_path / "data")[0] == ["link/x.png"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_pipe_and_broken_link_are_refused_and_do_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to("nowhere.png")
    candidates = source(source="folder", path=tmp_path).offer().train
    for item in candidates.read([0, 1]):
        with pytest.raises(ValueError, match="a broken link, or not a regular file"):
            item.load()


def test_draw_follows_from_the_seed_and_takes_every_number_once() -> None:
    assert drawn(50, 1) == drawn(50, 1)
    assert drawn(50, 1) != drawn(50, 2)
    assert sorted(drawn(50, 1)) == list(range(50))


# celeba and celeba_hq


@pytest.mark.parametrize("kind", ["celeba", "celeba_hq"])
def test_parquet_splits_feed_their_own_sets(kind: str, tmp_path: Path) -> None:
    shard(tmp_path / "data" / "train-00000-of-00002.parquet", [0, 1, 2])
    shard(tmp_path / "data" / "train-00001-of-00002.parquet", [3, 4, 5, 6])
    valid = "valid" if kind == "celeba" else "validation"
    shard(tmp_path / "data" / f"{valid}-00000-of-00001.parquet", [100, 101])
    shard(tmp_path / "data" / "test-00000-of-00001.parquet", [200])
    offer = source(source=kind, path=tmp_path).offer()
    assert offer.held_out is not None
    assert sorted(offer.train.order) == list(range(7))
    assert reds(offer.train, [0, 2, 3, 6]) == [0, 2, 3, 6]
    assert names(offer.train, [2, 3]) == [
        "train-00000-of-00002.parquet#2",
        "train-00001-of-00002.parquet#0",
    ]
    assert reds(offer.held_out, [0, 1]) == [100, 101]
    assert "non-commercial" in offer.licence


def test_parquet_with_one_folder_a_split_is_understood(tmp_path: Path) -> None:
    shard(tmp_path / "train" / "0000.parquet", [1])
    shard(tmp_path / "valid" / "0000.parquet", [2])
    offer = source(source="celeba", path=tmp_path).offer()
    assert reds(offer.train, [0]) == [1]
    assert offer.held_out is not None
    assert reds(offer.held_out, [0]) == [2]


def test_local_images_are_drawn_into_both_sets(tmp_path: Path) -> None:
    for name in ("000001.jpg", "000002.jpg"):
        touch(tmp_path / name)
    offer = source(source="celeba", path=tmp_path).offer()
    assert offer.held_out is None
    assert names(offer.train, [0, 1]) == ["000001.jpg", "000002.jpg"]


def test_missing_shard_is_an_error(tmp_path: Path) -> None:
    shard(tmp_path / "train-00000-of-00006.parquet", [0])
    with pytest.raises(BenchmarkError, match="1 of the 6 files"):
        source(source="celeba_hq", path=tmp_path).offer()


def test_parquet_without_a_train_split_is_an_error(tmp_path: Path) -> None:
    shard(tmp_path / "rows.parquet", [0])
    with pytest.raises(BenchmarkError, match=r"no train\*\.parquet"):
        source(source="celeba_hq", path=tmp_path).offer()


def test_parquet_without_images_names_its_columns(tmp_path: Path) -> None:
    shard(tmp_path / "train.parquet", [0], column="picture")
    with pytest.raises(BenchmarkError, match=r"train\.parquet: no column 'image', only picture"):
        source(source="celeba_hq", path=tmp_path).offer()


def test_truncated_parquet_is_named(tmp_path: Path) -> None:
    path = shard(tmp_path / "train.parquet", [0, 1])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(BenchmarkError, match=r"train\.parquet: not a whole parquet file"):
        source(source="celeba_hq", path=tmp_path).offer()


def test_parquet_with_damaged_rows_is_named(tmp_path: Path) -> None:
    path = shard(tmp_path / "train.parquet", list(range(20)))
    content = bytearray(path.read_bytes())
    content[4:200] = bytes(196)
    path.write_bytes(content)
    candidates = source(source="celeba_hq", path=tmp_path).offer().train
    with pytest.raises(BenchmarkError, match=r"train\.parquet: not a whole parquet file"):
        list(candidates.read([0]))


def test_a_data_set_is_looked_for_where_the_client_of_the_hub_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants, snapshot_download

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    wanted = ("owner/faces", "0" * 40, ["data/train-*.parquet"])
    assert missing(*wanted) is not None
    folder = tmp_path / "datasets--owner--faces" / "snapshots" / ("0" * 40)
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "train-00000-of-00002.parquet").touch()
    offline = {"repo_type": "dataset", "revision": "0" * 40, "local_files_only": True}
    assert Path(snapshot_download("owner/faces", **offline)) == folder
    assert missing(*wanted) is not None
    (folder / "data" / "train-00001-of-00002.parquet").touch()
    assert missing(*wanted) is None


@pytest.mark.parametrize("kind", ["celeba", "celeba_hq"])
def test_unreachable_hub_says_how_to_give_a_local_copy(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object, **__: object) -> str:
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr("huggingface_hub.snapshot_download", unreachable)
    with pytest.raises(BenchmarkError, match=r"hub: no route; .*path: FOLDER") as error:
        source(source=kind).offer()
    assert "\n" not in str(error.value)


def test_hub_is_asked_for_the_pinned_revision_and_no_telemetry_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def download(repository: str, **options: Any) -> str:
        asked.update(options, repository=repository)
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    shard(tmp_path / "data" / "train-00000-of-00001.parquet", [0])
    spec = source(source="celeba_hq")
    offer = spec.offer()
    assert asked["repository"] == "korexyz/celeba-hq-256x256"
    assert asked["revision"] == "42078a1fb27b6079eaab8cf453efd3d79a8b7bda"
    assert asked["repo_type"] == "dataset"
    assert spec.revision in offer.origin
    assert os.environ["HF_HUB_DISABLE_TELEMETRY"] == "1"


@pytest.mark.parametrize("style", ["toon-head", "avataaars", "pixel-art"])
def test_an_attribution_has_english_quotation_marks(style: str) -> None:
    faces = {"resolution": 16, "train": 2, "held_out": 1, "style": style}
    said = source(source="avatars", **faces).offer().attribution
    assert "“" in said
    assert "„" not in said
    assert said.count("“") == said.count("”")
