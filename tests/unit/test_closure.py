"""Which code a job depends on: found through imports, and compared with what jobs execute."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest
from random_weights import with_random_weights
from stages import do

from benchmark.config.building import BUILDERS
from benchmark.config.config import Config
from benchmark.config.dependencies import code, code_by_module
from benchmark.config.loading import parse_config
from benchmark.core import closure
from benchmark.core.closure import CHOICES, HOME, PACKAGE, STOPS, digest, source_file
from benchmark.core.errors import BenchmarkError
from benchmark.core.parsed import parse
from benchmark.models.networks.custom import Custom
from benchmark.report.plots import write_plots
from benchmark.report.site import write_site
from benchmark.report.tables import write_tables
from benchmark.storage.paths import REFERENCE, Run

CELL = "DDPM-linear-ddpm-10-s0"
# A job of each kind in the smallest run.
NAMES = {
    **dict.fromkeys(("prepare", "controls"), "tiny"),
    "train": "DDPM-linear",
    **dict.fromkeys(("tables", "plots", "site", "comparison"), ""),
}
SMOKE_JOBS = [
    (rule, NAMES.get(rule, CELL))
    for rule in BUILDERS
    if rule not in ("gather", "answers", "classifier", "likelihood")
]
MINE = """
from mine_parts import layer


def network(resolution):
    return layer(resolution)
"""
PARTS = """
from torch import nn


def layer(resolution):
    '''A layer.'''
    return nn.Conv2d(3, 3, 1)
