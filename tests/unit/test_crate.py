"""The description of a run as a research object, in every bundle.

Its validator needs an older `rich` than this project's lock has, so it is run in an environment of
its own, where uv and the network are there. What it checks is checked here without it, too.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from records_fixture import write_run
from typer.testing import CliRunner

from benchmark.cli.app import app
from benchmark.config.expected import expected_records
from benchmark.config.loading import parse_config, resolved
from benchmark.report import bundle as bundling
from benchmark.report.bundle import pack
from benchmark.report.crate import Outcome
from benchmark.storage.paths import Run
from benchmark.storage.run_files import Archive
from benchmark.tools.outcome import outcome

VALIDATOR = "roc-validator==0.13.0"
TERMS = "rocrate==0.13.0"  # has the terms of RO-Crate 1.1, which newer releases have not
# Puts the terms where the validator looks for what it has read from the network.
FILL = """
import io, sys
from pathlib import Path
import requests, rocrate
from requests.adapters import BaseAdapter
from requests_cache import CachedSession
from urllib3 import HTTPResponse

class OfPackage(BaseAdapter):
    def send(self, request, **_):
        terms = Path(rocrate.__file__).with_name("data") / "ro-crate.jsonld"
        response = requests.Response()
        response.status_code, response.url, response.request = 200, request.url, request
        response.headers["Content-Type"] = kind = "application/ld+json"
        body = io.BytesIO(terms.read_bytes())
        response.raw = HTTPResponse(body, {"Content-Type": kind}, 200, preload_content=False)
        return response

    def close(self):
        pass

session = CachedSession(sys.argv[1], backend="sqlite", expire_after=-1)
session.mount("https://", OfPackage())
url = "https://w3id.org/ro/crate/1.1/context"
assert session.get(url).json()["@id"] == url
"""
DONE = Outcome((), ())


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


def entities(path: Path) -> dict[str, dict[str, object]]:
    with zipfile.ZipFile(path) as archive:
        graph = json.loads(archive.read("ro-crate-metadata.json"))["@graph"]
    return {entity["@id"]: entity for entity in graph}


@pytest.mark.parametrize(
    ("came", "status"),
    [
        (None, None),
        (DONE, "CompletedActionStatus"),
        (Outcome(("sample a",), ()), "ActiveActionStatus"),
        (Outcome(("sample a", "evaluate a"), ("sample a",)), "FailedActionStatus"),
    ],
)
def test_the_crate_says_how_far_the_run_came(
    came: Outcome | None, status: str | None, tmp_path: Path
) -> None:
    run = write_run(tmp_path / "faces", cells=2)
    action = entities(pack(run.root, outcome=came))["#run"]
    assert action.get("actionStatus") == (status and f"http://schema.org/{status}")
    assert ("endTime" in action) == (status != "ActiveActionStatus")
    told = "jobs that failed: sample a; 2 of the run's jobs have no record"
    assert action.get("error") == (told if status == "FailedActionStatus" else None)


def test_a_run_is_over_when_it_has_the_records_of_its_config(tmp_path: Path) -> None:
    run = Run(tmp_path / "x")
    assert outcome(run) is None
    config = parse_config(
        {
            "run": "x",
            "data": {"a": {"source": "avatars", "resolution": 32, "train": 8, "held_out": 4}},
            "models": {
                "F": {
                    "family": "Flow",
                    "data": "a",
                    "weights": {"kind": "zoo", "name": "avatars-flow"},
                }
            },
            "schedules": {"flow": {"kind": "flow"}},
            "grid": [
                {
                    **{"table": "t", "model": "F", "schedule": "flow"},
                    **{"sampler": "heun", "steps": 2, "samples": 4},
                }
            ],
            "evaluation": {"metrics": {"fd": {"kind": "frechet"}}, "controls": ["noise"]},
        }
    )
    run.root.mkdir()
    run.config(resolved(config)).write_text(resolved(config))
    jobs = expected_records(config)
    for job in jobs[1:]:
        run.record(*job).parent.mkdir(parents=True, exist_ok=True)
        run.record(*job).write_text("{}")
    assert outcome(run) == Outcome(("prepare a",), ())
    [cell] = config.cells
    logs = {
        ("sample", cell.id): ("sample", f"{cell.id}-0-4"),
        ("features", cell.id): ("merge", f"features-{cell.id}"),
        ("metrics", "noise-a"): ("evaluate", "controls-a"),
    }
    run.record(*jobs[0]).parent.mkdir(parents=True)
    run.record(*jobs[0]).write_text("{}")
    assert outcome(run) == DONE
    for job, log in logs.items():
        run.record(*job).unlink()
        run.log(*log).parent.mkdir(parents=True, exist_ok=True)
        run.log(*log).write_text("warning: x\n")
        found = outcome(run)
        assert found is not None
        assert (len(found.left), found.failed) == (1, ())
        run.log(*log).write_text("warning: x\nerror: y\n")
        found = outcome(run)
        assert found is not None
        assert found.failed == found.left
        run.record(*job).write_text("{}")
        assert outcome(run) == DONE
    next(run.root.glob("config-*.json")).write_text("{}")
    assert outcome(run) is None


def test_an_installed_package_describes_the_run_of_a_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundling, "WORKFLOW_FILE", tmp_path / "none")
    run = write_run(tmp_path / "faces", cells=2)
    done = CliRunner().invoke(app, ["bundle", str(run.root)])
    assert done.exit_code == 0, done.output
    found = entities(tmp_path / "faces.zip")
    assert found["./"]["conformsTo"] == [{"@id": "https://w3id.org/ro/wfrun/process/0.5"}]
    assert "mainEntity" not in found["./"]
    [instrument] = [found["#run"]["instrument"]]
    assert found[instrument["@id"]]["@type"] == "SoftwareApplication"  # type: ignore[index]
    assert Archive(tmp_path / "faces.zip").matching("records/*/*.json")


@pytest.fixture(scope="module")
def validate(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command of the validator, which finds the terms of research objects without a network."""
    uv = shutil.which("uv") or pytest.skip("needs uv")
    inside = [uv, "run", "--quiet", "--no-project", "--isolated"]
    inside += [part for package in (VALIDATOR, TERMS) for part in ("--with", package)]
    cache = tmp_path_factory.mktemp("terms") / "cache"
    if subprocess.run([*inside, "python", "-c", ""], capture_output=True, timeout=300).returncode:
        pytest.skip(f"needs {VALIDATOR} and {TERMS} from a registry")
    subprocess.run([*inside, "python", "-c", FILL, str(cache)], check=True, timeout=300)
    return [*inside, "rocrate-validator", "-y", "validate", "--offline", "--cache-path", str(cache)]


@pytest.mark.slow
@pytest.mark.parametrize("has_workflow", [True, False])
@pytest.mark.parametrize(
    "came", [DONE, Outcome(("sample a",), ()), Outcome(("sample a",), ("sample a",))]
)
def test_the_validator_of_research_objects_finds_nothing(
    came: Outcome,
    has_workflow: bool,
    validate: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not has_workflow:
        monkeypatch.setattr(bundling, "WORKFLOW_FILE", tmp_path / "none")
    run = write_run(tmp_path / "faces", cells=2)
    with zipfile.ZipFile(pack(run.root, outcome=came)) as archive:
        archive.extractall(tmp_path / "crate")
    profile = "workflow-run-crate-0.5" if has_workflow else "process-run-crate-0.5"
    asked = ["--profile-identifier", profile, "--no-paging", "--output-format", "json"]
    done = subprocess.run(
        [*validate, *asked, str(tmp_path / "crate")], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["passed"]
