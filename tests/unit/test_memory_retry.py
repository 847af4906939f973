"""Batches that are halved where memory ends."""

from __future__ import annotations

from itertools import chain, pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmark.config.shards import split
from benchmark.core.errors import BenchmarkError
from benchmark.runtime.memory_retry import in_batches, is_out_of_memory


def room_for(most: int, tried: list[range] | None = None):  # type: ignore[no-untyped-def]
    """Work for which more than so many images are too many."""

    def work(batch: range) -> range:
        if tried is not None:
            tried.append(batch)
        if len(batch) > most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return batch

    return work


@given(st.integers(1, 100), st.integers(1, 40), st.integers(1, 40))
def test_whatever_fits_every_image_is_made_once_and_in_order(
    count: int, batch: int, most: int
) -> None:
    parts = split(count, batch, batch)
    made = list(in_batches(parts, room_for(most), "work"))
    assert list(chain.from_iterable(made)) == list(range(count))
    assert max(map(len, made)) <= most
    if most >= min(batch, count):
        assert made == parts


def test_a_batch_that_failed_is_halved_for_good_and_each_time_a_line_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tried: list[range] = []
    made = list(in_batches(split(48, 16, 16), room_for(5, tried), "sample x"))
    assert [len(batch) for batch in tried] == [16, 8] + [4] * 12
    assert [len(batch) for batch in made] == [4] * 12
    assert all(a.stop == b.start for a, b in pairwise(made))
    assert capsys.readouterr().err.splitlines() == [
        "sample x: out of memory with 16 images at once: going on with 8",
        "sample x: out of memory with 8 images at once: going on with 4",
    ]


def test_one_image_that_does_not_fit_is_one_line() -> None:
    with pytest.raises(BenchmarkError, match="out of memory with one image at once: free"):
        list(in_batches([range(3)], room_for(0), "work"))


def test_any_other_error_is_not_taken_for_a_full_memory() -> None:
    def broken(_: range) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        list(in_batches([range(4)], broken, "work"))


def test_the_error_of_torch_s_allocator_is_known() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    assert is_out_of_memory(caught.value)
