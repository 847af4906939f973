"""The notebook of the docs runs as it stands, in a folder with a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from records_fixture import write_run

import benchmark as db
from benchmark.storage.arrays import write_blocks

PROJECT = Path(__file__).parents[2]
NOTEBOOK = PROJECT / "docs" / "notebook.ipynb"


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    run = write_run(tmp_path / "results" / "quickstart")
    cell = db.read(run.root).cells.index[0]
    noise = np.random.default_rng(0).integers(0, 256, (64, 32, 32, 3)).astype(np.uint8)
    write_blocks(run.samples(cell), [noise], noise.shape, np.uint8)
    Image.fromarray(noise[0]).save(run.grid(cell))
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    place = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=300, resources=place).execute()
    shown = [out for cell in notebook.cells for out in cell.get("outputs", ())]
    assert sum("image/png" in out.get("data", {}) for out in shown) == 2
    assert sum("text/html" in out.get("data", {}) for out in shown) >= 4
    assert "FD-EffNetLite0" in "".join(out.get("text", "") for out in shown)
