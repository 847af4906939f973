"""Pack the records, tables and pictures of a run into one file, to send or to archive."""

from __future__ import annotations

from pathlib import Path

from benchmark.core.closure import HOME
from benchmark.core.errors import BenchmarkError
from benchmark.records.record import read_records
from benchmark.report import crate
from benchmark.storage.run_files import SUFFIX, open_run, write_archive

# What a bundle contains: no weights and no arrays. The manifest of a data set names its licence and
# whom to credit.
WORKFLOW_FILE = HOME / crate.WORKFLOW
CONTENT = (
    "config-*.json",
    "data/*/manifest.json",
    "records/*/*.json",
    "tables/*.csv",
    "tables/*.md",
    "tables/*.tex",
    "plots/*.png",
    "plots/*.svg",
    "plots/*.pdf",
    "samples/*/*.png",
    "neighbours/*.png",
    "report/*",
)


def pack(run: Path, file: Path | None = None, outcome: crate.Outcome | None = None) -> Path:
    """Write a bundle of a run folder and return its path; the same files give the same bytes.

    Beside the files of the run it has the workflow, where it is at hand, and a description of all
    as a research object.

    Args:
        run: run folder. Its records are read, so that no other folder is packed.
        file: path of the bundle; by default that of the folder with `.zip`.
        outcome: how far the run came; None: unknown.

    Raises:
        BenchmarkError: the folder is no run, a record cannot be read, `file` has another suffix or
            cannot be written.
    """
    if run.is_file():
        raise BenchmarkError(f"{run}: not a folder: only a run folder is packed")
    records = read_records(run)
    folder = run.resolve()
    file = file or folder.with_name(folder.name + SUFFIX)
    if file.suffix != SUFFIX:
        raise BenchmarkError(f"{file}: a bundle is written as {SUFFIX}: give such a name")
    files = open_run(run)
    names = [name for pattern in CONTENT for name in files.matching(pattern)]
    packed = {name: files.read(name) for name in names}
    if WORKFLOW_FILE.is_file():  # not where the package alone is installed
        packed[crate.WORKFLOW] = WORKFLOW_FILE.read_bytes()
    packed[crate.NAME] = crate.metadata(records, packed, outcome)
    write_archive(file, packed)
    return file


def output_folder(run: Path, output: Path | None) -> Path:
    """Return the folder into which tables and plots of a run are written.

    This is `output` if it is given, else the run folder; for a bundle it is the folder beside the
    bundle that has its name without the suffix, unless that folder is itself a run.

    Raises:
        BenchmarkError: a run of the bundle's name lies beside it, or the bundle has no suffix.
    """
    if output is not None or not run.is_file():
        return output or run
    folder = run.with_suffix("")
    if folder == run or (folder / "records").exists():
        raise BenchmarkError(f"{run}: a bundle is not written into: name a folder by --output")
    return folder
