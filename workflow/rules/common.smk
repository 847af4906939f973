# The checked config, and the functions that the rules share. No rule makes files here.
import contextlib
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import get_args

# The checkout that has this file, wherever Snakemake was started and whichever file includes it.
HOME = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parents[1]
if not (HOME / "benchmark" / "__init__.py").is_file():
    sys.exit(
        f"error: {HOME}: no checkout on this machine: clone it, and use its Snakefile"
    )
sys.path.insert(0, str(HOME))

import benchmark

if not (HOME / "benchmark" / "__init__.py").samefile(benchmark.__file__):
    sys.exit(
        f"error: {HOME}: this process has the code of {benchmark.__path__[0]} already"
    )

from benchmark.config.dependencies import compared, hashed
from benchmark.config.expected import expected_plots, expected_records, expected_tables
from benchmark.config.loading import (
    check_writable,
    merged,
    parse_config,
    read_config,
    resolved,
)
from benchmark.config.needs import check_folders, lacking
from benchmark.config.shards import Sharded, shard_name, size_of, split
from benchmark.core.canonical import canonical_json
from benchmark.core.closure import CHECKOUT, MODULES
from benchmark.core.cores import available_cores
from benchmark.core.errors import BenchmarkError
from benchmark.records.record import read_records
from benchmark.runtime.warm import start as start_warm_processes
from benchmark.storage.atomic import write_text
from benchmark.storage.paths import (
    CLAIMS,
    ALL_CONTROLS,
    HELD_OUT,
    REFERENCE,
    RESULTS,
    Run,
)
from benchmark.tools.live import SWITCH as VIEW_SWITCH, Live


@contextlib.contextmanager
def one_line(at=""):
    """End Snakemake with one line; after an exception it would print lines of the workflow too."""
    try:
        yield
    except BenchmarkError as error:
        sys.exit(f"error: {at}{error}")


given = workflow.configfiles or workflow.overwrite_configfiles
if not given and not workflow.modifier.skip_configfile:
    # In the current folder, or else in that of the checkout.
    DEFAULT = Path("config/config.yaml")
    if not DEFAULT.is_file():
        DEFAULT = HOME / DEFAULT
    with one_line():
        read_config(
            DEFAULT
        )  # since Snakemake prints a traceback if the file is not YAML

    configfile: DEFAULT


overrides = workflow.config_settings.config
with one_line():
    if workflow.modifier.is_main_snakefile():
        content = merged(workflow.configfiles, overrides)
    else:
        content = config  # given by the workflow that uses this one as a module
    origins = [*workflow.configfiles, *(["--config"] if overrides else [])]
    CONFIG = parse_config(content, " + ".join(map(str, origins)) or "config")
    RUN = Run(RESULTS / CONFIG.run)
    check_writable(RUN.root)
    if workflow.is_main_process:
        check_folders(CONFIG, RUN)

# Jobs read the config as it was when the run was started. Its path is told by the environment: as
# an input or a parameter, any change of it would run all jobs again. What a job depends on is in
# the parameter `job` of its rule.
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

# Jobs run the code of this checkout with the interpreter that runs Snakemake. Its path is told by
# the environment: in a rule, another path would run all jobs again on another machine.
os.environ["BENCHMARK_PYTHON"] = sys.executable
os.environ["BENCHMARK_AGAINST"] = CONFIG.against or ""
os.environ[CHECKOUT] = str(HOME)
# Never the code of another checkout, even if it is installed or is in the current folder.
if (
    not workflow.deployment_settings.deployment_method
):  # shells of conda lose PYTHONPATH
    others = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    paths = [str(HOME), *(path for path in others if path and path != str(HOME))]
    os.environ.update(PYTHONPATH=os.pathsep.join(paths), PYTHONSAFEPATH="1")
# Further folders in which a user's own modules are looked for.
if workflow.is_main_process:
    folders = dict.fromkeys(
        str(Path(path).resolve().parent) for path in workflow.configfiles
    )
    os.environ[MODULES] = os.pathsep.join(folders)

SAMPLED = [cell.id for cell in CONFIG.cells if cell.sampler]
KEPT = sorted({cell.trained_as for cell in CONFIG.cells if cell.is_state})
ASKED = [cell.id for cell in CONFIG.cells if cell.task]

