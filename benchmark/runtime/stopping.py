"""How a program ends before its work is done: at a signal, or when its time is nearly over."""

from __future__ import annotations

import contextlib
import math
import signal
import time
from collections.abc import Callable, Iterator
from types import FrameType

EXIT_RUN_AGAIN = 75  # EX_TEMPFAIL of sysexits.h: the same command, run again, continues the work
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Terminals, SLURM and launchers pass a signal on, so that it may come twice. Within so many seconds
# it counts as one.
_SAME = 1.0
# What `Budget` reserves for what nothing measures: so many seconds, or a share of a short budget.
RESERVE, RESERVE_SHARE = 30.0, 0.1


class Stopped(BaseException):
    """Ends the program before its work is done. This is not an error, so only `main` catches it.

    Args:
        status: exit status of the program.
        message: line for stderr; empty if one has been printed already.
    """

    def __init__(self, status: int, message: str = "") -> None:
        super().__init__(message)
        self.status = status


class _ReceivedSignal:
    """The handler of signals, which keeps the first one that this process has received."""

    def __init__(self) -> None:
        self.number = 0  # of the first signal; 0: none was received
        self.since = 0.0  # when the first signal was received
        self.is_deferring = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.number:
            if time.monotonic() - self.since < _SAME:
                return
        else:
            self.number, self.since = number, time.monotonic()
            if self.is_deferring:
                return
        raise Stopped(128 + number, f"stopped by {signal.Signals(number).name}")


_RECEIVED = _ReceivedSignal()


def handle_signals() -> None:
    """Let signals raise `Stopped`, so that half-written files are removed on the way out.

    A signal that this process was started to ignore, as by nohup, stays ignored.
    """
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _RECEIVED)


def was_signalled() -> bool:
    """Return whether this process has received a signal that tells it to end."""
    return bool(_RECEIVED.number)


def ignore_signals() -> None:
    """Ignore signals from now on: the work is done, and only its results remain to be written."""
    for number in SIGNALS:
        if signal.getsignal(number) is _RECEIVED:
            signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def deferred_signals() -> Iterator[Callable[[], int]]:
    """Inside the block, only keep a first signal; a second one raises `Stopped`.

    Yields:
        A function that returns the exit status of the signal, or 0 while there was none.
    """
    _RECEIVED.is_deferring = True
    try:
        yield lambda: 128 + _RECEIVED.number if _RECEIVED.number else 0
    finally:
        _RECEIVED.is_deferring = False


def stop_reason(status: int) -> str:
    """Return in words why a program stops with this exit status."""
    return "the time is nearly up" if status == EXIT_RUN_AGAIN else "told to stop"


class Budget:
    """The time that a program may take, of which a reserve is kept to end in order.

    The reserve is twice the last duration of each kind of work, and a constant for what nothing
    measures: what the scheduler does before and after this program.

    Args:
        minutes: the time limit, from the start of the program; None: there is none.
        used: seconds since the start of the program.
    """

    def __init__(self, minutes: float | None = None, used: float = 0.0) -> None:
        seconds = math.inf if minutes is None else 60 * minutes
        self._end = time.monotonic() + seconds - used
        self._constant = min(RESERVE, RESERVE_SHARE * seconds)
        self._last: dict[str, float] = {}

    def record_duration(self, work: str, seconds: float) -> None:
        """Keep how many seconds the last work of a kind took."""
        self._last[work] = seconds

    def is_spent(self) -> bool:
        """Return whether only the reserve is left, so that the program must end now."""
        reserve = self._constant + 2 * math.fsum(self._last.values())
        return time.monotonic() + reserve >= self._end
