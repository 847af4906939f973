"""The command line: its verbs, and how the program ends.

Modules are imported where they are used, since `--help` and the verbs that only read records need
neither torch nor a GPU.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path

from typer.main import get_command

# Importing them registers their verbs, which --help lists in this order.
# isort: off
from benchmark.cli import plan
from benchmark.cli import stages
from benchmark.cli import reports
from benchmark.cli import tools
from benchmark.cli import why
from benchmark.cli import speed

# isort: on
from benchmark.cli.options import app
from benchmark.core.closure import CHECKOUT, HOME, PACKAGE
from benchmark.core.errors import BenchmarkError
from benchmark.runtime import stopping

__all__ = ["app", "command", "main", "plan", "reports", "speed", "stages", "tools", "why"]


def main() -> None:
    """Run a verb. A user's mistake is told in one line on stderr, and the status is 2.

    When a signal ends the program, half-written files are removed, and the status is 128 plus the
    number of the signal.
    """
    stopping.handle_signals()
    try:
        _check_checkout()
        command()()
    except stopping.Stopped as stop:
        if message := str(stop):
            print(message, file=sys.stderr)
        sys.exit(stop.status)
    except BenchmarkError as error:
        sys.exit(_fail(str(error)))
    except OSError as error:
        sys.exit(_fail(f"{error.filename or 'file'}: {error.strerror or error}"))


@functools.cache
def command() -> Callable[[], object]:
    """Return the function that reads the command line and runs its verb."""
    return get_command(app)


def _check_checkout() -> None:
    """Refuse a job of a workflow that belongs to another checkout than the code that runs here.

    Raises:
        BenchmarkError: the job belongs to another checkout.
    """
    asked = os.environ.get(CHECKOUT)
    if asked and (Path(asked) / PACKAGE).resolve() != HOME / PACKAGE:
        raise BenchmarkError(
            f"{asked}: its jobs would run the code of {HOME}: uninstall the package there, or "
            "install it from this checkout"
        )


def _fail(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 2
