"""A metric, an extractor and a control are one new file each, which an edit reruns alone."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
import yaml
from checkout import SMOKE
from scratch import Scratch

from benchmark.records.record import read_record
from benchmark.storage.paths import Run

METRIC = '''
from typing import Literal

import numpy as np
from pydantic import Field

from benchmark.core.values import Value
from benchmark.metrics.base import Features, Metric


class MeanDistance(Metric):
    """The distance between the means of two sets of features."""

    kind: Literal["mean-distance"] = "mean-distance"
    order: float = Field(default=2, ge=1, description="p of the norm")

    def compute(self, fake: Features, real: Features) -> Value:
        return Value(value=float(np.linalg.norm(fake.mean(0) - real.mean(0), self.order)))
'''
EXTRACTOR = '''
from typing import Literal

from benchmark.extractors.base import Extractor
from benchmark.extractors.weights import Weights


class Colours(Extractor):
    """The mean colour of each quarter of an image."""

    kind: Literal["colours"] = "colours"
    label = "FD-colours"
    dimension = 12
    preprocessing = "none"
    weights = Weights(
        file="none.pth",
        sha256="SHA256",
        size=4,
        licence="none",
    )

    def preprocess(self, images):
        from torch.nn.functional import adaptive_avg_pool2d

        return adaptive_avg_pool2d(images.float(), 2)

    def network(self, file, device):
        return lambda x: x.flatten(1)
'''
CONTROL = '''
from typing import Literal

from benchmark.data.controls.base import MadeControl, choose


class Negatives(MadeControl):
    """Training images with their colours inverted."""

    kind: Literal["negatives"] = "negatives"

    @property
    def text(self):
        return "training images, inverted"

    def make(self, train, count, rng):
        return 255 - choose(train, count, rng)
'''
WEIGHTS = b"none"  # of the extractor, which has none
EVALUATION = {
    "extractor": "colours",
    "metrics": {
        "fd": {"kind": "frechet"},
        "means": {"kind": "mean-distance"},
        "sums": {"kind": "mean-distance", "order": 1},
    },
    "controls": ["noise", "negatives"],
    "neighbours": 3,
}
NEW = {
    "benchmark/metrics/mean_distance.py": METRIC,
    "benchmark/extractors/colours.py": EXTRACTOR.replace(
        "SHA256", hashlib.sha256(WEIGHTS).hexdigest()
    ),
    "benchmark/data/controls/negatives.py": CONTROL,
}
JOBS = [
    ("prepare", "tiny"),
    ("controls", "tiny"),
    ("features", "tiny"),
    ("evaluate", "controls-tiny"),
    ("evaluate", "held-out-tiny"),
    ("retrieve", "controls-tiny"),
    ("retrieve", "held-out-tiny"),
    ("comparison", ""),
]
# What an edit of each file reruns in a run that uses it.
RERUN = {
    "benchmark/metrics/mean_distance.py": {"evaluate", "comparison"},
    "benchmark/extractors/colours.py": {"features", "evaluate", "retrieve"},
    "benchmark/data/controls/negatives.py": {"controls", "retrieve"},
}


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Scratch:
    """A copy of the project with the three new files, and a config that uses them: own.yaml."""
    copy = Scratch(tmp_path_factory.mktemp("scratch"))
    content: dict[str, Any] = yaml.safe_load(SMOKE.read_text())
    plain = copy.config("plain.yaml", content)
    before = copy.code(plain, JOBS)
    for path, code in NEW.items():
        copy.add(path, code)
    assert copy.code(plain, JOBS) == before  # a new file reruns nothing
    copy.config("own.yaml", content | {"evaluation": EVALUATION})
    weights = copy.folder / "results" / ".cache" / "weights"
    weights.mkdir(parents=True)
    (weights / "none.pth").write_bytes(WEIGHTS)
    return copy


def test_the_three_are_used_from_end_to_end(scratch: Scratch) -> None:
    run = Run(scratch.folder / "results" / "smoke")
    scratch.command("prepare", "own.yaml", "tiny")
    scratch.command("controls", "own.yaml", "tiny")
    for name in ("tiny", "controls-tiny"):
        scratch.command("features", "own.yaml", name)
    scratch.command("evaluate", "own.yaml", "controls-tiny")
    scratch.command("retrieve", "own.yaml", "controls-tiny")
    images, features = (
        np.load(run.samples("controls-tiny")),
        np.load(run.features("colours", "controls-tiny")),
    )
    quarters = images.reshape(-1, 2, 8, 2, 8, 3).mean(axis=(2, 4)).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(features, quarters.reshape(len(images), 12), rtol=1e-5)
    train = np.load(run.features("colours", "tiny"))[:24]
    record = read_record(run.record("metrics", "negatives-tiny"))
    apart = features[8:].mean(0) - train.mean(0)
    assert record.values["means"].value == pytest.approx(np.linalg.norm(apart), rel=1e-5)
    assert record.values["sums"].value == pytest.approx(np.abs(apart).sum(), rel=1e-5)
    assert record.control is not None
    assert record.control.text == "training images, inverted"
    assert record.protocol is not None
    assert (record.protocol.extractor, record.protocol.label) == ("colours", "FD-colours")
    assert run.record("retrieval", "negatives-tiny").exists()


@pytest.mark.parametrize(("path", "rules"), RERUN.items())
def test_an_edit_reruns_the_jobs_that_use_it_alone(
    path: str, rules: set[str], scratch: Scratch
) -> None:
    plain, own = scratch.code("plain.yaml", JOBS), scratch.code("own.yaml", JOBS)
    scratch.edit(path)
    assert scratch.code("plain.yaml", JOBS) == plain
    changed = {job for job, code in scratch.code("own.yaml", JOBS).items() if code != own[job]}
    held_out = {("retrieve", "held-out-tiny")} if "controls" in path else set()
    assert changed == {job for job in JOBS if job[0] in rules} - held_out
