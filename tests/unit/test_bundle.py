from __future__ import annotations

import hashlib
import io
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from records_fixture import write_run

from benchmark.core.errors import BenchmarkError
from benchmark.records.record import SCHEMA_VERSION, read_records
from benchmark.records.rows import collect
from benchmark.report.bundle import output_folder, pack
from benchmark.report.plots import samples_overview
from benchmark.report.tables import write_tables
from benchmark.storage.paths import Run
from benchmark.storage.run_files import CONTENTS

ADDED = {"Snakefile", "ro-crate-metadata.json"}
KEPT = {
    "config-0123456789ab.json",
    "data/faces/manifest.json",
    "tables/trained.csv",
    "plots/loss-curves.svg",
    "samples/ddim-linear-ddim-50-s0/grid.png",
    "samples/ddim-linear-ddim-50-s0/chain.png",
    "neighbours/blur-faces.png",
}
LEFT_OUT = {
    "data/faces/images.npy",
    "models/ddim-linear.safetensors",
    "samples/ddim-linear-ddim-50-s0/samples.npy",
    "features/efficientnet-lite0/faces.npy",
    "state/0123/000000012.pt",
    "logs/tables/all.log",
    "tables/.trained-0a1b2c3d.csv",
}


def run_folder(root: Path) -> Run:
    """A run with a file of every kind, of which those of samples are pictures."""
    run = write_run(root, cells=2)
    for name in KEPT | LEFT_OUT:
        path = run.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture() if path.suffix == ".png" else name.encode())
    return run


def picture() -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(out, format="PNG")
    return out.getvalue()


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.*")}


def test_records_tables_and_pictures_are_packed_without_weights_and_arrays(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "quick")
    records = {path.relative_to(run.root).as_posix() for path in run.root.glob("records/*/*")}
    path = pack(run.root)
    assert path == tmp_path / "quick.zip"
    with zipfile.ZipFile(path) as archive:
        assert set(archive.namelist()) == {CONTENTS, *ADDED} | KEPT | records
        assert archive.read("tables/trained.csv") == b"tables/trained.csv"


def test_copies_of_a_run_give_the_same_bundle(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "a" / "quick")
    shutil.copytree(run.root, tmp_path / "b" / "other")
    digests = {
        hashlib.sha256(pack(folder).read_bytes()).hexdigest()
        for folder in (run.root, run.root, tmp_path / "b" / "other")
    }
    assert len(digests) == 1


def test_a_bundle_is_read_as_its_run_is(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "quick")
    sent = Run(pack(run.root, tmp_path / "sent.zip"))
    assert read_records(sent.root) == read_records(run.root)
    theirs, ours = (Run(tmp_path / name) for name in ("of-bundle", "of-folder"))
    write_tables(sent, None, theirs)
    write_tables(run, None, ours)
    assert contents(theirs.root) == contents(ours.root)
    assert "tables/trained.md" in contents(theirs.root)


def test_pictures_are_drawn_from_a_bundle_as_from_its_run(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "quick")
    sent = Run(pack(run.root, tmp_path / "sent.zip"))
    rows = collect(read_records(run.root))
    drawn = [samples_overview(each, rows) for each in (sent, run)]
    assert drawn[0] is not None
    assert drawn[1] is not None
    theirs, ours = (figure.axes[0].images[0].get_array() for figure in drawn if figure)
    assert np.array_equal(theirs, ours)
    assert len(drawn[0].axes[0].images) == 1


def test_what_is_made_of_a_bundle_lies_beside_it_but_in_no_other_run(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "quick")
    sent = pack(run.root, tmp_path / "sent.zip")
    assert output_folder(sent, None) == tmp_path / "sent"
    assert output_folder(run.root, None) == run.root
    assert output_folder(sent, tmp_path / "x") == tmp_path / "x"
    for bundle in (pack(run.root), sent.rename(tmp_path / "nameless")):
        with pytest.raises(BenchmarkError, match="name a folder by --output"):
            output_folder(bundle, None)


def test_a_run_is_packed_by_its_own_name_from_within(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_folder(tmp_path / "v1.2")
    monkeypatch.chdir(run.root)
    assert pack(Path()) == tmp_path / "v1.2.zip"


def refusal(run: Path, file: Path | None = None) -> str:
    with pytest.raises(BenchmarkError) as error:
        pack(run, file)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_is_no_run_is_not_packed(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "quick")
    assert "no such run" in refusal(tmp_path / "none")
    assert "no run: it has no records folder" in refusal(tmp_path)
    assert "give such a name" in refusal(run.root, tmp_path / "quick.tar")
    assert "only a run folder is packed" in refusal(pack(run.root))
    newer = run.record("sample", "ddim-linear-ddim-50-s0")
    newer.write_text(
        newer.read_text().replace(f'n": {SCHEMA_VERSION}', f'n": {SCHEMA_VERSION + 1}')
    )
    (tmp_path / "quick.zip").unlink()
    assert f"record schema {SCHEMA_VERSION + 1} is newer" in refusal(run.root)
    assert not (tmp_path / "quick.zip").exists()
    shutil.rmtree(run.root / "records")
    (run.root / "records").mkdir()
    assert "no records in it" in refusal(run.root)


def test_a_table_of_a_record_cannot_leave_its_folder(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "quick")
    path = run.record("metrics", "ddim-linear-ddim-50-s0")
    path.write_text(path.read_text().replace('"table": "trained"', '"table": "../../x"'))
    with pytest.raises(BenchmarkError, match=r"cell\.table"):
        write_tables(run, None)
