"""BibTeX of what a run used: every part has its paper, and nothing else is cited."""

from __future__ import annotations

from pathlib import Path

import pytest
from records_fixture import write_run

from benchmark.core.parts import Parts
from benchmark.diffusion.losses import LOSSES
from benchmark.diffusion.methods import METHODS
from benchmark.diffusion.samplers import SAMPLERS
from benchmark.diffusion.schedules import SCHEDULES
from benchmark.extractors import EXTRACTORS
from benchmark.metrics import METRICS
from benchmark.models.networks import NETWORKS
from benchmark.records.record import Checkpoint, read_record
from benchmark.report.bundle import pack
from benchmark.tools.cite import Cited, _of_part, _papers, _texts, cite, read_papers

KEYS = [paper.key for paper in read_papers()]


def keys_of(parts: Parts[object], kind: str) -> list[str]:
    texts = [cited.text for cited in _of_part(parts, {"kind": kind})]
    return [paper.key for paper in read_papers() if any(map(paper.is_cited_in, texts))]


@pytest.mark.parametrize(
    ("parts", "kind"),
    [
        (parts, kind)
        for parts in (SAMPLERS, SCHEDULES, METHODS, METRICS)
        for kind in parts.names()
        if parts.get(kind).paper != "–"
    ],
)
def test_every_part_with_a_paper_is_cited(parts: Parts[object], kind: str) -> None:
    cited = list(_of_part(parts, {"kind": kind}))
    assert len(_papers(cited)) == len(cited)


def test_a_paper_that_is_not_listed_is_cited_in_the_words_of_its_part() -> None:
    [entry] = _papers([Cited("Nobody et al. 2030, eq. 1", "mine")])
    assert entry == "@misc{of-mine,\n  title = {Nobody et al. 2030, eq. 1}\n}"
    assert _papers([Cited("What a docstring says of Nobody et al. 2030.")]) == []


@pytest.mark.parametrize(
    ("parts", "kind", "expected"),
    [
        (SAMPLERS, "ddim", ["song2021denoising"]),
        (SAMPLERS, "predictor-corrector", ["song2021scorebased"]),
        (SAMPLERS, "euler-ancestral", ["crowson2022kdiffusion"]),
        (METHODS, "pigdm", ["song2023pseudoinverse"]),
        (METRICS, "frechet", ["heusel2017gans", "dowson1982frechet"]),
        (METRICS, "recall", ["kynkaanniemi2019improved"]),
        (EXTRACTORS, "dinov2-vitl14", ["oquab2023dinov2", "stein2023exposing"]),
        (EXTRACTORS, "inception-v3-fid", ["szegedy2016rethinking"]),
        (NETWORKS, "dit", ["peebles2023scalable"]),
        (NETWORKS, "unet", ["ho2020denoising"]),
        (LOSSES, "sliced-score-matching", ["song2019sliced", "song2019generative"]),
    ],
)
def test_a_part_is_of_its_own_papers(parts: Parts[object], kind: str, expected: list[str]) -> None:
    assert keys_of(parts, kind) == expected


def test_the_papers_are_whole() -> None:
    assert len(set(KEYS)) == len(KEYS)
    for paper in read_papers():
        assert {"author", "title", "year"} <= paper.fields.keys()
        assert paper.fields.keys() & {"eprint", "doi", "url"}
        assert paper.text.count("{") == paper.text.count("}")


def test_a_run_cites_what_it_used_and_no_more(tmp_path: Path) -> None:
    run = write_run(tmp_path / "faces")
    text = cite(run.root)
    for key in ("heusel2017gans", "binkowski2018demystifying", "tan2019efficientnet"):
        assert f"{{{key}," in text
    assert "{carlini2023extracting," in text
    for key in ("chung2023diffusion", "zhao2023unipc", "szegedy2016rethinking"):
        assert f"{{{key}," not in text
    assert text.startswith("@software{diffusion-benchmark,")
    assert text.count("@") == sum(line.startswith("@") for line in text.splitlines())


@pytest.mark.parametrize(
    ("schedule", "loss", "key"),
    [
        ("geometric", None, "song2019generative"),  # by the loss of the process
        ("linear", None, "ho2020denoising"),
        ("geometric", "sliced-score-matching", "song2019sliced"),
        ("latent", None, "huang2024gan"),
    ],
)
def test_the_loss_of_a_training_is_cited(
    schedule: str, loss: str | None, key: str, tmp_path: Path
) -> None:
    run = write_run(tmp_path / "faces")
    record = read_record(next(run.root.glob("records/train/*.json")))
    spec = {"schedule": {"kind": schedule}, "training": {"loss": loss}}
    found = list(_texts(record.model_copy(update={"spec": spec})))
    [paper] = [paper for paper in read_papers() if paper.key == key]
    assert any(paper.is_cited_in(cited.text) for cited in found)


def test_a_training_of_a_classifier_has_no_loss_of_a_process(tmp_path: Path) -> None:
    run = write_run(tmp_path / "faces")
    record = read_record(next(run.root.glob("records/train/*.json")))
    spec = {"schedule": {"kind": "vp"}, "training": {"loss": None}}
    of_training = len(list(_texts(record.model_copy(update={"spec": spec}))))
    other = record.model_copy(update={"spec": spec, "kind": "classifier"})
    assert len(list(_texts(other))) < of_training


def test_ready_weights_are_cited_with_their_commit_and_hash_also_of_a_bundle(
    tmp_path: Path,
) -> None:
    run = write_run(tmp_path / "faces")
    record = read_record(next(run.root.glob("records/sample/*.json")))
    checkpoint = Checkpoint(
        sha256=64 * "b",
        name="google/ddpm-celebahq-256",
        schedule={"kind": "linear"},
        prediction="eps",
        clip=True,
        facts={"revision": 40 * "a"},
    )
    record.model_copy(update={"checkpoint": checkpoint}).write(run.record("sample", record.id))
    text = cite(run.root)
    assert "@misc{weights-bbbbbbbb,\n  title = {Weights google/ddpm-celebahq-256},\n" in text
    assert "howpublished = {https://huggingface.co/google/ddpm-celebahq-256}" in text
    assert f"version = {{{40 * 'a'}}}" in text
    assert f"SHA-256 {64 * 'b'}" in text
    assert cite(pack(run.root)) == text


def test_the_data_of_a_run_are_cited_with_licence_and_origin(tmp_path: Path) -> None:
    from benchmark.records.sections import Prepared

    run = write_run(tmp_path / "faces")
    record = read_record(run.record("data", "faces"))
    prepared = Prepared(
        origin="CelebA_HQ & others",
        licence="non-commercial",
        attribution="CelebA: Liu et al., Deep Learning Face Attributes in the Wild, ICCV 2015",
    )
    record.model_copy(update={"prepared": prepared}).write(run.record("data", "faces"))
    text = cite(run.root)
    assert "@misc{data-faces,\n  title = {Data set faces},\n" in text
    assert r"howpublished = {CelebA\_HQ \& others}" in text
    assert "{liu2015deep," in text
