"""Warm processes of a local run: what jobs import is imported once, and each job is a fork of it.

The workflow calls `start`. A job's command line, `python -m benchmark VERB ...`, calls `hand_over`,
which passes the job to the warm process and waits for its end; where there is none, as on a cluster
or by hand, the command does the job itself, with the same result.
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
# The verbs of each warm process. Faiss and torch in one process can crash through their two OpenMP
# runtimes, so that there are two.
SERVED = {
    "torch": ("train", "sample", "features"),
    "arrays": ("prepare", "gather", "merge", "controls", "evaluate", "retrieve", "tables", "plots"),
}
# What most of these jobs import only when they come to need it.
NEEDED_LATER = {
    "torch": (
        "torch._dynamo",
        "benchmark.models.modules.unet",
    ),  # the first is part of every optimiser
    "arrays": ("scipy.cluster.vq", "scipy.ndimage", "scipy.special"),
}
# The allocator of pyarrow, which pandas imports, would start a thread that gives memory back.
NO_ALLOCATOR_THREAD = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}
SHORT = "/tmp"  # where sockets lie if their path in TMPDIR would be too long
FOLDER = "BENCHMARK_SERVERS"  # environment variable: the folder of the sockets
# A library starts its threads when it is loaded, and only a process of one thread can be forked.
# torch sets their number again in each job.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SIZE, STATUS = struct.Struct("!Q"), struct.Struct("!i")
ACCEPTED = b"+"
CODE = str(Path(__file__).resolve())  # of which checkout


def start(config: Path) -> list[subprocess.Popen[bytes]]:
    """Start the warm processes; they end with the last job once this process has ended.

    They read the config of the jobs, since what checking it needs is loaded once. Their sockets lie
    in a new folder that only this user can enter; the environment variable of this process and its
    children names it.

    Returns:
        The processes; none where no socket can be made, as stderr says: each job then imports what
        it needs by itself.
    """
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
    """Start the warm processes with their sockets in a folder, which an error removes.

    Raises:
        OSError: no socket can be made there, or no process be started.
    """
    with contextlib.ExitStack() as failing, contextlib.ExitStack() as listeners:
        failing.callback(shutil.rmtree, folder, ignore_errors=True)
        found = {}
        for name in SERVED:
            found[name] = listeners.enter_context(socket.socket(socket.AF_UNIX))
            found[name].bind(str(folder / name))
            found[name].listen()  # a job that comes before the imports are done waits
        started = [_start(folder / name, listener, config) for name, listener in found.items()]
        failing.pop_all()
    os.environ[FOLDER] = str(folder)
    return started


def _start(path: Path, listener: socket.socket, config: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            PROGRAM,
            str(path),
            str(listener.fileno()),
            str(config),
        ],
        env=os.environ | ONE_THREAD | NO_ALLOCATOR_THREAD,
        pass_fds=[listener.fileno()],
        stdin=subprocess.PIPE,  # its end tells that this process has ended
        start_new_session=True,  # Ctrl-C is for the jobs, which pass it on
    )


class _Job(NamedTuple):
    """What a warm process needs to know to do the job of a command line."""

    arguments: list[str]
    folder: str
    environment: dict[str, str]
    pid: int  # of the process that asks
    code: str  # that it has imported: see `CODE`

    def run(self, main: Callable[[], None]) -> NoReturn:
        """Do the job in this process, which becomes as the one that asked, and end it.

        Args:
            main: reads a command line and does what it says.
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
        # Taking down all that was imported takes long, and verbs close what they open.
        os._exit(status)


