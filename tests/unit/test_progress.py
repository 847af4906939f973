from __future__ import annotations

import sys

import pytest

from benchmark.core import progress
from benchmark.core.progress import track


def test_items_pass_through_in_order() -> None:
    assert list(track(iter("abc"), 3, "letters")) == ["a", "b", "c"]


def test_short_work_without_a_terminal_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    list(track(range(3), 3, "work"))
    assert capsys.readouterr() == ("", "")


def test_long_work_without_a_terminal_prints_plain_lines_on_stderr(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 1000, 6))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    list(track(range(4), 4, "work"))
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "work: 2/4, 12 s, about 12 s left\nwork: 4/4, 24 s, about 0 s left\n"


def test_a_line_ends_with_what_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    told = iter(["", "loss 0.5"])
    list(track(range(2), 2, "work", lambda: next(told)))
    first, second = capsys.readouterr().err.splitlines()
    assert first == "work: 1/2, 10 s, about 10 s left"
    assert second == "work: 2/2, 20 s, about 0 s left, loss 0.5"


def test_terminal_gets_a_bar_on_stderr_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(track(range(3), 3, "work")) == [0, 1, 2]
    out, err = capsys.readouterr()
    assert out == ""
    assert "work" in err
