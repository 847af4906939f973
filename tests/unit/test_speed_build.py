"""Commands are measured against those of another revision."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmark.cli.app import app
from benchmark.core.closure import CHECKOUT
from benchmark.core.errors import BenchmarkError
from benchmark.tools.speed import build, checkouts
from benchmark.tools.speed.build import BuildSizes, compared
from benchmark.tools.speed.checkouts import (
    Checkout,
    CommandUse,
    Memory,
    copy_of_revision,
    copy_of_this,
)

PROGRAM = """
import os, sys, time
print("said", os.environ.get("BENCHMARK_HOME"), *sys.argv[1:])
held = bytearray(int(sys.argv[1]) * 10**6)
time.sleep(float(sys.argv[2]))
sys.exit(int(sys.argv[3]))
"""


def program(folder: Path, content: str = PROGRAM) -> Checkout:
    (folder / "benchmark").mkdir(parents=True)
    (folder / "benchmark" / "__init__.py").touch()
    (folder / "benchmark" / "__main__.py").write_text(content)
    return Checkout("before", folder)


def side(name: str, folder: Path, batch: int) -> Checkout:
    """Return a revision whose quickstart samples so many images at a time."""
    config = folder / name / "config" / "config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text(f"sampling_batch: {batch}")
    return Checkout(name, folder / name)


def committed(folder: Path, content: str, message: str) -> None:
    for name in checkouts.PARTS:
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "__init__.py").touch()
        (folder / name / "__main__.py").write_text(content)
    for command in (
        ("init", "-q"),
        ("add", "."),
        ("-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-q", "-m", message),
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)


def test_time_and_memory_are_those_of_the_command(tmp_path: Path) -> None:
    used = program(tmp_path).run("60", "0.3", "0")
    assert used.seconds > 0.3 > used.processor > 0
    assert used.printed == "said None 60 0.3 0\n"
    assert 60 < used.memory.anonymous < used.memory.resident < 100


def test_a_command_that_fails_is_told_with_what_it_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CHECKOUT, "elsewhere")  # the command must not refuse the other code for it
    with pytest.raises(BenchmarkError, match=r"before: -m benchmark 0 failed: said None 0 0 3"):
        program(tmp_path).run("0", "0", "3")


def test_the_code_of_a_revision_is_run_whatever_has_changed_since(tmp_path: Path) -> None:
    repository = tmp_path / "clone"
    repository.mkdir()
    committed(repository, "raise SystemExit(0)", "works")
    committed(repository, "raise SystemExit(1)", "fails")
    copy_of_revision("HEAD~1", tmp_path / "before", repository).run()
    with pytest.raises(BenchmarkError, match="HEAD: -m benchmark failed"):
        copy_of_revision("HEAD", tmp_path / "now", repository).run()


@pytest.mark.parametrize("revision", ["no-such", "--output=x", ""])
def test_a_revision_that_git_does_not_know_is_refused(revision: str, tmp_path: Path) -> None:
    committed(tmp_path, "", "empty")
    with pytest.raises(BenchmarkError, match="git knows no such commit"):
        copy_of_revision(revision, tmp_path / "x", tmp_path)


def test_a_copy_of_this_program_has_all_that_a_command_needs(tmp_path: Path) -> None:
    copy = copy_of_this(tmp_path / "copy")
    here = Path(build.__file__).parents[2]
    assert copy.root / "benchmark" != here
    for kept in ("__main__.py", "zoo/avatars-ddpm.safetensors", "tools/speed/build.py"):
        assert (copy.root / "benchmark" / kept).read_bytes() == (here / kept).read_bytes()
    for needed in ("config/config.yaml", "workflow/rules/common.smk", "Snakefile"):
        assert (copy.root / needed).is_file()


def test_images_are_compared_value_by_value() -> None:
    images = np.full((2, 4, 5, 3), 255, np.uint8)
    assert compared(images, images.copy()) == "the same images"
    other = images.copy()
    other[0, 0, 0, :] = 0, 254, 255
    assert compared(images, other) == "0.017 of the values differ, by at most 255 of 255"


def test_both_sides_do_the_same_work_in_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, str]] = []
    batches: set[tuple[str, int]] = set()

    def run(side: Checkout, verb: str, config: str, cell: str, *options: str) -> CommandUse:
        calls.append((side.name, cell))
        batches.add((side.name, json.loads(Path(config).read_text())["sampling_batch"]))
        results = Path(options[1])
        run = build.Run(results / build.RUN)
        samples = run.samples(cell)
        samples.parent.mkdir(parents=True)
        np.save(samples, np.zeros((4, 2, 2, 3), np.uint8))
        record = run.record("sample", cell)
        record.parent.mkdir(parents=True)
        seconds = {"here": 2.0, "before": 8.0}[side.name]
        record.write_text(json.dumps({"values": {"sample_seconds": {"value": seconds}}}))
        return CommandUse(seconds + 1, Memory(10, 5), 2 * seconds)

    monkeypatch.setattr(Checkout, "run", run)
    monkeypatch.setattr(build, "multiplies_bf16", lambda: False)
    sides = side("here", tmp_path, 8), side("before", tmp_path, 4)
    rows = list(build.sampling(*sides, tmp_path, BuildSizes(rounds=2)))
    assert [name for name, _ in calls] == ["here", "before"] * 9
    assert calls[0][1] == "DDPM-linear-ddpm-1000-s0"
    assert batches == {("here", 8), ("before", 4)}
    assert [row.ratio for row in rows] == [4, 3, 4, 1] * 3
    assert rows[0].text() == (
        "ddpm, 1000 steps, 32 images: 0.5 (of 2) s per image; build of before 2 (of 2) s per image;"
        " ratio 4 [4, 4]; the same images"
    )
    assert [row.name for row in rows][4::4] == [
        "ddim, 50 steps, 128 images",
        "predictor-corrector, 50 steps, 128 images",
    ]


def test_cells_in_bf16_are_compared_with_those_of_the_other_side_in_float32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []

    def sample(side: Checkout, config: Path, _: str) -> build._Sampled:
        asked.append((side.name, json.loads(config.read_text()).get("precision", "float32")))
        use = CommandUse(1, Memory(1, 1), 1)
        return build._Sampled(1, use, np.zeros((1, 2, 2, 3), np.uint8))

    monkeypatch.setattr(build, "_sample", sample)
    monkeypatch.setattr(build, "multiplies_bf16", lambda: True)
    sides = side("here", tmp_path, 8), side("before", tmp_path, 4)
    rows = list(build.sampling(*sides, tmp_path, BuildSizes(rounds=1)))
    assert set(asked[: len(asked) // 2]) == {
        ("here", "float32"),
        ("before", "float32"),
    }
    assert set(asked[len(asked) // 2 :]) == {("here", "bf16"), ("before", "float32")}
    assert [row.name.endswith("images, bf16") for row in rows[::4]] == [False] * 3 + [True] * 3


@pytest.mark.parametrize("name", ["all", "first"])
def test_either_revision_reads_the_manifest(name: str, tmp_path: Path) -> None:
    (tmp_path / "benchmark" / "data").mkdir(parents=True)
    code = f"class BadImages:\n    count: int\n    {name}: list[str]\n"
    (tmp_path / "benchmark" / "data" / "prepared.py").write_text(code)
    manifest = tmp_path / "manifest.json"
    manifest.write_text('{"count": 3, "bad_images": {"count": 0, "all": []}}')
    build._fit_manifest(manifest, Checkout("before", tmp_path))
    assert json.loads(manifest.read_text()) == {"count": 3, "bad_images": {"count": 0, name: []}}


def test_an_unknown_part_and_a_missing_revision_are_refused() -> None:
    unknown = CliRunner().invoke(app, ["speed", "build", "sample", "--against", "HEAD"])
    assert str(unknown.exception).startswith("speed build: no part 'sample'")
    missing = CliRunner().invoke(app, ["speed", "build"])
    assert missing.exit_code == 2
    assert "--against" in missing.output


@pytest.mark.slow
def test_this_revision_is_compared_with_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "multiplies_bf16", lambda: True)  # every processor can, if slowly
    file = tmp_path / "speed.json"
    arguments = ["speed", "build", "--against", "HEAD", "--quick", "--output", str(file)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    rows = json.loads(file.read_text())["rows"]
    assert len(rows) == 30
    assert all(row["ratio"] for row in rows)
    assert "the same images" in done.output
    assert "the distances differ by 0e+00" in done.output
