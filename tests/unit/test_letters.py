from __future__ import annotations

from collections import Counter
from itertools import combinations
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from records_fixture import write_run

from benchmark.core.values import Value
from benchmark.metrics.uncertainty import differs
from benchmark.records.record import read_records
from benchmark.records.rows import collect
from benchmark.report.letters import compare_rows, letters


def value(number: float, half: float) -> Value:
    return Value(value=number, low=number - half, high=number + half)


def test_rows_are_compared_at_the_number_of_images_that_most_of_them_have(tmp_path: Path) -> None:
    rows = collect(read_records(write_run(tmp_path / "run").root))
    counts = Counter(n for row in rows for n in row.distances)
    assert counts[16] > counts[32] > counts[64] > 0
    [found] = compare_rows(row for row in rows if row.metrics)
    assert found.n == 16


values = st.lists(
    st.builds(value, st.integers(0, 30).map(float), st.integers(1, 9).map(float)),
    min_size=1,
    max_size=9,
)


@settings(deadline=None)
@given(values)
def test_two_share_a_letter_exactly_if_they_cannot_be_told_apart(found: list[Value]) -> None:
    shown = letters(found)
    assert all(shown)
    for (a, first), (b, second) in combinations(zip(found, shown, strict=True), 2):
        assert differs(a, b) == set(first).isdisjoint(second)


@settings(deadline=None)
@given(values)
def test_no_letter_stands_for_what_another_says(found: list[Value]) -> None:
    shown = letters(found)
    used = sorted(set("".join(shown)))
    groups = [{i for i, text in enumerate(shown) if letter in text} for letter in used]
    assert not any(a <= b or b <= a for a, b in combinations(groups, 2))


def test_letters_follow_the_values_upwards() -> None:
    chain = [value(20, 3), value(10, 3), value(13, 3), value(16, 3)]
    assert letters(chain) == ["c", "a", "ab", "bc"]


def test_more_groups_than_letters_have_names_of_their_own() -> None:
    shown = letters([value(10.0 * i, 1) for i in range(60)])
    assert len(set(shown)) == 60
    assert shown[51:53] == ["Z", "a′"]
