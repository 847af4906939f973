"""Which code a result depends on: found through imports, and compared without comments.

`hashes` starts at some modules and follows their imports, lazy ones included, through this package
and through a user's own modules. It does not enter modules that cannot change what a job writes
(`STOPS`), and does not follow imports of parts of which a job uses only some (`CHOICES`): the job
names the parts that it uses as further modules to start from. The hash of a module is that of its
syntax tree, so that comments, docstrings and layout do not change it.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmark.core.errors import BenchmarkError, one_line
from benchmark.core.parsed import Kept, Parsed, parse

PACKAGE = "benchmark"
HOME = Path(__file__).resolve().parents[2]  # the folder in which this package lies
TEMPLATES = HOME / PACKAGE / "report" / "templates"
CHECKOUT = "BENCHMARK_HOME"  # environment variable: the checkout whose workflow runs this
MODULES = "BENCHMARK_MODULES"  # environment variable: folders of the user's modules

_CONFIG = "reads the config, and what a job takes from it is compared by value"
_JOB = "defines the fields of a job, which are compared by value"
_PARTS = "finds parts by name, and a job names the module of each part that it uses"
_REFUSES = "refuses wrong input and does not change right input"
# Modules that cannot change what a job writes, each with the reason.
STOPS = {
    "benchmark": "contains no code",
    "benchmark.config.checks": _REFUSES,
    "benchmark.config.building": _JOB,
    "benchmark.config.config": _CONFIG,
    "benchmark.config.consistency": _REFUSES,
    "benchmark.config.dependencies": "computes what is compared",
    "benchmark.config.grid": _CONFIG,
    "benchmark.config.jobs.answers": _JOB,
    "benchmark.config.jobs.base": _JOB,
    "benchmark.config.jobs.controls": _JOB,
    "benchmark.config.jobs.evaluate": _JOB,
    "benchmark.config.jobs.features": _JOB,
    "benchmark.config.jobs.gather": _JOB,
    "benchmark.config.jobs.merge": _JOB,
    "benchmark.config.jobs.prepare": _JOB,
    "benchmark.config.jobs.report": _JOB,
    "benchmark.config.jobs.retrieve": _JOB,
    "benchmark.config.jobs.sample": _JOB,
    "benchmark.config.jobs.subject": _JOB,
    "benchmark.config.jobs.train": _JOB,
    "benchmark.config.jobs.weights": _JOB,
    "benchmark.config.keys": _CONFIG,
    "benchmark.config.loading": _CONFIG,
    "benchmark.config.schema": _CONFIG,
    "benchmark.config.tasks": _CONFIG,
    "benchmark.config.training": _CONFIG,
    "benchmark.core.closure": "computes what is compared",
    "benchmark.core.errors": "defines the error of a job that fails, which writes no result",
    "benchmark.core.parsed": "computes what is compared",
    "benchmark.core.parts": _PARTS,
    "benchmark.core.progress": "only shows progress",
    "benchmark.core.strict_model": _REFUSES,
    "benchmark.data.sources": _PARTS,
    "benchmark.diffusion.losses": _PARTS,
    "benchmark.diffusion.methods": _PARTS,
    "benchmark.diffusion.operators": _PARTS,
    "benchmark.diffusion.samplers": _PARTS,
    "benchmark.diffusion.schedules": _PARTS,
    "benchmark.models.checkpoints": _PARTS,
    "benchmark.models.networks": _PARTS,
    "benchmark.runtime.gpu_leases": "chooses between equal GPUs",
    "benchmark.runtime.one_at_a_time": "keeps two processes from doing one job at the same time",
    "benchmark.runtime.stopping": "ends a job early, and the job then writes no result",
    "benchmark.runtime.warm": "only starts jobs",
    "benchmark.storage.atomic": "writes bytes without changing them",
    "benchmark.storage.downloads": "downloads files, whose hashes are checked",
    "benchmark.storage.locks": "makes processes wait for each other",
    "benchmark.storage.paths": "names paths, which the rules of the workflow state",
}
INSTALLED = {"site-packages", "dist-packages"}  # folders of packages that are not edited
# Imports that are not followed, by the module that contains them: not each of its jobs uses them,
# and the jobs that do name them.
CHOICES = {
    "benchmark.records.record": {"benchmark.storage.run_files"},
    "benchmark.stages.merge": {"benchmark.storage.pictures"},
    "benchmark.stages.prepare": {"benchmark.data.listing"},
}


def hashes(starts: Iterable[str], folders: Sequence[Path] = ()) -> dict[str, str]:
    """Return the hash of each module that the modules `starts` import, directly or not, by name.

    Args:
        starts: names of the modules to start from, which are hashed too.
        folders: folders in which modules outside this package are searched for, in this order,
            before those in which Python searches.

    Raises:
        BenchmarkError: a module is not readable Python.
    """
    found: dict[str, str] = {}
    starts = list(starts)
    roots = {name.partition(".")[0] for name in starts}
    everywhere = [*folders, *map(Path, sys.path)]
    waiting = [*starts, *_parents(starts)]
    seen = set(STOPS)
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        root = name.partition(".")[0]
        path = source_file(name, everywhere if root in roots else folders)
        if path is None:
            continue
        if source_file(name, folders) is None and INSTALLED.intersection(path.parts):
            found[root] = _installed(source_file(root, everywhere) or path)
            continue
        found[name], reached = _read(path, name)
        waiting += reached
    _kept().keep()
    return dict(sorted(found.items()))


def digest(starts: Iterable[str], folders: Sequence[Path] = ()) -> str:
    """Return one hash of all these modules; see `hashes`."""
    text = "\n".join(f"{name} {code}" for name, code in hashes(starts, folders).items())
    return hashlib.sha256(text.encode()).hexdigest()


def own_folders() -> list[Path]:
    """Return the folders of a user's modules: the current one, and those of the config files."""
    named = os.environ.get(MODULES, "")
    folders = [Path.cwd(), *map(Path, filter(None, named.split(os.pathsep)))]
    return list(dict.fromkeys(folders))


