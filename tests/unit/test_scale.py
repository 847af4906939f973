"""The stages on many images, each in a process of its own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmark.tools.speed import scale


def test_crops_are_all_different_and_the_same_again(tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        scale.write_crops(50, tmp_path / f"{name}.npy", seed)
    one, again, other = (np.load(tmp_path / f"{n}.npy") for n in ("one", "again", "other"))
    assert one.shape == (50, 32, 32, 3)
    assert one.dtype == np.uint8
    assert len(np.unique(one.reshape(50, -1), axis=0)) == 50
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


@pytest.mark.slow
def test_every_stage_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scale.scale(scale.QUICK, tmp_path / "scale.json", with_faiss=True)
    content = json.loads((tmp_path / "scale.json").read_text())
    assert [stage["stage"] for stage in content["stages"]] == [
        "prepare",
        "features of the data",
        "features of the samples",
        "evaluate",
        "retrieve, first cell",
        "retrieve, further cells",
        "the searches of the first cell by Faiss alone",
    ]
    said = capsys.readouterr().out
    for stage in content["stages"]:
        assert min(stage["seconds"], stage["processor"], stage["megabytes"]) > 0
        assert f"{stage['stage']}: " in said
