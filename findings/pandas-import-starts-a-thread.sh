#!/usr/bin/env bash
# pandas 3.1.1 with pyarrow 26.0.1 on Linux: `import pandas` starts a thread, so that a program that
# imports it and then forks (os.fork, multiprocessing "fork", a pre-forking server) forks a process
# of several threads (of which Python 3.12 and newer warn). It is pyarrow, which pandas imports where
# it is installed: its bundled jemalloc has a background thread. The usual MALLOC_CONF does not reach
# it, nor does the choice of another memory pool; JE_ARROW_MALLOC_CONF=background_thread:false does.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet --python 3.11 "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" pandas==3.1.1 pyarrow==26.0.1 numpy==2.4.6
export OPENBLAS_NUM_THREADS=1
cat >"$folder/threads.py" <<'PYTHON'
import os
import sys


def threads():
    names = []
    for task in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{task}/comm") as file:
            names.append(file.read().strip())
    return sorted(names)


import numpy

before = threads()
import pandas

print(f"{len(before)} thread before, then {threads()}")
assert len(before) == 1
assert len(threads()) == int(sys.argv[1])
PYTHON
python=$folder/venv/bin/python
"$python" "$folder/threads.py" 2
MALLOC_CONF=background_thread:false "$python" "$folder/threads.py" 2
ARROW_DEFAULT_MEMORY_POOL=system "$python" "$folder/threads.py" 2
JE_ARROW_MALLOC_CONF=background_thread:false "$python" "$folder/threads.py" 1
