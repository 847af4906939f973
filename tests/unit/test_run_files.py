from __future__ import annotations

import hashlib
import json
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from benchmark.core.errors import BenchmarkError
from benchmark.storage.run_files import (
    CONTENTS,
    LARGEST_FILE,
    VERSION,
    Archive,
    open_run,
    write_archive,
)

FILES = {"records/sample/a.json": b"{}", "plots/a.png": bytes(range(256)), "empty.md": b""}

names = st.lists(st.text("ab-._ é", min_size=1), min_size=1, max_size=3).map("/".join)
plain = names.filter(lambda name: not {"", ".", ".."} & set(name.split("/")) and name != CONTENTS)


def bundle(folder: Path) -> Path:
    write_archive(folder / "a.zip", FILES)
    return folder / "a.zip"


def forged(
    path: Path,
    files: dict[str, bytes],
    change: Callable[[zipfile.ZipInfo], object] = lambda entry: None,
    manifest: object = None,
) -> Path:
    """Write a zip as somebody else could, whose manifest fits its files."""
    entries = {
        n: {"sha256": hashlib.sha256(d).hexdigest(), "size": len(d)} for n, d in files.items()
    }
    content = {"version": VERSION, "files": entries} if manifest is None else manifest
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(CONTENTS, json.dumps(content))
        for name, data in files.items():
            entry = zipfile.ZipInfo(name)
            change(entry)
            archive.writestr(entry, data)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(BenchmarkError) as error:
        open_run(path)
    text = str(error.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text


@given(st.dictionaries(plain, st.binary(max_size=50), max_size=4))
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]
) -> None:
    path = tmp_path_factory.mktemp("bundle") / "a.zip"
    write_archive(path, files)
    archive = Archive(path)
    assert {name: archive.read(name) for name in archive.files} == files


def test_a_folder_and_its_bundle_hold_the_same_files(tmp_path: Path) -> None:
    for name in ("b-1/x.json", "b/y.json", "b/.hidden.json", "b/z.txt", "b/deep/er.json"):
        (tmp_path / "run" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "run" / name).write_text(name)
    folder = open_run(tmp_path / "run")
    everything = [name for pattern in ("*/*", "*/*/*") for name in folder.matching(pattern)]
    write_archive(tmp_path / "a.zip", {name: folder.read(name) for name in everything})
    archive = open_run(tmp_path / "a.zip")
    assert folder.matching("*/*.json") == archive.matching("*/*.json") == ["b/y.json", "b-1/x.json"]
    assert archive.matching("b/*.json") == ["b/y.json"]
    assert archive.matching("*.json") == []


def test_the_order_of_files_and_the_clock_do_not_matter(tmp_path: Path) -> None:
    first = bundle(tmp_path).read_bytes()
    write_archive(tmp_path / "b.zip", dict(reversed(FILES.items())))
    assert (tmp_path / "b.zip").read_bytes() == first
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert archive.namelist() == [CONTENTS, *sorted(FILES)]


def test_a_bundle_that_cannot_be_finished_leaves_the_old_one(tmp_path: Path) -> None:
    before = bundle(tmp_path).read_bytes()
    with pytest.raises(TypeError):
        write_archive(tmp_path / "a.zip", {"a": b"1", "b": 3})  # type: ignore[dict-item]
    assert (tmp_path / "a.zip").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


