"""The command `why` from its beginning to its end, with a network and drawn faces."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.data.sources.avatars import Avatars

COUNT = 80  # faces of each set


@pytest.mark.slow
def test_a_network_finds_the_files_of_jpeg_among_drawn_faces(tmp_path: Path) -> None:
    for name, seed, suffix, options in (("a", 0, "png", {}), ("b", 1, "jpg", {"quality": 75})):
        (tmp_path / name).mkdir()
        source = Avatars(style="toon-head", resolution=48, train=COUNT, held_out=3, seed=seed)
        for i in range(COUNT):
            source.render(i).save(tmp_path / name / f"{i:03}.{suffix}", **options)
    command = [sys.executable, "-m", "benchmark", "why", "a", "b", "--json", "why.json"]
    command += ["--extractor", "efficientnet-lite0", "--device", "cpu", "--threads", "1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / "why.json").read_text())
    nearer = [each for each in content["options"] if each["moved"]["value"] < 0]
    assert nearer[0]["choice"] == "format", done.stdout
    assert nearer[0]["moved"]["high"] < 0
    assert "JPEG of quality 75" in done.stdout
