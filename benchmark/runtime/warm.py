"""Warm processes of a local run, which have imported what jobs need; each job is a fork of one.

The workflow calls `start`. The command line of a job, `python -m benchmark VERB ...`, calls
`hand_over`, which passes the job to a warm process and waits until it has ended. Where there is no
warm process, as on a cluster or by hand, the command does the job itself, with the same result.
docs/pipeline.md tells what the warm processes save.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

PROGRAM = "benchmark.cli.serve"
# The verbs of each warm process. There are two, since Faiss and torch in one process can crash
# through their two OpenMP runtimes.
SERVED = {
    "torch": ("train", "classifier", "sample", "features", "answers", "likelihood"),
    "arrays": ("prepare", "gather", "merge", "controls", "evaluate", "retrieve", "tables", "plots"),
}
# What most of these jobs import only when they need it; torch._dynamo is part of every optimiser.
NEEDED_LATER = {
    "torch": ("torch._dynamo", "benchmark.models.modules.unet"),
    "arrays": ("scipy.cluster.vq", "scipy.ndimage", "scipy.special"),
}
# The allocator of pyarrow, which pandas imports, would start a thread that returns memory.
NO_ALLOCATOR_THREAD = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}
SHORT = "/tmp"  # the folder for sockets if their path in TMPDIR would be too long
FOLDER = "BENCHMARK_SERVERS"  # environment variable: the folder of the sockets
SWITCH = "BENCHMARK_WARM"  # environment variable: with the value 0, no warm process is started
# Libraries start their threads when they are loaded, and only a process of one thread can be forked
# safely. In each job, torch sets its number of threads again.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SIZE, STATUS = struct.Struct("!Q"), struct.Struct("!i")
ACCEPTED = b"+"
CODE = str(Path(__file__).resolve())  # tells checkouts apart


def start(config: Path) -> list[subprocess.Popen[bytes]]:
    """Start the warm processes. They end with their last job once this process has ended.

    Their sockets lie in a new folder that only this user can enter. The environment variable
    `FOLDER` names it to the jobs, which this process starts.

    Args:
        config: the config of the jobs; the warm processes read it to import what its check needs.

    Returns:
        The processes. There are none if the environment variable `SWITCH` is 0, or if no socket can
        be made, of which a warning on stderr tells: each job imports what it needs by itself then.
    """
    if os.environ.get(SWITCH) == "0":
        return []
    reasons = []
    # The path of a socket has about 100 bytes at most, which one in a long TMPDIR exceeds.
    for parent in (None, SHORT):
        try:
            return _start_in(Path(tempfile.mkdtemp(prefix="benchmark-", dir=parent)), config)
        except OSError as error:
            reasons.append(f"{parent or 'TMPDIR'}: {error}")
    print(
        f"warning: no socket can be made ({'; '.join(reasons)}): each job starts by itself, which "
        "takes longer: set TMPDIR to a short folder on a local disk",
        file=sys.stderr,
        flush=True,
    )
    return []


def _start_in(folder: Path, config: Path) -> list[subprocess.Popen[bytes]]:
    """Start the warm processes with their sockets in a folder, which is removed after an error.

    Raises:
        OSError: no socket can be made there, or no process can be started.
    """
    with contextlib.ExitStack() as failing, contextlib.ExitStack() as listeners:
        failing.callback(shutil.rmtree, folder, ignore_errors=True)
        found = {}
        for name in SERVED:
            found[name] = listeners.enter_context(socket.socket(socket.AF_UNIX))
            found[name].bind(str(folder / name))
            found[
                name
            ].listen()  # from now on jobs can connect; they wait until the imports are done
        started = [_start(folder / name, listener, config) for name, listener in found.items()]
        failing.pop_all()
    os.environ[FOLDER] = str(folder)
    return started


def _start(path: Path, listener: socket.socket, config: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", PROGRAM, str(path), str(listener.fileno()), str(config)],
        env=os.environ | ONE_THREAD | NO_ALLOCATOR_THREAD,
        pass_fds=[listener.fileno()],
        stdin=subprocess.PIPE,  # it is closed when this process ends
        start_new_session=True,  # Ctrl-C is to reach only the commands of jobs, which pass it on
    )


class _Job(NamedTuple):
    """A command line and its process, which is the client of a warm process.

    Attributes:
        arguments: arguments of the command line.
        folder: its current folder.
        environment: its environment variables.
        pid: process id of the client.
        code: the `CODE` of the client.
    """

    arguments: list[str]
    folder: str
    environment: dict[str, str]
    pid: int
    code: str

    def run(self, main: Callable[[], None]) -> NoReturn:
        """Do the job in this process, with the client's folder and environment, and end it.

        Args:
            main: the program, which reads the command line.
        """
        from benchmark.records.provenance import Stopwatch, created

        os.chdir(self.folder)
        os.environ.clear()
        os.environ.update(self.environment)
        tempfile.tempdir = None
        sys.argv[1:] = self.arguments
        Stopwatch.created = created(self.pid)
        status = _status(main)
        sys.stdout.flush()
        sys.stderr.flush()
        # A normal exit would unload all modules, which takes long. Verbs close the files they open.
        os._exit(status)


def _status(main: Callable[[], None]) -> int:
    """Run a program and return its exit status, as Python itself would set it."""
    try:
        main()
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
            return 1
        return end.code or 0
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def hand_over() -> None:
    """Let a warm process do the job of this command line, and exit with the job's status.

    It returns only if no warm process takes the job. Then this process must do it.
    """
    connection = _connect()
    if connection is None:
        return
    job = _Job(sys.argv[1:], str(Path.cwd()), dict(os.environ), os.getpid(), CODE)
    message = json.dumps(job._asdict()).encode(errors="surrogateescape")
    try:
        socket.send_fds(connection, [SIZE.pack(len(message))], [0, 1, 2])
        connection.sendall(message)
        if connection.recv(1) != ACCEPTED:
            return
    except OSError:
        return
    for number in PASSED_ON:
        signal.signal(number, lambda number, _: connection.sendall(bytes([number])))
    _end_as(connection.recv(STATUS.size))


def _connect() -> socket.socket | None:
    """Return a connection to the warm process for this command line; None if there is none."""
    verb = sys.argv[1] if len(sys.argv) > 1 else ""
    name = next((name for name, verbs in SERVED.items() if verb in verbs), None)
    if name is None or FOLDER not in os.environ:
        return None
    # Each job sets the threads of torch. Other libraries were loaded for one thread.
    if name != "torch" and any(os.environ.get(key) != one for key, one in ONE_THREAD.items()):
        return None
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(Path(os.environ[FOLDER]) / name))
    except OSError:
        connection.close()
        return None
    return connection


def _end_as(reply: bytes) -> None:
    """End as the job has ended: with its exit status, or by the same signal.

    Args:
        reply: the status as the warm process packs it; shorter if it ended without a reply.
    """
    if len(reply) < STATUS.size:
        sys.exit("error: the warm process of this job has ended: run the command again")
    [status] = STATUS.unpack(reply)
    if status < 0:
        with contextlib.suppress(OSError):  # SIGKILL has no handler
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)


class Server:
    """Forks a child for each job, passes signals to it, and returns its status to the client.

    Args:
        listener: socket to which clients connect.
        lifeline: descriptor of a pipe that is closed when the process that started this one ends.
    """

    def __init__(self, listener: socket.socket, lifeline: int) -> None:
        self.listener = listener
        self.lifeline = lifeline
        self.woken, self._waker = socket.socketpair()
        self._waker.setblocking(False)
        self.pids: set[int] = set()
        self.clients: dict[socket.socket, int] = {}  # from each connection to its child's pid

    def serve(self) -> _Job | None:
        """Serve until the lifeline is closed and all jobs have ended.

        Returns:
            In each child, the job that it must do. In the server, None.
        """
        signal.set_wakeup_fd(self._waker.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        waiting: list[socket.socket | int] = [self.lifeline, self.listener]
        while waiting or self.pids:
            ready, _, _ = select.select([self.woken, *waiting, *self.clients], [], [])
            for source in ready:
                if source == self.lifeline:
                    waiting = []
                elif source is self.woken:
                    self.woken.recv(4096)
                    self._reap()
                elif source is self.listener:
                    if job := self._accept():
                        return job
                elif source in self.clients:
                    self._pass_on(source)
        return None

    def _accept(self) -> _Job | None:
        """Accept one client and fork; return its job in the child, None in the server."""
        connection, _ = self.listener.accept()
        job, files = _receive(connection)
        pid = _fork() if job and job.code == CODE else None  # not for a job of another checkout
        if pid == 0:
            connection.close()
            self._stop_serving(files)
            return job
        for file in files:
            os.close(file)
        if pid:
            self.pids.add(pid)
            self.clients[connection] = pid
            with contextlib.suppress(OSError):  # if the client has gone, `_pass_on` will notice
                connection.sendall(ACCEPTED)
        return None

    def _stop_serving(self, files: list[int]) -> None:
        """Turn a forked child into a job.

        It gets a process group of its own, the default signal handlers, and the client's files.

        Args:
            files: descriptors of the client's stdin, stdout and stderr.
        """
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setpgid(0, 0)
        for own in (self.listener, self.woken, self._waker, *self.clients):
            own.close()
        for target, file in enumerate(files):
            os.dup2(file, target)
            os.close(file)

    def _pass_on(self, connection: socket.socket) -> None:
        """Send the child the signal that its client received; end the child if the client ended."""
        number = _byte(connection)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.clients[connection], number[0] if number else signal.SIGTERM)
        if not number:
            del self.clients[connection]
            connection.close()

    def _reap(self) -> None:
        """Collect the children that have ended, and send their statuses to their clients."""
        ended = {}
        for pid in self.pids:
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                ended[pid] = os.waitstatus_to_exitcode(status)
        self.pids -= ended.keys()
        for connection, pid in list(self.clients.items()):
            if pid in ended:
                with contextlib.suppress(OSError):
                    connection.sendall(STATUS.pack(ended[pid]))
                connection.close()
                del self.clients[connection]


def _fork() -> int | None:
    """Fork and return the pid; None if no process can be made, so that the client does the job."""
    try:
        return os.fork()
    except OSError as error:
        print(f"warning: a job starts by itself, which takes longer: {error}", file=sys.stderr)
        return None


def _receive(connection: socket.socket) -> tuple[_Job | None, list[int]]:
    """Return the job of a client, or None if it did not arrive whole, and its standard files."""
    files: list[int] = []
    try:
        header, files, _, _ = socket.recv_fds(connection, SIZE.size, 3)
        with connection.makefile("rb") as stream:
            message = stream.read(SIZE.unpack(header)[0])
        return _Job(**json.loads(message)), files
    except (OSError, ValueError, struct.error):  # the client has ended meanwhile
        return None, files


def _byte(connection: socket.socket) -> bytes:
    """Return one byte, or none if the other side has closed the connection."""
    try:
        return connection.recv(1)
    except OSError:
        return b""