"""
# What the versions of Python parse, or print, in different ways.
TEXTS = """
x = f"{1!r:>{3}} {1:} a" "b" f"{2:{3}}" f"{4:{{}}}"
y = "\U0001fae8"
"""


def all_modules() -> list[str]:
    files = sorted((HOME / PACKAGE).rglob("*.py"))
    names = [".".join(file.relative_to(HOME).with_suffix("").parts) for file in files]
    return [name.removesuffix(".__init__") for name in names]


def codes(config: Config, jobs: list[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """A hash of the code of each job."""
    return {job: code(config.job(*job)) for job in jobs}


def edited(config: Config, file: Path, before: dict[tuple[str, str], str]) -> set[tuple[str, str]]:
    """The jobs that an edit of a file changes, of those whose code is known without it."""
    content = file.read_text()
    file.write_text(content + "\nEDITED = 1\n")
    after = codes(config, list(before))
    file.write_text(content)
    return {job for job in before if before[job] != after[job]}


def test_an_edited_module_changes_exactly_the_jobs_that_reach_it(
    same_files: Path, smoke: Config
) -> None:
    reached = {job: code_by_module(smoke.job(*job)) for job in SMOKE_JOBS}
    assert set().union(*reached.values()) & STOPS.keys() == set()
    before = codes(smoke, SMOKE_JOBS)
    others = []
    for module in all_modules():
        path = same_files.parent / Path(*module.split("."))
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        expected = {job for job in SMOKE_JOBS if module in reached[job]}
        if expected:
            assert edited(smoke, file, before) == expected, module
        else:
            others.append(file)
    assert codes(smoke, SMOKE_JOBS) == before
    for file in others:  # at once, as none of them may change anything
        file.write_text(file.read_text() + "\nEDITED = 1\n")
    assert codes(smoke, SMOKE_JOBS) == before


@pytest.mark.parametrize(
    ("module", "rules"),
    [
        (
            "runtime/device.py",
            {"train", "sample", "merge_samples", "features", "merge_features"},
        ),
        ("runtime/machine_state.py", {"train", "sample", "merge_samples"}),
        ("runtime/batch_times.py", {"sample", "merge_samples"}),
        ("records/record.py", {rule for rule, _ in SMOKE_JOBS}),
        ("report/plots.py", {"plots"}),
        ("report/pareto.py", {"tables", "plots", "site"}),
        ("models/networks/unet.py", {"train", "sample", "merge_samples"}),
        ("models/networks/refinenet.py", set()),
        ("models/modules/unet.py", {"train", "sample", "merge_samples"}),
        ("models/checkpoints/own.py", {"sample", "merge_samples"}),
        ("models/checkpoints/diffusers.py", set()),
        ("models/hub.py", set()),
        ("models/diffusers_config.py", set()),
        ("data/sources/celeba.py", set()),
        ("data/sources/folder.py", set()),
        ("data/sources/avatars.py", {"prepare"}),
        ("diffusion/samplers/ddpm.py", {"sample", "merge_samples"}),
        ("diffusion/samplers/heun.py", set()),
        ("diffusion/samplers/__init__.py", set()),
        ("diffusion/objective.py", {"train"}),
        ("diffusion/losses/simple.py", {"train"}),
        ("diffusion/losses/continuous.py", set()),
        ("diffusion/losses/__init__.py", set()),
        ("diffusion/processes/base.py", {"train", "sample", "merge_samples"}),
        ("diffusion/processes/discrete_vp.py", {"train", "sample", "merge_samples"}),
        ("diffusion/processes/ve.py", set()),
        ("diffusion/schedules/linear.py", {"train", "sample", "merge_samples"}),
        ("diffusion/schedules/cosine.py", set()),
        ("diffusion/schedules/__init__.py", set()),
        ("extractors/dinov2_vitl14.py", set()),
        ("extractors/networks/dinov2.py", set()),
        (
            "extractors/networks/efficientnet_lite0.py",
            {"features", "merge_features", "evaluate", "retrieve"},
        ),
        ("metrics/manifold.py", set()),
        ("metrics/precision.py", set()),
        ("metrics/kernel.py", {"evaluate", "comparison"}),
        ("metrics/memorisation.py", {"retrieve"}),
        ("runtime/training_state.py", {"train"}),
        ("storage/pictures.py", {"sample", "merge_samples", "retrieve", "site"}),
        ("stages/controls.py", {"controls"}),
        ("data/controls/blur.py", {"controls"}),
        ("report/tables.py", {"tables", "site"}),
        ("config/config.py", set()),
        ("tools/estimate.py", set()),
        ("tools/score.py", set()),
    ],
)
def test_an_edited_module_changes_what_it_can_change(
    module: str, rules: set[str], scratch: Path, smoke: Config
) -> None:
    assert {rule for rule, _ in edited(smoke, scratch / module, codes(smoke, SMOKE_JOBS))} == rules


@pytest.mark.parametrize(
    ("module", "jobs"),
    [
        ("models/networks/refinenet.py", {("train", "NCSN-geometric"), ("sample", "NCSN")}),
        ("models/networks/unet.py", {("train", "SDE-ve"), ("sample", "SDE")}),
        ("models/modules/refinenet.py", {("train", "NCSN-geometric"), ("sample", "NCSN")}),
        ("models/modules/unet.py", {("train", "SDE-ve"), ("sample", "SDE")}),
        ("diffusion/samplers/annealed_langevin.py", {("sample", "NCSN")}),
        ("diffusion/schedules/geometric.py", {("train", "NCSN-geometric"), ("sample", "NCSN")}),
        ("diffusion/schedules/ve.py", {("train", "SDE-ve"), ("sample", "SDE")}),
        ("diffusion/schedules/linear.py", set()),
        ("diffusion/processes/ve.py", {("train", "SDE-ve"), ("sample", "SDE")}),
        ("diffusion/losses/continuous.py", {("train", "SDE-ve")}),
        ("diffusion/losses/denoising_score_matching.py", {("train", "NCSN-geometric")}),
        ("diffusion/samplers/predictor_corrector.py", {("sample", "SDE")}),
        ("data/listing.py", {("gather", "other")}),
        ("data/sources/avatars.py", {("prepare", "tiny"), ("gather", "other")}),
    ],
)
def test_an_edited_part_changes_only_the_jobs_that_use_it(
    module: str, jobs: set[tuple[str, str]], scratch: Path, families: Config
) -> None:
    cells = {cell.model: cell.id for cell in families.cells}
    every = [
        ("prepare", "tiny"),
        *(("train", name) for name in families.trainings),
        ("sample", cells["NCSN"]),
        ("sample", cells["SDE"]),
        ("gather", cells["other"]),
    ]
    assert edited(families, scratch / module, codes(families, every)) == {
        (rule, cells.get(name, name)) for rule, name in jobs
    }


def test_an_edited_template_changes_the_page_that_is_made_of_it(
    scratch: Path, smoke: Config
) -> None:
    before = codes(smoke, SMOKE_JOBS)
    for name, rules in {
        "site.css": {"site"},
        "site.js": {"site"},
        "site.macros.jinja": {"site"},
        "compare.html.jinja": {"comparison"},
        "model-card.md.jinja": set(),
    }.items():
        found = edited(smoke, scratch / "report" / "templates" / name, before)
        assert {rule for rule, _ in found} == rules, name


def test_comments_docstrings_and_layout_change_nothing(scratch: Path, smoke: Config) -> None:
    before = codes(smoke, SMOKE_JOBS)
    for file in scratch.rglob("*.py"):
        content = file.read_text()
        if content.startswith('"""'):
            content = '"""Another docstring.' + content.removeprefix('"""')
        file.write_text(content.replace("\n\n\n", "\n\n\n\n# a comment\n") + "\n# edited\n")
    assert codes(smoke, SMOKE_JOBS) == before


