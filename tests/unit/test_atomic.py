from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.core.errors import BenchmarkError
from benchmark.storage.atomic import atomic_path, write_bytes, write_text


def test_written_file_has_the_content_and_nothing_lies_beside_it(tmp_path: Path) -> None:
    write_bytes(tmp_path / "new" / "a.bin", b"\x00\xff")
    assert (tmp_path / "new" / "a.bin").read_bytes() == b"\x00\xff"
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.bin"]


def test_failing_block_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text(target, "old")

    def fail_half_way() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_target_is_untouched_until_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    with atomic_path(target) as temporary:
        temporary.write_text("new")
        assert not target.exists()
        assert temporary.parent == target.parent
        assert temporary.suffix == ".txt"
    assert target.read_text() == "new"


def test_line_ends_and_letters_are_kept(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "ε\r\nσ\n")
    assert (tmp_path / "a").read_bytes() == "ε\r\nσ\n".encode()


def test_folder_that_cannot_be_made_is_named_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BenchmarkError, match=r"file/a\.json: cannot be written") as error:
        write_text(tmp_path / "file" / "a.json", "1")
    assert "\n" not in str(error.value)


def test_reader_of_the_old_file_never_sees_the_new_one(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")
    with (tmp_path / "a.txt").open() as reader:
        write_text(tmp_path / "a.txt", "new")
        assert reader.read() == "old"


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    left = [tmp_path / f".a.b[1]-{number:08x}.json" for number in range(3)]
    others = [tmp_path / name for name in (".a.b1-00000000.json", ".a.b[1]-0.json", "a.b[1].json")]
    for path in (*left, *others):
        path.write_text("half")
    with atomic_path(tmp_path / "a.b[1].json") as own:
        assert own.exists()
        assert not any(path.exists() for path in left)
        write_text(tmp_path / "a.b[1].json", "of a second writer")
        assert own.exists()  # it is locked, so no leftover
        own.write_text("of the first")
    assert (tmp_path / "a.b[1].json").read_text() == "of the first"
    assert sorted(tmp_path.iterdir()) == sorted(others)
