import json
import math
from pathlib import Path

import numpy as np
import pytest

from benchmark.speed.timing import Row, interleave, report

PEERS = ("pytorch_fid", "sklearn")


def test_the_two_take_turns_and_the_first_round_is_dropped() -> None:
    order: list[str] = []

    def work(name: str) -> int:
        order.append(name)
        return len(order)

    own, other = interleave(lambda: work("a"), lambda: work("b"), 2, 2)
    assert order == ["a", "b", "a", "b", "a", "b"]
    assert (own, other) == ([3, 5], [4, 6])


def test_what_takes_long_is_measured_once_between_ours() -> None:
    order: list[str] = []
    own, other = interleave(lambda: order.append("a"), lambda: order.append("b"), 3, 1)
    assert order == ["a", "a", "b", "a", "a"]
    assert (len(own), len(other)) == (3, 1)
    own, other = interleave(lambda: order.append("a"), None, 3, 0)
    assert (len(own), len(other)) == (3, 0)


def test_ratio_is_of_the_medians_and_its_spread_of_all_pairs() -> None:
    row = Row("work", "s", [2.0, 1.0, 4.0], [10.0, 8.0, 12.0], "peer 1.0", "ratio 5")
    assert row.ratio == 5
    assert row.spread == (2, 12)
    assert row.text() == "work: 2 (of 3) s; peer 1.0 10 (of 3) s; ratio 5 [2, 12]; target ratio 5"


def test_without_a_peer_there_is_no_ratio() -> None:
    row = Row("work", "s", [2.0], [], note="prdc is not installed")
    assert row.ratio is row.spread is None
    assert row.text() == "work: 2 s; prdc is not installed"


@pytest.fixture
def quick(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[list[dict], str]:
    from benchmark.speed import metrics

    file = tmp_path / "speed.json"
    report("speed of metrics", metrics.rows(metrics.QUICK), file)
    return json.loads(file.read_text())["rows"], capsys.readouterr().out


def test_every_comparison_is_printed_with_a_finite_ratio(quick: tuple[list[dict], str]) -> None:
    for peer in (*PEERS, "prdc"):
        pytest.importorskip(peer)
    rows, printed = quick
    assert len(rows) == 8
    for row in rows:
        assert row["name"] in printed
        assert all(figure >= 0 for figure in row["ours"])
        if row["peer"] and row["unit"] == "s":  # tiny sets may need no memory at all
            assert math.isfinite(row["ratio"])
            assert f"ratio {row['ratio']:.3g}" in printed
    assert [row["name"].split()[0] for row in rows] == [
        "Inception",
        *4 * ["Fréchet"],
        *2 * ["precision,"],
        "5",
    ]


def test_a_missing_peer_is_one_line_that_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from benchmark.speed import metrics

    monkeypatch.setattr(metrics, "missing", lambda *_: "prdc is not installed: uv run ...")
    rows = list(metrics.neighbourhoods(metrics.QUICK))
    assert [row.theirs for row in rows] == [[], []]
    assert all(row.text().endswith("prdc is not installed: uv run ...") for row in rows)


def test_a_peer_that_the_installed_scipy_breaks_is_said_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    score = pytest.importorskip("pytorch_fid.fid_score")
    from benchmark.speed import metrics

    def broken(*_: object) -> float:
        raise TypeError("sqrtm() got an unexpected keyword argument 'disp'")

    monkeypatch.setattr(score, "calculate_frechet_distance", broken)
    rows = list(metrics.frechet(metrics.QUICK, 30, 5))
    assert len(rows) == 2
    for row in rows:
        assert row.ratio is None
        assert "pytorch-fid" in row.note
        assert "'disp'" in row.note
        assert np.isfinite(row.ours).all()


def test_matrices_that_do_not_fit_are_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmark.speed import metrics

    assert metrics._too_large(10) is None
    note = metrics._too_large(10**7)
    assert note == "prdc would need about 4000000 GB: not run"
