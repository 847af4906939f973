"""What a run used, as BibTeX: its data, weights, methods and metrics, from its records alone."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.core.parts import Parts
from benchmark.diffusion.losses import LOSSES
from benchmark.diffusion.methods import METHODS
from benchmark.diffusion.samplers import SAMPLERS
from benchmark.diffusion.schedules import SCHEDULES
from benchmark.extractors import EXTRACTORS
from benchmark.metrics import METRICS
from benchmark.models.networks import NETWORKS
from benchmark.records.record import Record, read_records
from benchmark.report.formats import latex_escape
from benchmark.storage.paths import REFERENCE

PAPERS = REFERENCE.with_name("papers.bib")
GUIDANCE = "Ho and Salimans 2022"
CLASSIFIER = "Dhariwal and Nichol 2021"
COPIES = "Carlini et al. 2023; Alaa et al. 2022; Meehan et al. 2020"  # the search for copies


class Paper(NamedTuple):
    """An entry of `papers.bib`.

    Attributes:
        key: its key in BibTeX.
        text: the whole entry.
        fields: its fields by name.
    """

    key: str
    text: str
    fields: dict[str, str]

    def is_cited_in(self, text: str) -> bool:
        """Tell whether a text names the paper: by its address, or else by authors and year."""
        addresses = [self.fields.get(name, "") for name in ("eprint", "doi", "url")]
        if any(address and address in text for address in addresses):
            return True
        named = self.fields.get("shorthand", "")
        return "://" not in text and bool(named) and named in " ".join(text.split())


class Cited(NamedTuple):
    """A text that names papers, and the part whose paper it is; empty: it may name none."""

    text: str
    part: str = ""


def cite(run: Path) -> str:
    """Return what a run used as BibTeX: this program, the papers of its parts, data and weights.

    Args:
        run: run folder or bundle.

    Raises:
        BenchmarkError: there is no run, or a record cannot be read.
    """
    records = read_records(run)
    cited = list(dict.fromkeys(text for record in records for text in _texts(record)))
    entries = [_program(records), *_papers(cited), *_data(records), *_weights(records)]
    return "\n\n".join(entries) + "\n"


def read_papers(path: Path = PAPERS) -> list[Paper]:
    """Return the entries of a BibTeX file, each of whose fields stands on a line of its own."""
    found = []
    for text in path.read_text(encoding="utf-8").strip().split("\n\n"):
        key = re.match(r"@\w+\{([\w-]+),", text)
        assert key, text
        fields = dict(re.findall(r"^  (\w+) = \{(.*)\},?$", text, re.M))
        found.append(Paper(key[1], text, fields))
    return found


def _papers(cited: Sequence[Cited]) -> list[str]:
    """Return the entries of all papers that are cited; of one that is not listed, in its words."""
    known = read_papers()
    found = [p.text for p in known if any(p.is_cited_in(cited.text) for cited in cited)]
    unknown = [
        _entry("misc", f"of-{cited.part}", title=latex_escape(cited.text.strip()))
        for cited in cited
        if cited.part and not any(paper.is_cited_in(cited.text) for paper in known)
    ]
    return [*found, *dict.fromkeys(unknown)]


def _texts(record: Record) -> Iterator[Cited]:
    """Yield texts that name the papers of what a record's job used."""
    spec = record.spec
    yield from _of_part(SAMPLERS, spec.get("sampler"))
    for part in (spec, spec.get("train", {}), spec.get("weights", {})):
        if isinstance(part, dict):
            yield from _of_training(part, has_loss=record.kind != "classifier")
    if record.kind == "metrics":
        for name, options in spec.get("evaluation", {}).get("metrics", {}).items():
            yield from _of_part(METRICS, {"kind": name, **options})
    if record.protocol:
        yield from _of_part(EXTRACTORS, {"kind": record.protocol.extractor})
    if record.kind == "retrieval":
        yield Cited(COPIES)
    if record.prepared:
        yield Cited(record.prepared.attribution)
    cell = record.cell
    if cell and cell.task:
        yield from _of_part(METHODS, cell.task.method)
    if cell and cell.guidance is not None:
        yield Cited(CLASSIFIER if cell.classifier else GUIDANCE)


def _of_training(spec: dict[str, Any], has_loss: bool) -> Iterator[Cited]:
    """Yield what a training was of; the loss of a classifier is no part."""
    yield from _of_part(SCHEDULES, spec.get("schedule"))
    yield from _of_part(NETWORKS, spec.get("network"))
    if has_loss:
        yield from _of_part(LOSSES, {"kind": _loss(spec)})


def _loss(spec: dict[str, Any]) -> str | None:
    """Return the loss of a training: the one it names, else its process's; None: no training."""
    training, schedule = spec.get("training"), spec.get("schedule")
    if not isinstance(training, dict) or not isinstance(schedule, dict):
        return None
    if training.get("loss") or schedule.get("kind") not in SCHEDULES.classes:
        return training.get("loss")
    return SCHEDULES.make(str(schedule["kind"])).process().loss


def _of_part(parts: Parts[Any], spec: object) -> Iterator[Cited]:
    """Yield where a part says what it is of: its paper, or else its docstring."""
    kind = spec.get("kind") if isinstance(spec, dict) else None
    if kind not in parts.classes:
        return
    part = parts.get(str(kind))
    paper = getattr(part, "paper", "–")
    if paper != "–":
        yield from (Cited(text, str(kind)) for text in paper.split(";"))
    else:
        yield from (Cited(inspect.cleandoc(base.__doc__ or "")) for base in part.__mro__)


def _program(records: Sequence[Record]) -> str:
    """Return the entry of this program, with the commits that made the records."""
    commits = dict.fromkeys(
        r.provenance.git_commit[:12] for r in records if r.provenance.git_commit
    )
    return _entry(
        "software",
        "diffusion-benchmark",
        title="Diffusion benchmark",
        author="{The diffusion-benchmark authors}",
        version=_version(),
        note=f"commit {', '.join(commits)}" if commits else "",
    )


def _version() -> str:
    """Return the version of this program; empty where it is used without being installed."""
    try:
        return metadata.version("diffusion-benchmark")
    except metadata.PackageNotFoundError:
        return ""


def _data(records: Iterable[Record]) -> Iterator[str]:
    """Yield an entry for each data set."""
    for record in records:
        if prepared := record.prepared:
            whom = prepared.attribution and f"{prepared.attribution}. "
            title, note = f"Data set {record.id}", f"{whom}Licence: {prepared.licence}"
            yield _entry(
                "misc",
                f"data-{record.id}",
                title=latex_escape(title),
                howpublished=latex_escape(prepared.origin),
                note=latex_escape(note),
            )


def _weights(records: Iterable[Record]) -> Iterator[str]:
    """Yield an entry for each set of weights that came ready."""
    ready = {r.checkpoint.sha256: r.checkpoint for r in records if r.checkpoint}
    for sha256, checkpoint in ready.items():
        revision = checkpoint.facts.get("revision")
        yield _entry(
            "misc",
            f"weights-{sha256[:8]}",
            title=latex_escape(f"Weights {checkpoint.name}"),
            howpublished=f"https://huggingface.co/{checkpoint.name}" if revision else "",
            version=latex_escape(str(revision)) if revision else "",
            note=f"SHA-256 {sha256}",
        )


def _entry(kind: str, key: str, **fields: str) -> str:
    lines = [f"  {name} = {{{text}}}" for name, text in fields.items() if text]
    return ",\n".join([f"@{kind}{{{key}", *lines]) + "\n}"
