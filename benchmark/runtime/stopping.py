"""How a program ends before its work is done: a signal tells it to, or its time is nearly up."""

from __future__ import annotations

import contextlib
import math
import signal
import time
from collections.abc import Callable, Iterator
from types import FrameType

AGAIN = 75  # EX_TEMPFAIL of sysexits.h: the same command, started again, goes on
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SAME = 1.0  # seconds in which a signal comes twice: terminals, SLURM and launchers pass it on
RESERVE, SHARE = 30.0, 0.1  # seconds, and share of a budget, that are not measured: see Budget


class Stopped(BaseException):
    """The program ends before its work is done, which is no error: only `main` catches it.

    Args:
        status: with which the program ends.
        message: one line for stderr; empty where all has been said.
    """

    def __init__(self, status: int, message: str = "") -> None:
        super().__init__(message)
        self.status = status


class _ReceivedSignal:
    """What signals have told this process."""

    def __init__(self) -> None:
        self.number = 0  # of the first one
        self.since = 0.0
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


def listen() -> None:
    """Have signals raise `Stopped`, by which what is half done is cleared away.

    One that this process was started to ignore, as by nohup, stays ignored.
    """
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _RECEIVED)


def is_told() -> bool:
    """Return whether a signal has told this process to end."""
    return bool(_RECEIVED.number)


def ignore() -> None:
    """Let no signal end a program that listens: its work is done but for what is written last."""
    for number in SIGNALS:
        if signal.getsignal(number) is _RECEIVED:
            signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def deferred() -> Iterator[Callable[[], int]]:
    """Only take note of a first signal inside the block; a second one raises `Stopped`.

    Yields:
        A function that returns the status with which to end, or 0 while there was no signal.
    """
    _RECEIVED.is_deferring = True
    try:
        yield lambda: 128 + _RECEIVED.number if _RECEIVED.number else 0
    finally:
        _RECEIVED.is_deferring = False


def reason(status: int) -> str:
    """Say why a program ends with this status of a `Stopped`."""
    return "the time is nearly up" if status == AGAIN else "told to stop"


class Budget:
    """The time that a program has, and what of it is needed to end well.

    The reserve is twice what the last work of each kind took, and a constant for what nothing
    measures: the scheduler's own steps before and behind this program.

    Args:
        minutes: from the start of the program to the wall; None: there is none.
        used: seconds since that start.
    """

    def __init__(self, minutes: float | None = None, used: float = 0.0) -> None:
        seconds = math.inf if minutes is None else 60 * minutes
        self._end = time.monotonic() + seconds - used
        self._constant = min(RESERVE, SHARE * seconds)
        self._last: dict[str, float] = {}

    def took(self, work: str, seconds: float) -> None:
        """Note how long the last work of a kind took."""
        self._last[work] = seconds

    def is_spent(self) -> bool:
        """Return whether to end now."""
        reserve = self._constant + 2 * math.fsum(self._last.values())
        return time.monotonic() + reserve >= self._end
