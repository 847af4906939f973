# The checked config and what every stage depends on. No files are made here.
import json
import os
import re
import shlex
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir)))

from benchmark.atomic import write_text
from benchmark.compare import labels
from benchmark.config import check_writable, merged, resolved
from benchmark.config import parse as parse_config  # Snakemake has a `parse` of its own
from benchmark.cores import available_cores
from benchmark.data.folder import stamp
from benchmark.errors import BenchmarkError
from benchmark.models.specs import local_files
from benchmark.needs import check_folders, lacking
from benchmark.paths import (
    CLAIMS,
    CONTROLS,
    HELD_OUT,
    PLOTS as PLOT_NAMES,
    REFERENCE,
    RESULTS,
    Run,
)
from benchmark.records import canonical_json, read_records
from benchmark.rows import RESERVED
from benchmark.server import start as start_servers
from benchmark.shards import CODE, name_of, size_of, split

try:
    CONFIG = parse_config(
        merged(workflow.configfiles, workflow.config_settings.config),
        " + ".join(map(str, workflow.configfiles)) or "config",
    )
    RUN = Run(RESULTS / CONFIG.run)
    check_writable(RUN.root)
    if workflow.is_main_process:
        check_folders(CONFIG, RUN)
except BenchmarkError as error:
    # One line, where an exception would add lines of the workflow.
    sys.exit(f"error: {error}")

# Jobs read the config as it was when the run was started. It reaches them by neither input nor
# params, which would run everything again for any change: what a job depends on is in its own.
CONFIG_FILE = RUN.config(resolved(CONFIG))
os.environ["BENCHMARK_CONFIG"] = str(CONFIG_FILE)


# Snakemake's `--cores all` knows the affinity of its process, but no quota of a container.
CORES = workflow.resource_settings.cores or 1
if workflow.is_main_process and workflow.local_exec and CORES > available_cores():
    print(
        f"warning: --cores {CORES}: the affinity of this process and the quota of its control "
        f"group leave it {available_cores()}: times will be long; say --cores {available_cores()}",
        file=sys.stderr,
    )

SAMPLED = [cell.id for cell in CONFIG.cells if cell.sampler]

# How many images of a cell each job samples, and embeds; None: one job all. That follows from
# records which jobs make anew, so those on other machines are told what was planned.
if workflow.is_main_process:
    SIZES = {
        kind: {cell: size_of(CONFIG, cell, RUN, kind) for cell in SAMPLED}
        for kind in CODE
    }
    os.environ["BENCHMARK_SIZES"] = canonical_json(SIZES)
else:
    SIZES = json.loads(os.environ["BENCHMARK_SIZES"])

SERVERS = []  # they end when the pipes that these processes hold are closed


envvars:
    "BENCHMARK_CONFIG",
    "BENCHMARK_SIZES",


# A plan alone needs no weights, network and room.
MISSING = lacking(CONFIG, RUN) if workflow.is_main_process else []
for line in MISSING:
    print(f"warning: {line}", file=sys.stderr)


onstart:
    if MISSING:
        sys.exit("\n".join(f"error: {line}" for line in MISSING))
    write_text(CONFIG_FILE, resolved(CONFIG) + "\n")
    if workflow.local_exec and not workflow.deployment_settings.deployment_method:
        SERVERS.extend(start_servers(CONFIG_FILE))


CELLS = [cell.id for cell in CONFIG.cells]
GATHERED = [cell.id for cell in CONFIG.cells if not cell.sampler]
DATASETS = sorted({cell.dataset for cell in CONFIG.cells})
KINDS = [HELD_OUT, *CONFIG.evaluation.controls]
EXTRACTOR = CONFIG.evaluation.extractor


def command(arguments):
    """The shell command of a job: the interpreter that runs Snakemake runs it, its log is kept."""
    return (
        f"{shlex.quote(sys.executable)} -m benchmark {arguments} "
        # A signal to all processes of the job must leave one that takes its last words.
        "2> >(trap '' INT TERM HUP; tee {log} >&2)"
    )


def code(*patterns):
    """The modules of a stage. As inputs they are compared by content: a touch reruns nothing."""
    package = Path(workflow.basedir) / "benchmark"
    files = sorted(file for pattern in patterns for file in package.glob(pattern))
    return [os.path.relpath(file) for file in files]


