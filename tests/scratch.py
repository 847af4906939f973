"""A copy of the project to which tests add a part as one new file, and in which they use it.

    scratch = Scratch(tmp_path)
    before = scratch.code("own.yaml", [("sample", CELL)])
    scratch.add("benchmark/diffusion/samplers/mine.py", MINE)
    scratch.command("sample", "own.yaml", CELL)

Everything runs in programs of its own, which import the copy and not this checkout. They are forks
of a process that has imported torch and other people's libraries.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import forks
import yaml
from checkout import lay_out

Job = tuple[str, str]  # a rule of the workflow, and the name of what it makes

# A program that prints the hashes of code.
PROGRAM = "print_code"
CODE = """
import json, sys
from pathlib import Path
from benchmark.config.dependencies import code
from benchmark.config.loading import load_config
config = load_config(Path(sys.argv[1]))
print(json.dumps([code(config.job(*job)) for job in json.loads(sys.argv[2])]))
"""


class Scratch:
    """A copy of the project, in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = lay_out(folder)
        (self.folder / f"{PROGRAM}.py").write_text(CODE)

    def config(self, name: str, content: dict[str, Any]) -> str:
        """Write a config; return its name."""
        (self.folder / name).write_text(yaml.safe_dump(content))
        return name

    def add(self, path: str, code: str) -> None:
        """Write a part into a new file."""
        assert not (self.folder / path).exists()
        (self.folder / path).write_text(code)

    def edit(self, path: str) -> None:
        """Add a line of code to a file."""
        file = self.folder / path
        file.write_text(file.read_text() + "\nEDITED = 1\n")

    def command(self, *arguments: str) -> str:
        """Run a command of the program; return what it prints."""
        return self._run("benchmark", *arguments)

    def code(self, config: str, jobs: Sequence[Job]) -> dict[Job, str]:
        """Return the hash of all code on which each of these jobs depends."""
        found = self._run(PROGRAM, config, json.dumps(list(jobs)))
        return dict(zip(jobs, json.loads(found), strict=True))

    def _run(self, program: str, *arguments: str) -> str:
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        done = forks.run(forks.STAGES, program, arguments, self.folder, environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