def source_file(module: str, folders: Iterable[Path]) -> Path | None:
    """Return the source file of a module from the first folder that has it, or None."""
    place = module.replace(".", "/")
    for folder in [HOME] if module.partition(".")[0] == PACKAGE else folders:
        for path in (f"{folder}/{place}/__init__.py", f"{folder}/{place}.py"):
            if os.path.isfile(path):  # noqa: PTH113  thousands of them: pathlib is slow
                return Path(path)
    return None


@functools.cache
def _installed(path: Path) -> str:
    """Return one hash of all sources of an installed package, whose imports are not followed.

    Args:
        path: __init__.py of the package, or its only module.
    """
    sources = sorted(path.parent.rglob("*.py")) if path.name == "__init__.py" else [path]
    digest = hashlib.sha256()
    for source in sources:
        digest.update(os.fsencode(source.relative_to(path.parent)) + b"\0")
        digest.update(source.read_bytes())
    return digest.hexdigest()


def _read(path: Path, module: str) -> tuple[str, list[str]]:
    """Return the hash of a module, and what it imports."""
    try:
        source, is_package = path.read_bytes(), path.name == "__init__.py"
        kept = _kept().parsed if module.partition(".")[0] == PACKAGE else _parsed_once
        parsed = kept(source, module, is_package)
    except (OSError, SyntaxError, ValueError, RecursionError) as error:
        line = one_line(error)
        raise BenchmarkError(f"{path}: not a readable Python module: {line}") from None
    code = parsed.code
    for template in sorted(_templates(parsed.texts)) if parsed.texts else ():
        code += hashlib.sha256((TEMPLATES / template).read_bytes()).hexdigest()
    skipped = CHOICES.get(module, set())
    imports = {*parsed.imports, *_parents(parsed.imports)}
    return code, sorted(name for name in imports if name not in skipped)


@functools.cache
def _kept() -> Kept:
    """Return what is kept of the modules of this package."""
    return Kept()


@functools.lru_cache(maxsize=1024)
def _parsed_once(source: bytes, module: str, is_package: bool) -> Parsed:
    """Return what the source of a user's module says."""
    return parse(source, module, is_package)


def _parents(modules: Iterable[str]) -> set[str]:
    """Return the packages that contain modules of the user: Python imports these packages too."""
    users = (name for name in modules if name.partition(".")[0] != PACKAGE)
    return {name[: dot.start()] for name in users for dot in re.finditer(r"\.", name)}


def _templates(texts: Iterable[str]) -> set[str]:
    """Return the templates whose names are among `texts`, and those that these include."""
    names = {path.name for path in TEMPLATES.iterdir()}
    found: set[str] = set()
    waiting = names.intersection(texts)
    while waiting:
        found |= waiting
        content = "".join((TEMPLATES / name).read_text(encoding="utf-8") for name in waiting)
        waiting = {name for name in names if name in content} - found
    return found