def submitted():
    """Whether jobs are submitted to other machines: known only when the rules have been read.

    The Snakemake that runs a job there must find the same resources as the one that submits it.
    """
    planned = workflow.dryrun and workflow.resource_settings.nodes is not None
    return workflow.remote_exec or not workflow.local_exec or planned


def wants_gpu(wildcards):
    """1 when jobs will run on a GPU: always off this machine, here where there is one."""
    if CONFIG.device == "auto":
        return int(submitted() or shutil.which("nvidia-smi") is not None)
    return int(CONFIG.device != "cpu")


def all_cores(wildcards):
    """Threads for a job that has this machine to itself; elsewhere the profile's set-threads."""
    return 1 if submitted() else workflow.resource_settings.cores or 1


def share_of_cores(jobs):
    """Threads for each of `jobs` that can run side by side on this machine's cores."""

    def threads(wildcards):
        cores = all_cores(wildcards)
        return cores // max(1, min(jobs, cores))

    return threads


def minutes(resources):
    """The option that tells a job its run time, where a profile or the command line sets one."""
    runtime = resources.get("runtime")
    return f"--minutes {runtime}" if runtime else ""


def images_of(name):
    """The images of a data set, of a cell or of all controls."""
    return RUN.images(name) if name in DATASETS else RUN.samples(name)


def weights_of(cell):
    """Of a network trained by this run, or of a ready one; what a hub keeps is no input."""
    if cell.trained_as:
        return RUN.weights(cell.trained_as)
    return local_files(CONFIG.models[cell.model].weights)


def stamp_of(folder):
    """Tells a change of a user's images, which are too many to be inputs."""
    try:
        return stamp(folder) if folder else None
    except BenchmarkError as error:
        sys.exit(f"error: {error}")


def controls_of(dataset):
    """The images, or features, of a data set's made controls: one array, if any are made."""
    return [CONFIG.controls_of(dataset)] if CONFIG.evaluation.controls else []


def features_of(dataset, *names):
    """Of cells or controls, and of the images of the data set that they are judged against."""
    return [RUN.features(EXTRACTOR, name) for name in (dataset, *names)]


def specs_of(name):
    """What the figures of a cell, or of all controls, depend on besides images."""
    return [CONFIG.evaluate_spec(subject) for subject in CONFIG.judged(name)]


def one_of(names):
    """The pattern that these names alone match."""
    return "|".join(map(re.escape, names)) or "(?!)"


def other_run():
    """The records, or the bundle, of the run that this one is compared with."""
    if CONFIG.against is None:
        sys.exit(
            "error: compare: with which run? add --config against=results/OTHER, or a bundle"
        )
    other = Path(CONFIG.against)
    try:
        labels([other, RUN.root])
        read_records(other)
    except BenchmarkError as error:
        sys.exit(f"error: {error}")
    return sorted(other.glob("records/*/*.json")) if other.is_dir() else other


wildcard_constraints:
    cell=one_of(CELLS),
    part=r"\d+-\d+",
    dataset=one_of(DATASETS),
    suffix="md|html|json",


# Jobs that hold all cores come first, then long ones on some of them: the many short ones that are
# left fill the cores while the last long ones end.
FIRST, NEXT = 2000, 1000
MERGED = FIRST + 1  # before further shards, which take up as much room again
ENVIRONMENT = Path(workflow.basedir) / "environment.yml"


def shards_of(kind, cell):
    """The folders in which the parts of a cell wait until they are merged."""
    batch = {"sample": CONFIG.sampling_batch, "features": CONFIG.feature_batch}[kind]
    parts = split(CONFIG.cell(cell).samples, batch, SIZES[kind][cell])
    return [RUN.shard(kind, cell, name_of(part)).root for part in parts]


# Cells of which several jobs each make a part; of all else one job makes all.
SHARDED = {
    kind: [cell for cell in SAMPLED if len(shards_of(kind, cell)) > 1] for kind in CODE
}
SAMPLED_WHOLE = sorted({*SAMPLED} - {*SHARDED["sample"]})
EMBEDDED_WHOLE = [
    *DATASETS,
    *map(CONFIG.controls_of, DATASETS),
    *sorted({*CELLS} - {*SHARDED["features"]}),
]
