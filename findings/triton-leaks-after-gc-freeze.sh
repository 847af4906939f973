#!/usr/bin/env bash
# triton 3.9.0: where a process has called gc.freeze(), as servers do before they fork and test runs
# do to collect garbage seldom, triton's bindings (nanobind) print at the end of the process that
# instances, types and functions have leaked, dozens of lines on stderr: Python's last collection
# passes frozen objects over, and nanobind counts what is left. Nothing has leaked: with gc.unfreeze()
# before the end there is no line. torch on Linux brings triton, and importing torch._dynamo, as
# torch.compile does, imports it; `import torch` alone does not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet --python 3.11 "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" triton==3.9.0
lines() {  # STATEMENTS: the lines that a process with triton writes to stderr
    "$folder/venv/bin/python" -c "import gc, triton; $1" 2>&1 >/dev/null | wc -l
}
plain=$(lines "pass")
frozen=$(lines "gc.freeze()")
unfrozen=$(lines "gc.freeze(); gc.unfreeze()")
echo "lines on stderr: $plain without gc.freeze(), $frozen with it, $unfrozen with gc.unfreeze() too"
[ "$plain" = 0 ] && [ "$unfrozen" = 0 ] && [ "$frozen" -gt 10 ]