# How many images of a cell each job samples and embeds; None: one job does all. This follows from
# records that jobs write again, so jobs on other machines are told what was planned at the start.
if workflow.is_main_process:
    SIZES = {
        kind: {
            cell: size_of(CONFIG.job(kind, cell), CONFIG.job("sample", cell), RUN)
            for cell in SAMPLED
        }
        for kind in get_args(Sharded)
    }
    os.environ["BENCHMARK_SIZES"] = canonical_json(SIZES)
else:
    SIZES = json.loads(os.environ["BENCHMARK_SIZES"])

WARM_PROCESSES = (
    []
)  # they end when this process ends, whose pipes to them are then closed


envvars:
    "BENCHMARK_AGAINST",
    "BENCHMARK_CONFIG",
    "BENCHMARK_HOME",
    "BENCHMARK_MODULES",
    "BENCHMARK_PYTHON",
    "BENCHMARK_SIZES",


# A dry run needs no weights, no network and no disk space.
MISSING = lacking(CONFIG, RUN) if workflow.is_main_process else []
for line in MISSING:
    print(f"warning: {line}", file=sys.stderr)


# What the terminal shows in place of Snakemake's log, unless somebody asks for more of that, or less.
OUTPUT = workflow.output_settings
asks = OUTPUT.verbose or OUTPUT.printshellcmds or OUTPUT.quiet
VIEW = (
    Live(RUN, expected_records(CONFIG), lambda: workflow.dryrun)
    if workflow.is_main_process
    and workflow.modifier.is_main_snakefile()
    and not asks
    and os.environ.get(VIEW_SWITCH) != "0"
    else None
)


def write_config():
    """Write the config that the jobs read."""
    write_text(CONFIG_FILE, resolved(CONFIG) + "\n")


onstart:
    if MISSING:
        sys.exit("\n".join(f"error: {line}" for line in MISSING))
    write_config()
    if VIEW:
        VIEW.begin(log)
    if workflow.local_exec and not workflow.deployment_settings.deployment_method:
        WARM_PROCESSES.extend(start_warm_processes(CONFIG_FILE))


# The handler above is not called if this workflow is a module of another one. Whether jobs will run
# is unknown here, so the file is written in a dry run too.
if not workflow.modifier.is_main_snakefile() and workflow.is_main_process:
    write_config()

# Jobs find their files by the config, which does not know of a bucket, nor of a prefix.
if workflow.storage_settings.default_storage_provider:
    sys.exit(
        "error: --default-storage-provider: jobs read and write files below results/ of a disk that "
        "they share, and not in a bucket: leave it out, and copy results/RUN there afterwards"
    )
MODIFIER = workflow.modifier.path_modifier
if MODIFIER.prefix or MODIFIER.modifies_prefixes:
    sys.exit(
        "error: module: prefix and replace_prefix: leave them out; `run` names the folder"
    )

CELLS = [cell.id for cell in CONFIG.cells]
GATHERED = [cell.id for cell in CONFIG.cells if not cell.sampler]
DATASETS = sorted({cell.dataset for cell in CONFIG.cells})
KINDS = [HELD_OUT, *CONFIG.evaluation.controls]
EXTRACTOR = CONFIG.evaluation.extractor


def command(arguments):
    """The shell command of a job, run by Snakemake's interpreter, with stderr copied to the log."""
    return (
        f'"$BENCHMARK_PYTHON" -m benchmark {arguments} '
        # `tee` ignores signals, which go to all processes of the job: it must write the last lines.
        "2> >(trap '' INT TERM HUP; tee {log} >&2)"
    )


def job(rule, name="", /, **more):
    """All that a job depends on besides its input files: the one parameter of its rule."""
    with one_line():
        return compared(CONFIG.job(rule, name), RESULTS, **more)


def submitted():
    """Whether jobs are submitted to other machines. Call this only after the rules were read.

    The Snakemake that runs a job there must find the same resources as the one that submits it.
    """
    planned = workflow.dryrun and workflow.resource_settings.nodes is not None
    return workflow.remote_exec or not workflow.local_exec or planned


def wants_gpu(wildcards):
    """1 if a job will run on a GPU. With `auto`: on other machines always, here if there is one."""
    if CONFIG.device == "auto":
        return int(submitted() or shutil.which("nvidia-smi") is not None)
    return int(CONFIG.device != "cpu")


def all_cores(wildcards):
    """Threads of a job that runs alone on this machine; 1 elsewhere, for the profile to replace."""
    return 1 if submitted() else workflow.resource_settings.cores or 1