def test_a_new_part_changes_nothing(scratch: Path, smoke: Config) -> None:
    before = codes(smoke, SMOKE_JOBS)
    packages = ("samplers", "schedules", "processes", "losses")
    for package in (
        *(f"diffusion/{name}" for name in packages),
        "metrics",
        "data/controls",
        "data/sources",
        "extractors",
        "models/networks",
        "models/checkpoints",
    ):
        (scratch / package / "new.py").write_text("NEW = 1\n")
    assert codes(smoke, SMOKE_JOBS) == before


def test_an_extractor_depends_on_its_own_facts_alone(scratch: Path, smoke: Config) -> None:
    job = ("features", "tiny")
    for module, is_its_own in (("dinov2_vitl14", False), ("efficientnet_lite0", True)):
        file = scratch / "extractors" / f"{module}.py"
        content, before = file.read_text(), code(smoke.job(*job))
        assert 'label = "FD-' in content
        file.write_text(content.replace('label = "FD-', 'label = "other '))
        assert (code(smoke.job(*job)) != before) == is_its_own


def test_every_stop_and_every_choice_is_there() -> None:
    known = set(all_modules())
    assert STOPS.keys() <= known
    for module, parts in CHOICES.items():
        path = source_file(module, [])
        assert path is not None
        parsed = parse(path.read_bytes(), module, path.name == "__init__.py")
        assert parts <= set(parsed.imports), module


def executed(call: Callable[[], object]) -> set[str]:
    """The modules of this package of which a function is called."""
    seen: set[str] = set()

    def note(frame: FrameType, event: str, argument: object) -> None:
        if frame.f_code.co_name != "<module>":  # no line of the function is asked for
            seen.add(str(frame.f_globals.get("__name__")))

    threading.settrace(note)
    sys.settrace(note)
    try:
        call()
    finally:
        sys.settrace(None)
        threading.settrace(None)
    return {name for name in seen if name.split(".")[0] == PACKAGE}


@pytest.mark.usefixtures("svg_alone")
def test_what_a_job_executes_is_what_it_depends_on(smoke: Config, tmp_path: Path) -> None:
    run = Run(tmp_path / "results" / smoke.run)
    out = Run(tmp_path / "out")
    everything = [cell.id for cell in smoke.cells]
    stages: dict[str, Callable[[], object]] = {
        "prepare": lambda: do("prepare", smoke, "tiny", run),
        "controls": lambda: do("controls", smoke, "tiny", run),
        "train": lambda: do("train", smoke, "DDPM-linear", run),
        "sample": lambda: [do("sample", smoke, name, run) for name in everything],
        "features": lambda: [
            do("features", smoke, name, run) for name in ("tiny", "controls-tiny", *everything)
        ],
        "evaluate": lambda: [do("evaluate", smoke, name, run) for name in smoke.subjects],
        "retrieve": lambda: [do("retrieve", smoke, name, run) for name in everything],
    }
    for rule, stage in stages.items():
        if rule == "sample":
            with_random_weights(smoke, run)
        jobs = everything if rule == "sample" else [NAMES.get(rule, CELL)]
        known = set().union(*(code_by_module(smoke.job(rule, name)) for name in jobs))
        known |= CHOICES.get(f"{PACKAGE}.stages.{rule}", set())
        assert executed(stage) - STOPS.keys() <= known, rule
    for name in smoke.subjects.keys() - set(everything):
        do("retrieve", smoke, name, run)
    writers = {"tables": write_tables, "plots": write_plots, "site": write_site}
    for rule, write in writers.items():
        written = executed(functools.partial(write, run, REFERENCE, out))
        assert written - STOPS.keys() <= set(code_by_module(smoke.job(rule))), rule


def write_mine(folder: Path) -> None:
    (folder / "mine.py").write_text(MINE)
    (folder / "mine_parts.py").write_text(PARTS)


