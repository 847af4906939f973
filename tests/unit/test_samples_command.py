"""Values of single samples, and samples as files."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from records_fixture import record
from scipy.spatial.distance import cdist

from benchmark.config.config import Config
from benchmark.config.jobs.retrieve import RetrieveJob
from benchmark.core.errors import BenchmarkError
from benchmark.metrics.manifold import realism
from benchmark.metrics.memorisation import rank_p_values
from benchmark.records.record import Record
from benchmark.records.sections import Gathered
from benchmark.stages.retrieve import find_copies
from benchmark.storage.paths import Run
from benchmark.tools.samples import write_values, write_zip


def test_realism_is_the_largest_ratio_of_radius_and_distance() -> None:
    # On a line, the real images at 0, 1, 3 and 7 have the radii 1, 1, 2 and 4 for k = 1; of the
    # half with the smaller ones, 0 and 1 are left (the median is 1.5).
    real = np.array([[0.0], [1.0], [3.0], [7.0]])
    fake = np.array([[0.5], [3.0], [-2.0]])
    assert realism(fake, real, 1) == pytest.approx([2.0, 0.5, 0.5])


def test_realism_equals_its_definition_on_random_features() -> None:
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=(60, 5)), rng.normal(size=(40, 5)) * 1.5
    radii = np.sort(cdist(real, real), axis=1)[:, 3]
    kept = radii <= np.median(radii)
    expected = (radii[kept, None] / cdist(real[kept], fake)).max(axis=0)
    assert realism(fake, real, 3) == pytest.approx(expected)


def test_an_image_that_is_real_is_infinitely_realistic() -> None:
    real = np.array([[0.0], [1.0], [3.0], [7.0]])
    assert realism(real[:1], real, 1) == [np.inf]


def test_p_values_are_ranks_among_the_held_out_images() -> None:
    held_out = np.array([3.0, 1.0, 2.0])
    found = rank_p_values(np.array([0.5, 1.0, 2.5, 9.0]), held_out)
    assert found == pytest.approx([1 / 4, 2 / 4, 3 / 4, 1])


@pytest.fixture
def cell(smoke: Config, run: Run) -> str:
    """A cell whose samples are held-out images, one of them a training image."""
    name = smoke.cells[0].id
    images = np.load(run.images("tiny"))
    samples = np.concatenate([images[:1], images[-7:]])
    rng = np.random.default_rng(0)
    extractor = smoke.evaluation.extractor
    for path, array in (
        (run.samples(name), samples),
        (run.features(extractor, "tiny"), rng.normal(size=(len(images), 4)).astype(np.float32)),
        (run.features(extractor, name), rng.normal(size=(8, 4)).astype(np.float32)),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, array)
    path = run.record("sample", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    made = record("sample", name, 1.0, cell=smoke.cells[0])
    path.write_text(made.model_dump_json())
    return name


def test_every_sample_has_a_line(smoke: Config, run: Run, cell: str, tmp_path: Path) -> None:
    write_values(smoke, run, cell, tmp_path / "values.csv")
    rows = list(csv.DictReader((tmp_path / "values.csv").read_text().splitlines()))
    assert [row["png"] for row in rows] == [f"{i:06}.png" for i in range(8)]
    features = [np.load(run.features("efficientnet-lite0", name)) for name in (cell, "tiny")]
    distances = cdist(features[0], features[1][:24])
    assert [float(row["nearest_distance"]) for row in rows] == pytest.approx(distances.min(axis=1))
    assert [int(row["neighbour"]) for row in rows] == distances.argmin(axis=1).tolist()
    expected = realism(features[0], features[1][:24], 3)
    assert [float(row["realism"]) for row in rows] == pytest.approx(expected)
    job = smoke.job("retrieve", cell)
    assert isinstance(job, RetrieveJob)
    found = find_copies(job, job.subjects[0], run)
    for key, expected in (("p", found.p_values), ("calibrated_distance", found.scores)):
        assert [float(row[key] or "nan") for row in rows] == pytest.approx(expected, nan_ok=True)
    assert {row["accused"] for row in rows} <= {"True", "False"}
    assert {row["file"] for row in rows} == {""}  # all were drawn here


def test_images_made_elsewhere_are_named(
    smoke: Config, run: Run, cell: str, tmp_path: Path
) -> None:
    path = run.record("sample", cell)
    files = [f"made/{number}.jpg" for number in range(8)]
    gathered = Gathered(folder="made", images_in_folder=9, files=files)
    made = Record.model_validate_json(path.read_text()).model_copy(update={"gathered": gathered})
    path.write_text(made.model_dump_json())
    write_values(smoke, run, cell, tmp_path / "values.csv")
    rows = csv.DictReader((tmp_path / "values.csv").read_text().splitlines())
    assert [row["file"] for row in rows] == files


def test_the_zip_holds_the_samples(smoke: Config, run: Run, cell: str, tmp_path: Path) -> None:
    for name in ("a.zip", "b.zip"):
        write_zip(smoke, run, cell, tmp_path / name)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        names = archive.namelist()
        found = [np.asarray(Image.open(io.BytesIO(archive.read(name)))) for name in names]
    assert names[0] == "000000.png"
    assert np.array_equal(found, np.load(run.samples(cell)))


def test_an_unknown_cell_is_refused(smoke: Config, run: Run, tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="no cell 'none'"):
        write_values(smoke, run, "none", tmp_path / "values.csv")
