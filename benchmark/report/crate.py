"""The description of a run as a research object, an RO-Crate, which every bundle has.

It follows RO-Crate 1.1 and the profile Workflow Run Crate 0.5: https://w3id.org/ro/wfrun/workflow.
Where the package is installed without the workflow, the profile is Process Run Crate 0.5, whose
runs are of a program: https://w3id.org/ro/wfrun/process.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from benchmark.records.provenance import span
from benchmark.records.record import Record

NAME = "ro-crate-metadata.json"
WORKFLOW = "Snakefile"
SOFTWARE = "#diffusion-benchmark"  # the program, where there is no workflow
_CRATE = "https://w3id.org/ro/crate/1.1"
_STATUS = "http://schema.org"
_RUNS = "https://w3id.org/ro/wfrun"
_LANGUAGE = "https://w3id.org/workflowhub/workflow-ro-crate#snakemake"
# Profiles that the crate follows, with their names: of any run, and of one of a workflow.
_PROCESS = {f"{_RUNS}/process/0.5": "Process Run Crate"}
_PROFILES = _PROCESS | {
    f"{_RUNS}/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
_FORMATS = {
    "csv": "text/csv",
    "gif": "image/gif",
    "html": "text/html",
    "json": "application/json",
    "md": "text/markdown",
    "pdf": "application/pdf",
    "png": "image/png",
    "svg": "image/svg+xml",
    "tex": "application/x-tex",
}
_INPUTS = ("config-", "data/")  # how the names of what the run was given begin


class Outcome(NamedTuple):
    """How far a run came.

    Attributes:
        left: jobs of its config that have no record, as `sample NAME`.
        failed: those among them that ended with an error.
    """

    left: Sequence[str]
    failed: Sequence[str]


def metadata(
    records: Sequence[Record], files: Mapping[str, bytes], outcome: Outcome | None = None
) -> bytes:
    """Return the content of `ro-crate-metadata.json`; the same run gives the same bytes.

    Args:
        records: its records.
        files: the other files of the bundle, by their paths, the workflow among them if it is at
            hand.
        outcome: how far it came; None: unknown.
    """
    has_workflow = WORKFLOW in files
    profiles = _PROFILES if has_workflow else _PROCESS
    names = [name for name in files if name != WORKFLOW]
    _, ended = _span(records)
    followed = [_CRATE, *([[*_PROFILES][-1]] if has_workflow else [])]
    graph = [
        {
            "@id": NAME,
            "@type": "CreativeWork",
            "about": {"@id": "./"},
            "conformsTo": [{"@id": profile} for profile in followed],
        },
        {
            "@id": "./",
            "@type": "Dataset",
            "name": "A run of the diffusion benchmark",
            "description": "Records, tables and pictures of a comparison of generative models.",
            "conformsTo": [{"@id": profile} for profile in profiles],
            "datePublished": ended,
            "license": {"@id": "#licence"},
            "hasPart": [{"@id": _id(name)} for name in files],
            **({"mainEntity": {"@id": WORKFLOW}} if has_workflow else {}),
            "mentions": {"@id": "#run"},
        },
        *(
            {"@id": profile, "@type": "CreativeWork", "name": name, "version": profile[-3:]}
            for profile, name in profiles.items()
        ),
        {
            "@id": "#licence",
            "@type": "CreativeWork",
            "name": "Licences of the images",
            "description": _licences(records),
        },
        *(_workflow(records, files[WORKFLOW]) if has_workflow else [_software(records)]),
        _run(records, names, WORKFLOW if has_workflow else SOFTWARE, outcome),
        *(_file(name, files[name]) for name in names),
    ]
    content = {"@context": f"{_CRATE}/context", "@graph": graph}
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def _workflow(records: Sequence[Record], content: bytes) -> list[dict[str, Any]]:
    """Return the entities of the workflow and of its language."""
    return [
        {
            "@id": WORKFLOW,
            "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow"],
            "name": "diffusion-benchmark",
            "programmingLanguage": {"@id": _LANGUAGE},
            "contentSize": str(len(content)),
            "encodingFormat": "text/plain",
            **_versions(records),
        },
        {
            "@id": _LANGUAGE,
            "@type": "ComputerLanguage",
            "name": "Snakemake",
            "identifier": {"@id": "https://snakemake.readthedocs.io"},
            "url": {"@id": "https://snakemake.github.io"},
        },
    ]


def _software(records: Sequence[Record]) -> dict[str, Any]:
    """Return the entity of the program, where its workflow is not at hand."""
    return {
        "@id": SOFTWARE,
        "@type": "SoftwareApplication",
        "name": "diffusion-benchmark",
        **_versions(records),
    }


def _run(
    records: Sequence[Record], names: Sequence[str], instrument: str, outcome: Outcome | None
) -> dict[str, Any]:
    """Return the entity of the run: what was done by what, when, and how it ended."""
    given = [name for name in names if name.startswith(_INPUTS)]
    started, ended = _span(records)
    return {
        "@id": "#run",
        "@type": "CreateAction",
        "name": "The run",
        "description": f"{len(records)} jobs on {_machines(records)}",
        "instrument": {"@id": instrument},
        "object": [{"@id": _id(name)} for name in given],
        "result": [{"@id": _id(name)} for name in names if name not in given],
        "startTime": started,
        **_ended(ended, outcome),
    }


def _ended(ended: str, outcome: Outcome | None) -> dict[str, str]:
    """Return when and how a run ended, as far as its files tell.

    One that has jobs left and no log of a failed one goes on, or was killed: no file tells which.
    """
    if outcome is None:
        return {"endTime": ended}
    if outcome.failed:
        return {
            "endTime": ended,
            "actionStatus": f"{_STATUS}/FailedActionStatus",
            "error": f"jobs that failed: {', '.join(outcome.failed)}; "
            f"{len(outcome.left)} of the run's jobs have no record",
        }
    if outcome.left:
        return {"actionStatus": f"{_STATUS}/ActiveActionStatus"}
    return {"endTime": ended, "actionStatus": f"{_STATUS}/CompletedActionStatus"}


def _id(name: str) -> str:
    return quote(name, safe="/+")


def _file(name: str, data: bytes) -> dict[str, Any]:
    """Return the entity of a file."""
    kind = _FORMATS.get(name.rpartition(".")[2])
    return {
        "@id": _id(name),
        "@type": "File",
        "name": name,
        "contentSize": str(len(data)),
        **({"encodingFormat": kind} if kind else {}),
    }


def _span(records: Sequence[Record]) -> tuple[str, str]:
    """Return when the first job began and when the last one ended, as ISO 8601 writes them."""
    starts, ends = zip(*(span(run) for record in records for run in record.ran), strict=True)
    return min(starts).isoformat(), max(ends).isoformat()


def _licences(records: Sequence[Record]) -> str:
    """Return what may be done with the images, and whom to name, for each data set."""
    told = (
        " ".join(filter(None, (f"{r.id}: {r.prepared.licence}.", r.prepared.attribution)))
        for r in records
        if r.prepared
    )
    return "; ".join(told) or "unknown"


def _versions(records: Sequence[Record]) -> dict[str, str]:
    """Return the commits of the code that made the records, if they are known."""
    commits = dict.fromkeys(r.provenance.git_commit for r in records if r.provenance.git_commit)
    return {"version": ", ".join(commits)} if commits else {}


def _machines(records: Sequence[Record]) -> str:
    """Return the processors and GPUs that did the jobs."""
    machines = (record.provenance for record in records)
    return ", ".join(dict.fromkeys(machine.gpu or machine.cpu for machine in machines))