@pytest.fixture
def custom(smoke: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """A network of the user's own, in a folder that is named as the config's would be."""
    content = smoke.model_dump(mode="json")
    content["networks"]["net"] = {"kind": "custom", "factory": "mine:network"}
    write_mine(tmp_path)
    monkeypatch.setenv(closure.MODULES, str(tmp_path))
    return parse_config(content)


@pytest.mark.parametrize(
    ("file", "change", "reruns"),
    [
        ("mine.py", lambda text: text.replace("layer(resolution)", "layer(resolution + 1)"), True),
        ("mine_parts.py", lambda text: text.replace("3, 3, 1", "3, 3, 3, padding=1"), True),
        ("mine_parts.py", lambda text: text.replace("A layer.", "Another text.") + "# more", False),
        ("not_imported.py", lambda text: "print(1)", False),
    ],
)
def test_a_network_of_the_users_own_depends_on_its_files(
    file: str, change: Callable[[str], str], reruns: bool, custom: Config, tmp_path: Path
) -> None:
    jobs = [("train", "DDPM-linear"), ("sample", CELL), ("features", CELL), ("prepare", "tiny")]
    before = codes(custom, jobs)
    path = tmp_path / file
    path.write_text(change(path.read_text() if path.exists() else ""))
    changed = {job for job in jobs if code(custom.job(*job)) != before[job]}
    assert changed == (set(jobs[:2]) if reruns else set())


@pytest.mark.parametrize(
    ("start", "files", "reached"),
    [
        ("lab.net", {"lab/__init__.py": "SCALE = 2", "lab/net.py": ""}, ["lab", "lab.net"]),
        (
            "space.net",
            {"space/net.py": "from . import x", "space/x.py": ""},
            ["space.net", "space.x"],
        ),
        (
            "lab.net",
            {
                "lab/__init__.py": "",
                "lab/net.py": "import importlib as i\ni.import_module('.x', __package__)\n"
                "__import__('y')\ni.import_module(name)",
                "lab/x.py": "",
                "y.py": "",
            },
            ["lab", "lab.net", "lab.x", "y"],
        ),
        (
            "net",
            {
                "net.py": "import typing as t\nif not t.TYPE_CHECKING:\n import x\n"
                "if t.TYPE_CHECKING:\n import y",
                "x.py": "",
                "y.py": "",
            },
            ["net", "x"],
        ),
    ],
)
def test_all_ways_to_import_a_module_of_the_users_are_followed(
    start: str, files: dict[str, str], reached: list[str], tmp_path: Path
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert list(closure.hashes([start], [tmp_path])) == reached


def test_an_installed_package_is_one_entry_that_each_of_its_files_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site-packages" / "lab"
    package.mkdir(parents=True)
    for name in ("__init__", "net", "far"):
        (package / f"{name}.py").write_text("x = 1")
    monkeypatch.syspath_prepend(package.parent)
    before = closure.hashes(["lab.net"])
    assert list(before) == ["lab"]
    (package / "far.py").write_text("x = 2")
    closure._installed.cache_clear()  # else looked at once in a process
    assert closure.hashes(["lab.net"]) != before


def test_a_module_that_python_warns_of_is_read_without_a_word(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    (tmp_path / "net.py").write_text('x = "\\d"')
    assert list(closure.hashes(["net"], [tmp_path])) == ["net"]
    assert not list(recwarn)


def test_a_network_is_imported_from_where_its_code_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = Custom(kind="custom", factory="twice_there:network")
    for name in ("here", "beside"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "twice_there.py").write_text(
            f"from torch import nn\n\nclass {name}(nn.Identity): pass\n\nnetwork = {name}\n"
        )
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv(closure.MODULES, str(tmp_path / "beside"))
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "here")])
    network = spec.build(8)
    compared = closure.source_file("twice_there", closure.own_folders())
    assert compared == tmp_path / type(network).__name__ / "twice_there.py"


def test_a_network_that_is_nowhere_is_one_line(custom: Config, tmp_path: Path) -> None:
    (tmp_path / "mine.py").unlink()
    expected = rf"networks\.net\.factory: no module 'mine' in .*{tmp_path.name}: put mine\.py there"
    with pytest.raises(BenchmarkError, match=expected):
        code(custom.job("train", "DDPM-linear"))


@pytest.mark.parametrize("text", ["def network(:", "x = 1\0", "x = " + "+".join("1" * 9000)])
def test_a_module_that_is_no_python_is_one_line(text: str, custom: Config, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(BenchmarkError, match=r"mine\.py: not a readable Python module: \w+"):
        code(custom.job("train", "DDPM-linear"))


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_other_versions_of_python_tell_the_same_code(version: str, tmp_path: Path) -> None:
    python = next(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"), None)
    if python is None and not (python := shutil.which(f"python{version}")):
        pytest.skip(f"no Python {version} here")
    starts = [
        "benchmark.stages.train",
        "benchmark.report.site",
        "benchmark.diffusion.samplers.dpm_solver_pp",
    ]
    (tmp_path / "texts.py").write_text(TEXTS, encoding="utf-8")
    starts.append("texts")
    script = (
        f"from benchmark.core.closure import digest; print(digest({starts}, [{str(tmp_path)!r}]))"
    )
    environment = os.environ | {"PYTHONPATH": str(HOME)}
    done = subprocess.run([python, "-c", script], env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == digest(starts, [tmp_path]), done.stderr
