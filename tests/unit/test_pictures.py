"""The grid of a cell; its film: the error when ffmpeg fails, and which files are left then."""

from __future__ import annotations

import resource
import signal
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from benchmark.core.errors import BenchmarkError
from benchmark.storage.pictures import save_film, save_grid


def pictures(count: int = 10) -> list[Image.Image]:
    """Noise, of which ffmpeg makes a large film."""
    noise = np.random.default_rng(0).integers(0, 256, (count, 128, 96, 3), np.uint8)
    return list(map(Image.fromarray, noise))


def test_a_film_shows_every_picture_for_its_time(tmp_path: Path) -> None:
    save_film(pictures(), 80, tmp_path / "film.mp4")
    frames, seconds = imageio_ffmpeg.count_frames_and_secs(tmp_path / "film.mp4")
    assert (frames, seconds) == (10, pytest.approx(0.8))


def test_equal_pictures_make_equal_films(tmp_path: Path) -> None:
    for name in ("one.mp4", "two.mp4"):
        save_film(pictures(), 80, tmp_path / name)
    one, two = (path.read_bytes() for path in sorted(tmp_path.iterdir()))
    assert one == two


@pytest.mark.parametrize("kilobytes", [8, 100])
def test_a_film_that_ffmpeg_cannot_end_is_not_published(kilobytes: int, tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(b"the film of before")
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    # As a quota of the user: the signal is ignored, as Python does, so that writing is an error.
    assert signal.getsignal(signal.SIGXFSZ) is signal.SIG_IGN
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024 * kilobytes, usual[1]))
    try:
        with pytest.raises(
            BenchmarkError, match=r"film\.mp4: ffmpeg failed with status -?\d+"
        ) as told:
            save_film(pictures(), 80, film)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert "\n" not in str(told.value)
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]
    assert film.read_bytes() == b"the film of before"


@pytest.mark.parametrize("content", [None, "#!/bin/sh\nexit 3\n"])
def test_an_ffmpeg_that_fails_at_once_or_is_missing_is_one_line(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "ffmpeg"
    if content:
        program.write_text(content)
        program.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(program))
    with pytest.raises(BenchmarkError, match=r"film\.mp4: ffmpeg (failed with|cannot be run)"):
        save_film(pictures(1), 80, tmp_path / "film.mp4")
    assert not (tmp_path / "film.mp4").exists()


@pytest.mark.parametrize(
    ("count", "shape"),
    [(16, (2, 8)), (64, (8, 8)), (100, (8, 8)), (3, (1, 3)), (12, (2, 6)), (10, (2, 5))],
)
def test_a_grid_is_full_of_images(tmp_path: Path, count: int, shape: tuple[int, int]) -> None:
    black = np.zeros((count, 64, 64, 3), np.uint8)
    save_grid(black, tmp_path / "grid.png")
    with Image.open(tmp_path / "grid.png") as picture:
        sheet = np.asarray(picture)
    rows, columns = shape
    assert sheet.shape == (rows * 66 + 2, columns * 66 + 2, 3)
    assert (sheet == 0).sum() == rows * columns * 64 * 64 * 3
    assert set(np.unique(sheet)) == {0, 255}
