# The checked config and what every stage depends on. No files are made here.
import os
import shlex
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir)))

from benchmark.config import check_writable, resolved
from benchmark.config import parse as parse_config  # Snakemake has a `parse` of its own
from benchmark.errors import BenchmarkError
from benchmark.paths import HELD_OUT, PLOTS as PLOT_NAMES, RESULTS, Run
from benchmark.records import canonical_json
from benchmark.rows import RESERVED

try:
    CONFIG = parse_config(config, " + ".join(map(str, workflow.configfiles)) or "config")
    RUN = Run(RESULTS / CONFIG.run)
    check_writable(RUN.root)
except BenchmarkError as error:
    sys.exit(f"error: {error}")  # one line, where an exception would add the workflow's own lines

CELLS = [cell.id for cell in CONFIG.cells]
DATASETS = sorted({cell.dataset for cell in CONFIG.cells})
EXTRACTOR = CONFIG.evaluation.extractor

# The interpreter that runs Snakemake runs the jobs.
BENCHMARK = shlex.quote(sys.executable) + " -m benchmark"
LOG = "2> >(tee {log} >&2)"


def code(*patterns):
    """The modules of a stage. As inputs they are compared by content: a touch reruns nothing."""
    package = Path(workflow.basedir) / "benchmark"
    files = sorted(file for pattern in patterns for file in package.glob(pattern))
    return [os.path.relpath(file) for file in files]


def wants_gpu():
    """1 when jobs will run on a GPU: always off this machine, here where there is one."""
    if CONFIG.device == "auto":
        return int(not workflow.local_exec or shutil.which("nvidia-smi") is not None)
    return int(CONFIG.device != "cpu")


def share_of_cores(jobs):
    """Threads for each of `jobs` that can run side by side on this machine's cores."""
    return max(1, (workflow.cores or 1) // max(1, min(jobs, workflow.cores or 1)))


GPU = wants_gpu()
