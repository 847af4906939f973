import subprocess
import sys
from pathlib import Path

import numpy as np
import yaml
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageColor
from stages import do

from benchmark.config.config import Config
from benchmark.config.loading import parse_config
from benchmark.metrics.memorisation import accused, least_accused, pixels
from benchmark.stages import retrieve
from benchmark.stages.retrieve import GAP, SUSPECT, TEXT_HEIGHT, Captions, panel
from benchmark.storage.paths import Run


def test_retrieval_imports_no_torch() -> None:
    code = "import sys, benchmark.stages.retrieve; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_classes_stand_below_the_samples_and_their_neighbours(tmp_path: Path) -> None:
    def drawn(name: str, captions: Captions) -> NDArray[np.uint8]:
        path = tmp_path / f"{name}.png"
        panel(
            np.full((1, 8, 8, 3), 255, np.uint8),
            np.full((2, 8, 8, 3), 255, np.uint8),
            np.array([[1.0]]),
            np.array([[1]]),
            path,
            captions=captions,
            rows=1,
            scores=np.zeros(1),
            suspect=np.zeros(1, bool),
        )
        return np.asarray(Image.open(path))

    plain = drawn("plain", Captions("Nearest"))
    told = drawn("told", Captions("Nearest", ["bag"], ["boot", "bag"]))
    other = drawn("other", Captions("Nearest", ["bag"], ["bag", "boot"]))
    assert len(told) == len(plain) + TEXT_HEIGHT
    changed = np.flatnonzero((told != other).any(axis=(0, 2)))
    assert changed.min() > plain.shape[1] // 3  # only the neighbour has another class
    assert (told[-TEXT_HEIGHT - GAP :, : plain.shape[1] // 3] < 128).any()


def test_panel_shows_the_most_suspicious_first(tmp_path: Path) -> None:
    """Each image is one colour, so the picture's pixels say which image stands where."""
    queries = np.full((3, 8, 8, 3), 0, np.uint8)
    queries[:, :, :, 0] = np.array([10, 20, 30])[:, None, None]
    bank = np.full((4, 8, 8, 3), 0, np.uint8)
    bank[:, :, :, 1] = np.array([100, 110, 120, 130])[:, None, None]
    distances = np.array([[3.0, 4.0], [1.0, 9.0], [2.0, 2.5]])
    indices = np.array([[0, 1], [2, 3], [1, 0]])
    path = tmp_path / "panel.png"
    panel(
        queries,
        bank,
        distances,
        indices,
        path,
        captions=Captions("Nearest"),
        rows=2,
        scores=np.array([0.1, 0.2, 0.3]),
        suspect=np.zeros(3, bool),
    )
    pixels = np.asarray(Image.open(path))
    colours = pixels.reshape(-1, 3)
    shown = {int(red) for red, green, blue in np.unique(colours, axis=0) if green == blue == 0}
    assert shown & {10, 20, 30} == {20, 30}

    def corner(red: int, green: int) -> tuple[int, int]:
        """Top and left of the first tile of this colour."""
        y, x = np.nonzero((pixels == (red, green, 0)).all(axis=2))
        return int(y.min()), int(x[y == y.min()].min())

    (first_y, sample_x), (second_y, _) = corner(20, 0), corner(30, 0)
    assert first_y < second_y
    assert corner(0, 120)[0] == corner(0, 130)[0] == first_y
    assert sample_x < corner(0, 120)[1] < corner(0, 130)[1]


def test_a_long_title_is_not_cut(tmp_path: Path) -> None:
    path, title = tmp_path / "panel.png", "a cell of a very long name: nearest training images"
    panel(
        np.zeros((1, 8, 8, 3), np.uint8),
        np.zeros((1, 8, 8, 3), np.uint8),
        np.array([[1.0]]),
        np.array([[0]]),
        path,
        captions=Captions(title),
        rows=1,
        scores=np.array([1.0]),
        suspect=np.zeros(1, bool),
    )
    ink = np.flatnonzero((np.asarray(Image.open(path))[:28] < 128).any(axis=(0, 2)))
    assert ink.max() < Image.open(path).width - 1
    assert ink.max() > 2 * (80 + GAP)  # wider than the two tiles


def shown(path: Path) -> list[int]:
    """The red values of the samples from top to bottom."""
    column = np.asarray(Image.open(path))[:, GAP + 40]
    reds = [int(r) for r, g, b in column if g == b == 0 and r < 100]
    return list(dict.fromkeys(reds))


def test_the_accused_come_first_by_their_scores_and_are_framed(tmp_path: Path) -> None:
    queries = np.zeros((4, 8, 8, 3), np.uint8)
    queries[:, :, :, 0] = np.array([10, 20, 30, 40])[:, None, None]
    distances = np.array([[1.0], [8.0], [9.0], [2.0]])
    scores = np.array([np.inf, 0.2, 0.1, 0.3])
    accused = np.array([False, True, True, False])
    path = tmp_path / "panel.png"
    panel(
        queries,
        np.full((1, 8, 8, 3), 255, np.uint8),
        distances,
        np.zeros((4, 1), int),
        path,
        captions=Captions(""),
        rows=4,
        scores=scores,
        suspect=accused,
    )
    assert shown(path) == [30, 20, 10, 40]
    pixels = np.asarray(Image.open(path))
    framed = (pixels == ImageColor.getrgb(SUSPECT)).all(axis=2).any(axis=1)
    edges = np.flatnonzero(np.diff(framed.astype(int)))
    assert len(edges) == 2 * 2  # two frames, one below the other


def test_planted_copies_are_accused_and_named_and_held_out_images_are_not(tmp_path: Path) -> None:
    """The whole stage, with pixels for features."""
    content = yaml.safe_load((Path(__file__).parents[1] / "workflow" / "smoke.yaml").read_text())
    content["data"]["tiny"] |= {"train": 150, "held_out": 80}
    content["grid"][0]["samples"] = 60
    config, run = parse_config(content), Run(tmp_path / "run")
    do("prepare", config, "tiny", run)
    do("controls", config, "tiny", run)
    run.features("efficientnet-lite0", "tiny").parent.mkdir(parents=True)
    for name, images in (
        ("tiny", run.images("tiny")),
        ("controls-tiny", run.samples("controls-tiny")),
    ):
        np.save(run.features("efficientnet-lite0", name), pixels(np.load(images)))
    found = {record.id: record for record in do("retrieve", config, "controls-tiny", run)}
    copies, held_out = found["copies-tiny"], found["held-out-tiny"]
    assert copies.retrieved.accused_of["exact"] == copies.retrieved.accused_of["mirrored"] == 1
    assert copies.values["accused"].value == len(copies.retrieved.accused) >= 0.9 * 60
    assert copies.values["accused_share"].value == copies.values["accused"].value / 60
    assert held_out.values["accused_share"].value <= 0.1
    assert held_out.values["distance_ratio"].value != 1  # by other images than themselves
    assert copies.values["closest"].value == len(copies.retrieved.closest) > 0.7 * 60
    assert copies.values["closest_p"].value < 1e-6
    assert held_out.retrieved.closest == []
    assert held_out.values["closest_p"].value > 0.05
    assert found["noise-tiny"].retrieved.accused == found["noise-tiny"].retrieved.closest == []
    assert found["dropped-mode-tiny"].retrieved.accused == list(range(60))
    assert copies.values["distance_ratio"].high < 0.5 < held_out.values["distance_ratio"].low
    assert run.neighbours("copies-tiny").stat().st_size > 0


@given(st.integers(1, 300), st.integers(1, 300))
def test_as_many_copies_as_are_said_are_needed_before_one_is_accused(n: int, m: int) -> None:
    least = least_accused(n, m, false_discovery_rate=0.1)
    held_out = np.linspace(1, 2, m)
    for copies in {least - 1, least, n} - {0}:
        scores = np.where(np.arange(n) < copies, 0.5, 3.0)
        found = accused(scores, held_out, false_discovery_rate=0.1)
        assert found.any() == (least <= copies <= n)


def test_each_part_of_the_planted_copies_is_counted_apart(smoke: Config) -> None:
    accused = np.array([True, True, False, True, False, False, True])
    shares = retrieve._shares(smoke.subjects["copies-tiny"], accused)
    assert list(shares.values()) == [1, 0.5, 0]
    assert retrieve._shares(smoke.subjects["blur-tiny"], accused) == {}