def _status(main: Callable[[], None]) -> int:
    """Run a program and return the status with which Python would end it."""
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
    """Exit with the status of this program's job once a warm process has done it.

    Returns:
        Only where no warm process takes the job, which this process must do then.
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
    verb = sys.argv[1] if len(sys.argv) > 1 else ""
    name = next((name for name, verbs in SERVED.items() if verb in verbs), None)
    if name is None or FOLDER not in os.environ:
        return None
    # torch is told its number of threads by the job, other libraries when they are loaded
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
    """Exit, or be killed by the same signal, as the job was."""
    if len(reply) < STATUS.size:
        sys.exit("error: the warm process of this job has ended: run the command again")
    [status] = STATUS.unpack(reply)
    if status < 0:
        with contextlib.suppress(OSError):  # SIGKILL has no handler
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)


class Server:
    """Forks a child for each job, passes signals on to it, and its status back.

    Args:
        listener: where jobs are asked for.
        lifeline: a file that ends with the process that started this one.
    """

    def __init__(self, listener: socket.socket, lifeline: int) -> None:
        self.listener = listener
        self.lifeline = lifeline
        self.woken, self._waker = socket.socketpair()
        self._waker.setblocking(False)
        self.pids: set[int] = set()
        self.asking: dict[socket.socket, int] = {}  # who waits for which of the children

    def serve(self) -> _Job | None:
        """Serve until the lifeline ends; return a job in each child, in the server None."""
        signal.set_wakeup_fd(self._waker.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        waiting: list[socket.socket | int] = [self.lifeline, self.listener]
        while waiting or self.pids:
            ready, _, _ = select.select([self.woken, *waiting, *self.asking], [], [])
            for source in ready:
                if source == self.lifeline:
                    waiting = []
                elif source is self.woken:
                    self.woken.recv(4096)
                    self._reap()
                elif source is self.listener:
                    if job := self._accept():
                        return job
                elif source in self.asking:
                    self._pass_on(source)
        return None

    def _accept(self) -> _Job | None:
        """Fork for one job; return it in the child."""
        connection, _ = self.listener.accept()
        job, files = _receive(connection)
        pid = _fork() if job and job.code == CODE else None  # others have code of their own
        if pid == 0:
            connection.close()
            self._leave(files)
            return job
        for file in files:
            os.close(file)
        if pid:
            self.pids.add(pid)
            self.asking[connection] = pid
            with contextlib.suppress(OSError):  # who asked is gone: the next look will tell
                connection.sendall(ACCEPTED)
        return None

    def _leave(self, files: list[int]) -> None:
        """Be no server: a group of its own, the files of the one who asked, usual signals."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setpgid(0, 0)
        for own in (self.listener, self.woken, self._waker, *self.asking):
            own.close()
        for target, file in enumerate(files):
            os.dup2(file, target)
            os.close(file)

    def _pass_on(self, connection: socket.socket) -> None:
        """Send the child the signal that the one who asked got; the last one is its end."""
        number = _byte(connection)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.asking[connection], number[0] if number else signal.SIGTERM)
        if not number:
            del self.asking[connection]
            connection.close()

    def _reap(self) -> None:
        """Tell those who wait how their jobs have ended."""
        ended = {}
        for pid in self.pids:
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                ended[pid] = os.waitstatus_to_exitcode(status)
        self.pids -= ended.keys()
        for connection, pid in list(self.asking.items()):
            if pid in ended:
                with contextlib.suppress(OSError):
                    connection.sendall(STATUS.pack(ended[pid]))
                connection.close()
                del self.asking[connection]


def _fork() -> int | None:
    """Fork, or return None where no further process can be made: who asked does the job then."""
    try:
        return os.fork()
    except OSError as error:
        print(f"warning: a job starts by itself, which takes longer: {error}", file=sys.stderr)
        return None


def _receive(connection: socket.socket) -> tuple[_Job | None, list[int]]:
    """Return the job that is asked for, if it comes whole, and the standard files for it."""
    files: list[int] = []
    try:
        header, files, _, _ = socket.recv_fds(connection, SIZE.size, 3)
        with connection.makefile("rb") as stream:
            message = stream.read(SIZE.unpack(header)[0])
        return _Job(**json.loads(message)), files
    except (OSError, ValueError, struct.error):  # who asked has ended meanwhile
        return None, files


def _byte(connection: socket.socket) -> bytes:
    try:
        return connection.recv(1)
    except OSError:
        return b""