@given(st.data())
def test_any_changed_byte_of_a_file_or_the_manifest_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = bundle(tmp_path_factory.mktemp("bundle"))
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        entry = data.draw(st.sampled_from([e for e in archive.infolist() if e.file_size]))
    start = entry.header_offset + 30 + len(entry.filename.encode())
    place = data.draw(st.integers(start, start + entry.file_size - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    assert "broken bundle" in refusal(path)


@given(st.data())
def test_a_truncated_bundle_is_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = bundle(tmp_path_factory.mktemp("bundle"))
    content = path.read_bytes()
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    assert "broken bundle" in refusal(path)


@given(st.binary(max_size=60), st.integers(0, 2000))
@example(b"9", 1075)  # a directory that begins before the file
def test_random_damage_is_one_line_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, place: int
) -> None:
    path = bundle(tmp_path_factory.mktemp("bundle"))
    content = bytearray(path.read_bytes())
    content[place : place + len(noise)] = noise
    path.write_bytes(content)
    try:
        archive = open_run(path)
    except BenchmarkError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert {name: archive.read(name) for name in FILES} == FILES


@pytest.mark.parametrize(
    "name",
    ["../x", "/etc/x", "a/../../x", "a//b", "./a", "a/", "..\\x", "C:x", "a\nb", "a/./b"],
)
def test_a_path_that_leaves_the_run_is_refused(name: str, tmp_path: Path) -> None:
    assert "is no path inside a run" in refusal(forged(tmp_path / "a.zip", {name: b""}))


def test_a_link_is_refused(tmp_path: Path) -> None:
    def link(entry: zipfile.ZipInfo) -> None:
        entry.create_system = 3
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16

    path = forged(tmp_path / "a.zip", {"records/a": b"/etc/passwd"}, link)
    assert "records/a is no plain file" in refusal(path)


def test_a_compressed_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    def deflate(entry: zipfile.ZipInfo) -> None:
        entry.compress_type = zipfile.ZIP_DEFLATED

    path = forged(tmp_path / "a.zip", {"a": bytes(10**7)}, deflate)
    assert path.stat().st_size < 10**5
    assert "a is compressed or encrypted" in refusal(path)


def test_entries_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    path = forged(tmp_path / "a.zip", {"a": bytes(1000), "b": bytes(1000)})
    with zipfile.ZipFile(path, "a") as archive:  # each entry of the directory shows the first one
        for _ in range(50):
            twin = zipfile.ZipInfo(f"c{_}")
            twin.header_offset = archive.getinfo("a").header_offset
            twin.CRC, twin.file_size, twin.compress_size = archive.getinfo("a").CRC, 1000, 1000
            archive.filelist.append(twin)
            archive.NameToInfo[twin.filename] = twin
            archive._didModify = True  # type: ignore[attr-defined]
    assert "larger than itself" in refusal(path)


def test_a_name_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    path = forged(tmp_path / "a.zip", {"a": b"1"})
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("a", b"2")
    assert "a is in it twice" in refusal(path)


def test_a_file_that_the_manifest_does_not_know_is_refused(tmp_path: Path) -> None:
    path = bundle(tmp_path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("records/sample/b.json", b"{}")
    assert "records/sample/b.json is in the zip alone" in refusal(path)


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        ({"version": VERSION, "files": {"a": {"sha256": "0", "size": 0}}}, "a is in bundle.json"),
        ({"version": VERSION + 1, "content": []}, "is newer than"),
        ({"version": VERSION, "file": {}}, "did you mean 'files'"),
        ([], "bundle.json"),
        ({"version": "1.5", "files": 3}, "bundle.json: version"),
    ],
)
def test_a_wrong_manifest_is_refused(manifest: object, expected: str, tmp_path: Path) -> None:
    assert expected in refusal(forged(tmp_path / "a.zip", {}, manifest=manifest))


def test_a_deep_manifest_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(CONTENTS, "[" * 200_000)
    assert "broken bundle" in refusal(path)


def test_another_zip_is_no_bundle(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a", b"")
    assert f"no bundle: it has no {CONTENTS}" in refusal(tmp_path / "a.zip")


def test_an_absurdly_large_file_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "a.zip").open("wb") as file:
        file.truncate(LARGEST_FILE + 1)  # a hole: it takes no space
    assert "larger than" in refusal(tmp_path / "a.zip")


def test_a_bundle_that_changes_between_two_looks_is_noticed(tmp_path: Path) -> None:
    archive = open_run(bundle(tmp_path))
    forged(tmp_path / "a.zip", {**FILES, "plots/a.png": b"other"})
    with pytest.raises(BenchmarkError, match=r"plots/a\.png is not as it was packed"):
        archive.read("plots/a.png")


def test_nothing_is_there(tmp_path: Path) -> None:
    assert "no such run" in refusal(tmp_path / "none")
