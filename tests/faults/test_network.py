"""A run connects to no other machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CONNECT = """
import socket
with socket.socket() as s:
    s.settimeout(0.1)
    try:
        s.connect(("192.0.2.1", 443))  # of addresses for documentation
    except OSError:
        pass
"""


@pytest.mark.slow
@pytest.mark.faults(
    "a library that would speak to someone",
    "prepare, train, sample, controls, features, evaluate, retrieve, tables, plots, site",
    "no process connects to anything but this machine, nor asks for an address",
)
@pytest.mark.usefixtures("undisturbed")
def test_a_run_opens_no_connection(connections: Path) -> None:
    assert connections.read_text() == ""
    subprocess.run([sys.executable, "-c", CONNECT], check=True)
    assert "192.0.2.1" in connections.read_text()  # it would have been noticed
    connections.write_text("")
