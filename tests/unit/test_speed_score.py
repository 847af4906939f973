"""The command `score` is timed against those of other programs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PIL import Image

from benchmark.core.errors import BenchmarkError
from benchmark.tools.speed import score
from benchmark.tools.speed.checkouts import CommandUse, Memory
from benchmark.tools.speed.score import QUICK, distance_in, write_images


@pytest.mark.parametrize(
    ("printed", "distance"),
    [
        ("FID:  12.5\n", 12.5),
        ("compute\nFID:  1.5e-05\n", 1.5e-5),
        ("frechet_inception_distance: 331.25\n", 331.25),
        ("FID:  -0.25", -0.25),
    ],
)
def test_the_distance_of_each_program_is_found(printed: str, distance: float) -> None:
    assert distance_in(printed) == distance


def test_a_program_that_prints_no_distance_is_told() -> None:
    with pytest.raises(BenchmarkError, match="no distance in what a program printed: 'Traceback"):
        distance_in("Traceback")


def test_the_two_folders_have_different_images_of_the_size(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_images(tmp_path / str(seed), 2, 16, seed)
    files = sorted(tmp_path.rglob("*.png"))
    assert [file.name for file in files] == ["00000.png", "00001.png"] * 2
    assert all(Image.open(file).size == (16, 16) for file in files)
    assert len({file.read_bytes() for file in files}) == 4


@pytest.mark.parametrize("in_bf16", [False, True])
def test_each_peer_has_rows_and_a_missing_one_a_note(
    in_bf16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[tuple[str, ...]] = []

    def measured(command: list[str], *_: object) -> CommandUse:
        called.append(tuple(command[1:]))
        ours = "from benchmark.cli.app import main" in command[2]
        printed = '{"values": {"frechet": {"value": 6}}}' if ours else "FID:  4.0"
        return CommandUse(1.0 if ours else 3.0, Memory(100, 50), 2.0, printed)

    def missing(module: str, package: str) -> str | None:
        return f"{package} is not installed" if module == "cleanfid" else None

    monkeypatch.setattr(score, "measured", measured)
    monkeypatch.setattr(score, "missing", missing)
    monkeypatch.setattr(score, "random_weights", dict)
    monkeypatch.setattr(score, "version", lambda package: f"{package} 1.0")
    monkeypatch.setattr(score._Commands, "least_seconds", lambda *_: 0.25)
    monkeypatch.setattr(score, "multiplies_bf16", lambda: in_bf16)
    *rows, rough = score.rows(QUICK)
    assert [row.ratio for row in rows] == [3, 1, 1, None, 3, 1, 1]
    assert rough.ratio == (3 if in_bf16 else None)
    assert ("differs by +0.000% from" in rough.note) == in_bf16
    assert ("neither AMX nor" in rough.note) == (not in_bf16)
    assert any("bf16" in line for line in called) == in_bf16
    called = [line for line in called if "bf16" not in line][:4]
    assert rows[0].text() == (
        "score of 4 and 4 PNG files of 16×16, inception-v3-fid: 1 s; pytorch-fid 1.0 3 s; ratio 3 "
        "[3, 3]; target ratio 2; the distances differ by 5.0e-01; the network's multiplications, "
        "at the rate of a matrix product, would take 25% of our time"
    )
    assert rows[3].note == "clean-fid is not installed"
    assert [line[-2:] for line in called[1::2]] == [("real", "fake"), ("--input1", "fake")]
    assert all("--files" in line for line in called[::2])
    assert sys.executable not in called[0]


@pytest.mark.slow
def test_all_peers_find_the_same_distance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score, "multiplies_bf16", lambda: False)  # tested above
    for package in ("pytorch_fid", "cleanfid", "torch_fidelity"):
        pytest.importorskip(package)
    rows = [row for row in score.rows(QUICK) if row.target]
    assert len(rows) == 3
    for row in rows:
        assert row.ratio
        differ = float(row.note.split("differ by ")[1].split(";")[0])
        assert differ < 1e-3, row.note
