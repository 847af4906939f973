from __future__ import annotations

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.comparison import letters
from benchmark.metrics.uncertainty import differs
from benchmark.records import Value


def value(number: float, half: float) -> Value:
    return Value(value=number, low=number - half, high=number + half)


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
