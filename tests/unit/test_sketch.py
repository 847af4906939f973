"""Whether two cells look the same is told from their records, though their distances differ."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from records_fixture import write_run

from benchmark.records.record import Record, read_records
from benchmark.records.rows import collect
from benchmark.records.sketch import SKETCHED, levels_apart, sketch_of
from benchmark.report.captions import results_legend
from benchmark.report.faint import faint_lines
from benchmark.report.ranking import rankings
from benchmark.report.short_table import short_table
from benchmark.report.words import in_words

FACES = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 3), dtype=np.uint8)


@given(st.integers(0, 2**32), st.floats(0.3, 60))
def test_the_estimate_is_near_the_root_mean_square(seed: int, scale: float) -> None:
    noise = np.random.default_rng(seed).normal(0, scale, FACES.shape)
    other = np.clip(FACES + noise, 0, 255).round().astype(np.uint8)
    off = FACES[:SKETCHED].astype(float) - other[:SKETCHED]
    exact = np.sqrt(np.square(off).mean())
    apart = levels_apart([sketch_of(FACES), sketch_of(other)])
    assert apart.shape == (2, 2)
    assert apart[0, 0] == apart[1, 1] == 0
    assert apart[0, 1] == apart[1, 0] == pytest.approx(exact, rel=0.27)  # 6 standard errors


def test_only_the_first_images_count() -> None:
    assert sketch_of(FACES) == sketch_of(FACES[:SKETCHED]) != sketch_of(FACES[:5])


def test_the_sums_are_the_same_on_every_machine() -> None:
    """Records of two machines are compared, so the signs must never change."""
    ones = np.ones((1, 8, 8, 3), np.uint8)
    assert sketch_of(ones).sums[:12] == [2, 0, 0, 1, -1, -1, 1, 0, 0, -1, 0, 0]


def with_noise(tmp_path: Path, levels: int) -> list[Record]:
    """The records of a run whose first two cells look alike, but for so many grey levels."""
    other = FACES.copy()
    other[:, ::2] += np.uint8(levels) * (FACES[:, ::2] < 255 - levels)  # every other row of pixels
    images = iter([FACES, other])
    found = []
    for record in read_records(write_run(tmp_path).root):
        if record.kind == "sample" and (shown := next(images, None)) is not None:
            record = record.model_copy(update={"sketch": sketch_of(shown)})
        found.append(record)
    return found


def test_the_tables_name_settings_that_look_the_same(tmp_path: Path) -> None:
    rows = collect(with_noise(tmp_path, 1))
    [line] = faint_lines(rows)
    assert line.startswith("Apart by less than a grey level a pixel, which nobody sees")
    assert "levels; " in line
    assert line in short_table(rows, {}).legend
    assert line in results_legend(rows, [], has_published=False)


def test_what_can_be_seen_is_not_named(tmp_path: Path) -> None:
    assert faint_lines(collect(with_noise(tmp_path, 3))) == []


def test_the_page_says_so_in_words(tmp_path: Path) -> None:
    rows = collect(with_noise(tmp_path, 1))
    [line] = faint_lines(rows)
    assert any(line in in_words(ranking) for ranking in rankings(rows))