def share_of_cores(jobs):
    """Threads of each of `jobs` jobs that can run at the same time on this machine."""

    def threads(wildcards):
        cores = all_cores(wildcards)
        return cores // max(1, min(jobs, cores))

    return threads


def gpus(resources):
    """The number of GPUs of a job, which the resource `gpu` or SLURM's `gres` asks for."""
    gres = str(resources.get("gres", ""))
    if gres.split(":")[0] == "gpu":
        count = gres.split(":")[-1]
        return int(count) if count.isdecimal() else 1
    return resources.gpu


def minutes(resources):
    """The option that tells a job its time limit, if a profile or the command line sets one."""
    runtime = resources.get("runtime")
    return f"--minutes {runtime}" if runtime else ""


def images_of(name):
    """The file of the images of a data set, of a cell or of all controls."""
    return RUN.images(name) if name in DATASETS else RUN.samples(name)


def weights_of(cell):
    """The files of the weights of a cell's network, if this run trains it, and classifier."""
    place = RUN.kept if cell.is_state else RUN.weights
    trained = [place(cell.trained_as)] if cell.trained_as else []
    return [*trained, *([RUN.weights(cell.guide)] if cell.guide else [])]


def labels_for(cell):
    """The file that tells how frequent classes are, of which samples are asked, if there are any."""
    return RUN.manifest(cell.dataset) if CONFIG.data[cell.dataset].classes() else []


def questions_of(cell):
    """The files of the images about which a cell is asked, if it has a task."""
    if cell.id not in ASKED:
        return []
    return [RUN.images(cell.dataset), RUN.manifest(cell.dataset)]


def controls_of(dataset):
    """The name of the array of a data set's controls, if any are made."""
    return [CONFIG.controls_of(dataset)] if CONFIG.evaluation.controls else []


def features_of(dataset, *names):
    """The files of features of cells or controls, and of their data set, which comes first."""
    return [RUN.features(EXTRACTOR, name) for name in (dataset, *names)]


def one_of(names):
    """The regular expression that matches only these names."""
    return "|".join(map(re.escape, names)) or "(?!)"


def other_run():
    """The run that this one is compared with: both names, and the hash of its records or bundle."""
    if CONFIG.against is None:
        sys.exit(
            "error: compare: with which run? add --config against=results/OTHER, or a bundle"
        )
    from benchmark.report.compare import labels  # planning a run alone does not need it

    other = Path(CONFIG.against)
    with one_line():
        names = labels([other, RUN.root])
        read_records(other)
    records = sorted(
        str(path.relative_to(other)) for path in other.glob("records/*/*.json")
    )
    place = (other, records) if other.is_dir() else (other.parent, [other.name])
    return {"names": names, "records": hashed(place[0], tuple(place[1]), RESULTS)}


wildcard_constraints:
    cell=one_of(CELLS),
    part=r"\d+-\d+",
    dataset=one_of(DATASETS),
    suffix="md|html|json",


# Priorities. Jobs that hold all cores come first, then long ones on some of them, so that the many
# short ones fill the cores while the last long ones end.
FIRST, NEXT = 2000, 1000
MERGED = (
    FIRST + 1
)  # before further shards, to free the disk space of those that are merged
ENVIRONMENT = HOME / "environment.yml"


def shards_of(kind, cell):
    """The folders of the shards of a cell, which exist until they are merged."""
    batch = {"sample": CONFIG.sampling_batch, "features": CONFIG.feature_batch}[kind]
    parts = split(CONFIG.cell(cell).samples, batch, SIZES[kind][cell])
    return [RUN.shard(kind, cell, shard_name(part)).root for part in parts]


# Cells with several shards; everything else is made by one job.
SHARDED = {
    kind: [cell for cell in SAMPLED if len(shards_of(kind, cell)) > 1]
    for kind in get_args(Sharded)
}
SAMPLED_WHOLE = sorted({*SAMPLED} - {*SHARDED["sample"]})
EMBEDDED_WHOLE = [
    *DATASETS,
    *map(CONFIG.controls_of, DATASETS),
    *sorted({*CELLS} - {*SHARDED["features"]}),
]


def print_ending():
    """Print where to look, the best settings and the verdicts, once the tables are made."""
    if VIEW:
        VIEW.end()
    if all(path.is_file() for path in TABLES):
        from benchmark.report.ending import ending

        width = shutil.get_terminal_size().columns
        print("", *ending(RUN, REFERENCE, width, MOST_SETTINGS), sep="\n", flush=True)
