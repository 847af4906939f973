"""What a terminal shows while Snakemake runs, and what goes into the file of its log."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import PROJECT, SMOKE

# What Snakemake does with its log, in short, and what a job prints.
PROGRAM = """
import logging, os, sys, time
from enum import Enum
from pathlib import Path
from benchmark.config.expected import expected_records
from benchmark.config.loading import load_config
from benchmark.storage.paths import Run
from benchmark.tools.live import Live

Event = Enum("Event", "RUN_INFO JOB_INFO JOB_ERROR")
logger = logging.getLogger("snakemake.logging")
logger.setLevel(logging.INFO)
terminal, file = logging.StreamHandler(), logging.FileHandler("snakemake.log")
terminal.name = "DefaultStreamHandler"
logger.addHandler(terminal), logger.addHandler(file)
view = Live(Run(Path("run")), expected_records(load_config(Path(sys.argv[1]))), lambda: False)
logger.info("Job stats: all 36", extra={"event": Event.RUN_INFO})
logger.info("said before")
view.begin(["snakemake.log"])
time.sleep(0.5)
os.system("echo a line of a job >&2; echo a path")
logger.info("rule train: a long list of files", extra={"event": Event.JOB_INFO})
logger.warning("a warning")
failed = {"event": Event.JOB_ERROR, "rule_name": "train", "rule_msg": "too long"}
failed["log"] = ["train.log (of now)"]
logger.error("Error in rule train, jobid: 3", extra=failed)
logger.error("CalledProcessError in file, line 1: Command 'of 7,628 letters'")
logger.info("Trying to restart job 3.")
view.end()
logger.info("Complete log(s): snakemake.log")
print("the ending")
"""
FIRST = "0 of 36 jobs are done, 36 left: prepare 0/1, train 0/4"
AFTER = [
    "a warning",
    "Error in rule train: error: no such luck",
    "    too long",
    "    log: train.log",
    "Trying to restart job 3.",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the log of a job, in which a run may begin."""
    (tmp_path / "train.log").write_text("train: 3/12\nerror: no such luck\n\n")
    return tmp_path


def command() -> list[str]:
    return [sys.executable, "-c", PROGRAM, str(SMOKE)]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(PROJECT), "COLUMNS": "60"}


def test_without_a_terminal_it_is_plain_lines(folder: Path) -> None:
    done = subprocess.run(
        command(), cwd=folder, env=environment(), capture_output=True, text=True, check=True
    )
    before, first, *more = done.stderr.splitlines()
    assert before == "said before"
    assert first.startswith(FIRST)
    assert more == [*AFTER, "Complete log(s): snakemake.log"]
    assert done.stdout == "the ending\n"


def test_the_file_of_the_log_has_everything(folder: Path) -> None:
    subprocess.run(command(), cwd=folder, env=environment(), capture_output=True, check=True)
    lines = (folder / "snakemake.log").read_text().splitlines()
    assert [line.split(":")[0].split(",")[0] for line in lines] == [
        *("Job stats", "said before", "a line of a job", "a path", "rule train", "a warning"),
        *("Error in rule train", "CalledProcessError in file", "Trying to restart job 3."),
        "Complete log(s)",
    ]


def test_a_terminal_is_drawn_anew_and_errors_stay(folder: Path) -> None:
    here, there = pty.openpty()
    with subprocess.Popen(
        command(), cwd=folder, env=environment(), stdout=subprocess.DEVNULL, stderr=there
    ) as process:
        os.close(there)
        shown = b""
        while True:
            try:
                part = os.read(here, 4096)
            except OSError:  # nobody has the other end any more
                break
            shown += part
        assert process.wait() == 0
    os.close(here)
    text = shown.decode().replace("\r\n", "\n").replace("\x1b[K", "")
    assert text.count(FIRST[:40]) == 2  # at the beginning, and at the end
    start, lines, rest = re.split(r"\x1b\[J\x1b\[(\d)F\x1b\[J", text, maxsplit=1)
    first = start.splitlines()[1:]
    assert len(first) == int(lines) > 1
    assert " ".join(map(str.strip, first)).endswith("retrieve 0/10")  # nothing is cut off
    assert start.startswith("said before\n0 of 36 jobs")
    assert all(len(line) < 60 for line in start.splitlines())
    assert rest.startswith("\n".join(AFTER))
    assert rest.endswith("Complete log(s): snakemake.log\n")
