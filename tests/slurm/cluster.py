"""A SLURM cluster of one node with a pretended GPU, on this machine's loopback alone.

    python tests/slurm/cluster.py COMMAND...

starts it, runs the command on it and stops it. It needs root and Debian's packages `slurmctld`,
`slurmd`, `slurm-client` and `munge`. All its files lie in a new folder; its ports are free ones, so
that several clusters can run side by side. Its daemons end with the process that started them.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol")
PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"
PATIENCE = 30  # seconds within which a daemon answers

SLURM_CONF = """
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
MpiDefault=none
SwitchType=switch/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=bf_interval=1,sched_interval=1,sched_min_interval=0
SlurmdParameters=config_overrides
ReturnToService=2
MinJobAge=3600
KillWait=5
StateSaveLocation={folder}/controller
SlurmdSpoolDir={folder}/node
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
GresTypes=gpu
NodeName=localhost NodeAddr=127.0.0.1 NodeHostname=localhost {size}
PartitionName=cpu Nodes=ALL Default=YES MaxTime=1-0 State=UP
PartitionName=gpu Nodes=ALL MaxTime=1-0 State=UP
"""
NODE = "CPUs=32 RealMemory=128000 Gres=gpu:1 State=UNKNOWN"  # pretended, as no job uses it all
GRES_CONF = "NodeName=localhost Name=gpu Count=1 File=/dev/null\n"
# Snakemake's jobs start an inner srun without the variable that names our slurm.conf.
SRUN = '#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {srun} "$@"\n'


def missing() -> str | None:
    """Say why no cluster can be started here; None where one can."""
    if os.geteuid() != 0:
        return "a SLURM cluster can be started by root alone"
    absent = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]
    return f"SLURM is not installed: no {', '.join(absent)}" if absent else None


@contextmanager
def cluster() -> Iterator[dict[str, str]]:
    """Yield the environment of a process that uses the cluster; stop it at the end of the block."""
    with ExitStack() as stack:
        # Short, since the name of a socket can have no more than 108 letters.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="slurm-")))
        environment = _configure(folder)
        stack.enter_context(
            _daemon(
                ["munged", "--foreground", *_munge(folder)],
                ["munge", "--no-input", "--socket", f"{folder}/munge.sock"],
                environment,
            )
        )
        stack.enter_context(
            _daemon(["slurmctld", "-D", "-c"], ["scontrol", "ping"], environment, _is_up)
        )
        stack.enter_context(
            _daemon(["slurmd", "-D", "-N", "localhost"], ["sinfo", "-ho", "%T"], environment, _idle)
        )
        stack.callback(_cancel_all, environment)
        yield environment


def _configure(folder: Path) -> dict[str, str]:
    controller, node = _free_ports(2)
    folder.chmod(0o711)  # as munged asks for
    (folder / "controller").mkdir()
    (folder / "node").mkdir()
    (folder / "bin").mkdir()
    content = SLURM_CONF.format(folder=folder, controller=controller, node=node, size=NODE)
    (folder / "slurm.conf").write_text(content)
    (folder / "gres.conf").write_text(GRES_CONF)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    srun = folder / "bin" / "srun"
    srun.write_text(SRUN.format(folder=folder, srun=shutil.which("srun", path=PATH)))
    srun.chmod(0o755)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("SLURM_")}
    return inherited | {"SLURM_CONF": f"{folder}/slurm.conf", "PATH": f"{folder}/bin:{PATH}"}


def _munge(folder: Path) -> list[str]:
    names = {"key": "key", "socket": "sock", "pid": "pid", "log": "log", "seed": "seed"}
    return [
        f"--{option if option == 'socket' else option + '-file'}={folder}/munge.{suffix}"
        for option, suffix in names.items()
    ]


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _is_up(answer: str) -> bool:
    return "UP" in answer


def _idle(answer: str) -> bool:
    return answer.split() == ["idle"]


@contextmanager
def _daemon(
    command: list[str],
    question: list[str],
    environment: dict[str, str],
    good: Callable[[str], bool] = bool,
) -> Iterator[None]:
    """Run a daemon for the block, which begins once it answers well."""
    tied = ["setpriv", "--pdeathsig", "TERM", *command]
    log = Path(environment["SLURM_CONF"]).with_name(f"{command[0]}.out")
    with log.open("wb") as out:
        process = subprocess.Popen(
            tied, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        try:
            _wait_for(command[0], lambda: good(_ask(question, environment)))
        except TimeoutError as error:
            raise TimeoutError(f"{error}: {log.read_text()[-2000:]}") from None
        yield
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _ask(question: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(question, env=environment, capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else ""


def _wait_for(what: str, condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: no answer in {PATIENCE} seconds")
        time.sleep(0.1)


def _cancel_all(environment: dict[str, str]) -> None:
    subprocess.run(["scancel", "--user", getpass.getuser()], env=environment, capture_output=True)
    _wait_for("scancel", lambda: not _ask(["squeue", "--noheader"], environment))


if __name__ == "__main__":
    if reason := missing():
        sys.exit(f"error: {reason}")
    with cluster() as found:
        status = subprocess.run(sys.argv[1:], env=found).returncode
    sys.exit(status)
