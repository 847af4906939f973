"""Arrays on disk, block by block."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.core.errors import BenchmarkError
from benchmark.metrics.frechet import GaussianStats, statistics
from benchmark.storage.arrays import (
    MARK,
    TRAILER,
    open_array,
    read_blocks,
    release_pages,
    write_blocks,
)
from benchmark.storage.cache import cached


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_blocks_are_written_as_numpy_writes_the_whole(tmp_path: Path, dtype: type) -> None:
    whole = np.arange(7 * 4 * 3).reshape(7, 4, 3).astype(dtype)
    np.save(tmp_path / "numpy.npy", whole)
    write_blocks(tmp_path / "ours.npy", [whole[:3], whole[3:4], whole[4:]], whole.shape, dtype)
    ours, numpys = ((tmp_path / name).read_bytes() for name in ("ours.npy", "numpy.npy"))
    assert ours[: len(numpys)] == numpys
    assert ours[len(numpys) :] == MARK + hashlib.sha256(numpys).digest()


def test_blocks_need_not_lie_in_memory_as_they_are_written(tmp_path: Path) -> None:
    whole = np.arange(24, dtype=np.float32).reshape(4, 6)
    write_blocks(tmp_path / "a.npy", [whole.T[:2], whole.T[2:]], (6, 4), np.float32)
    assert np.array_equal(np.load(tmp_path / "a.npy"), whole.T)


def test_an_error_in_the_middle_leaves_no_file(tmp_path: Path) -> None:
    def broken():  # type: ignore[no-untyped-def]
        yield np.zeros(2)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_blocks(tmp_path / "a.npy", broken(), (4,), np.float64)
    assert list(tmp_path.iterdir()) == []


@given(st.integers(0, 9), st.integers(0, 9), st.integers(1, 5))
def test_blocks_that_are_read_are_those_rows(
    tmp_path_factory: pytest.TempPathFactory, start: int, stop: int, size: int
) -> None:
    path = tmp_path_factory.mktemp("arrays") / "a.npy"
    whole = np.arange(9 * 2 * 3, dtype=np.uint8).reshape(9, 2, 3)
    np.save(path, whole)
    blocks = list(read_blocks(path, range(start, stop), size))
    assert [len(block) for block in blocks] == [
        len(range(start, stop)[i : i + size]) for i in range(0, max(0, stop - start), size)
    ]
    if blocks:
        assert np.array_equal(np.concatenate(blocks), whole[start:stop])


def test_any_changed_byte_is_found_and_none_is_a_traceback(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    whole = np.arange(12, dtype=np.float32).reshape(4, 3)
    write_blocks(path, [whole], whole.shape, whole.dtype)
    assert np.array_equal(open_array(path), whole)
    written = path.read_bytes()
    data = len(written) - TRAILER
    for at in range(data):
        for bit in (1, 4, 128):
            changed = bytearray(written)
            changed[at] ^= bit
            path.write_bytes(changed)
            with pytest.raises(BenchmarkError, match="damaged: ") as error:
                open_array(path)
            assert "\n" not in str(error.value)
    for length in range(data):
        path.write_bytes(written[:length])
        with pytest.raises(BenchmarkError, match="damaged: "):
            open_array(path)


def test_an_array_of_others_is_read(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones(3))
    assert np.array_equal(open_array(tmp_path / "a.npy"), np.ones(3))
    with pytest.raises(BenchmarkError, match="cannot be read"):
        open_array(tmp_path / "b.npy")


def resident(path: Path) -> int:
    """Return how many kilobytes of the mapping of a file are in the memory of this process."""
    lines = iter(Path("/proc/self/smaps").read_text().splitlines())
    return sum(
        int(line.split()[1])
        for entry in lines
        if entry.endswith(str(path))
        for line in itertools.islice(lines, 4)
        if line.startswith("Rss:")
    )


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="this system has no /proc")
def test_released_pages_leave_memory_and_keep_their_values(tmp_path: Path) -> None:
    whole = np.arange(2**18, dtype=np.float32).reshape(-1, 64)
    write_blocks(tmp_path / "a.npy", [whole], whole.shape, np.float32)
    array = open_array(tmp_path / "a.npy")
    view = array[3:2000].T
    assert array.sum() > 0
    assert resident(tmp_path / "a.npy") > 900
    release_pages(view)
    assert resident(tmp_path / "a.npy") == 0
    assert np.array_equal(array, whole)
    assert np.array_equal(view, whole[3:2000].T)


@pytest.mark.parametrize("mode", ["c", "r+"])
def test_changed_pages_are_not_released(mode: str, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(9))
    array = np.load(tmp_path / "a.npy", mmap_mode=mode)
    array[:] = 7
    array.flags.writeable = False
    release_pages(array[2:])
    assert (array == 7).all()


def test_an_array_in_memory_is_left_alone() -> None:
    array = np.arange(4)
    release_pages(array[1:])
    assert array.tolist() == [0, 1, 2, 3]


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="this system has no /proc")
def test_statistics_of_a_mapped_file_leave_none_of_it_in_memory(tmp_path: Path) -> None:
    whole = np.random.default_rng(0).standard_normal((9000, 8), np.float32)
    write_blocks(tmp_path / "a.npy", [whole], whole.shape, np.float32)
    found = cached(statistics, open_array(tmp_path / "a.npy")[100:], tmp_path, GaussianStats)
    assert resident(tmp_path / "a.npy") == 0
    expected = statistics(whole[100:])
    assert np.array_equal(found.mean, expected.mean)
    assert np.array_equal(found.factor, expected.factor)
