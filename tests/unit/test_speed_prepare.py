"""`prepare` is timed on the same images in a folder and packed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmark.core.errors import BenchmarkError
from benchmark.data.sources import SOURCES
from benchmark.stages.prepare import prepare
from benchmark.tools.speed import prepare as speed
from benchmark.tools.speed.checkouts import CommandUse, Memory
from benchmark.tools.speed.prepare import EDM, FOLDER, PrepareSizes

KINDS = ("folder", "zip", "tar", "hugging-face")


def test_each_format_holds_the_images_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed, "GROUP", 4)
    sizes = {"resolution": 16, "train": 6, "held_out": 3}
    for kind, path in speed._written(tmp_path / "made", 9, 16).items():
        prepare(SOURCES.make(kind, path=path, **sizes), tmp_path / kind)
    found = [np.load(tmp_path / kind / "images.npy") for kind in KINDS]
    assert all(np.array_equal(found[0], other) for other in found[1:])


def test_rows_compare_each_format_with_the_folder_and_the_folder_with_edm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[str] = []

    def measured(command: list[str], *_: object) -> CommandUse:
        turns.append(kind := command[3] if command[1] == "-c" else EDM)
        seconds = {"folder": 2.0, "zip": 1.0, "tar": 2.0, "hugging-face": 4.0, EDM: 6.0}[kind]
        return CommandUse(seconds, Memory(100, 50), 3.0)

    monkeypatch.setattr(speed, "measured", measured)
    tool = tmp_path / "dataset_tool.py"
    rows = list(speed.rows(PrepareSizes(images=10, side=8, rounds=2), tool))
    assert turns == [*KINDS, EDM] * 3 + [*KINDS]
    assert [row.peer for row in rows] == [FOLDER] * 6 + [EDM] * 2 + ["2 images"] * 4
    assert [row.ratio for row in rows] == [2, 1, 1, 1, 0.5, 1, 3, 1, 1, 1, 1, 1]
    assert [len(row.ours) for row in rows] == [2] * 12
    assert rows[0].text() == (
        "prepare, zip of 10 images of 8×8: 1 (of 2) s; a folder of PNG files 2 (of 2) s; ratio 2 "
        "[2, 2]; target ratio 1"
    )
    assert EDM not in {row.peer for row in speed.rows(speed.QUICK)}


def test_a_tool_that_fails_is_told(tmp_path: Path) -> None:
    tool = tmp_path / "dataset_tool.py"
    tool.write_text("raise SystemExit('no click')")
    with pytest.raises(BenchmarkError, match=r"EDM's dataset_tool\.py: .* failed: no click"):
        speed._packed_by_edm(tool, tmp_path, 8, tmp_path)
