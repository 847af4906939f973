"""The description of a run as a research object, in every bundle.

roc-validator 0.13.0, which needs an older library than this project and the network, finds all that
RO-Crate 1.1 and Workflow Run Crate 0.5 require in such a bundle. What it checks is checked here.
"""

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


def test_the_crate_has_what_its_profiles_require(bundle: Path) -> None:
    with zipfile.ZipFile(bundle) as archive:
        crate = json.loads(archive.read("ro-crate-metadata.json"))
    entities = {entity["@id"]: entity for entity in crate["@graph"]}
    assert crate["@context"] == "https://w3id.org/ro/crate/1.1/context"
    assert entities["ro-crate-metadata.json"]["about"] == {"@id": "./"}
    root, workflow = entities["./"], entities["Snakefile"]
    assert {"name", "description", "datePublished", "license"} <= root.keys()
    for profile in (
        "https://w3id.org/ro/wfrun/workflow/0.5",
        "https://w3id.org/ro/wfrun/process/0.5",
    ):
        assert {"@id": profile} in root["conformsTo"]
        assert entities[profile]["@type"] == "CreativeWork"
    assert root["mainEntity"] == {"@id": "Snakefile"}
    assert workflow["@type"] == ["File", "SoftwareSourceCode", "ComputationalWorkflow"]
    assert entities[workflow["programmingLanguage"]["@id"]]["@type"] == "ComputerLanguage"
    assert entities["#run"]["@type"] == "CreateAction"
    assert entities["#run"]["instrument"] == root["mainEntity"]
    assert root["mentions"] == {"@id": "#run"}
    named = {ref["@id"] for key in ("object", "result") for ref in entities["#run"][key]}
    assert named <= {part["@id"] for part in root["hasPart"]} <= entities.keys()


def test_a_bundle_with_its_crate_is_still_a_bundle(bundle: Path, tmp_path: Path) -> None:
    assert Archive(bundle).matching("records/*/*.json")
    first = bundle.read_bytes()
    assert pack(bundle.with_suffix("")).read_bytes() == first
