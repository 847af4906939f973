"""The description of a run as a research object, in every bundle."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from records_fixture import write_run

from benchmark.report.bundle import pack
from benchmark.storage.run_files import Archive


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    run = write_run(tmp_path / "faces", cells=2)
    run.tables("trained")[0].parent.mkdir(parents=True)
    run.tables("trained")[0].write_text("cell\n")
    run.manifest("faces").parent.mkdir(parents=True)
    run.manifest("faces").write_text("{}")
    return pack(run.root)


def test_the_crate_names_every_file(bundle: Path) -> None:
    with zipfile.ZipFile(bundle) as archive:
        graph = json.loads(archive.read("ro-crate-metadata.json"))["@graph"]
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
    entities = {entity["@id"]: entity for entity in graph}
    assert len(entities) == len(graph)
    files = {name for name, e in entities.items() if "File" in e["@type"]}
    assert files == sizes.keys() - {"bundle.json", "ro-crate-metadata.json"}
    assert all(int(entities[name]["contentSize"]) == sizes[name] for name in files)
    action = entities["#run"]
    assert {"@id": "data/faces/manifest.json"} in action["object"]
    assert {"@id": "tables/trained.csv"} in action["result"]
    assert action["startTime"] < action["endTime"] == entities["./"]["datePublished"]


def test_a_bundle_with_its_crate_is_still_a_bundle(bundle: Path, tmp_path: Path) -> None:
    assert Archive(bundle).matching("records/*/*.json")
    first = bundle.read_bytes()
    assert pack(bundle.with_suffix("")).read_bytes() == first


@pytest.mark.slow
def test_the_validator_of_crates_is_content(bundle: Path, tmp_path: Path) -> None:
    validator = pytest.importorskip("rocrate_validator")
    from rocrate_validator import models, services

    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(tmp_path / "crate")
    settings = services.ValidationSettings(
        rocrate_uri=str(tmp_path / "crate"),
        profile_identifier="workflow-run-crate",
        requirement_severity=models.Severity.REQUIRED,
    )
    result = services.validate(settings)
    assert validator
    assert not result.has_issues(), [str(issue.message) for issue in result.get_issues()]
