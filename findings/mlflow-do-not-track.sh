#!/usr/bin/env bash
# mlflow-skinny 3.17.2: DO_NOT_TRACK=1, the value that the convention of that variable gives and that
# huggingface-hub and others obey, leaves MLflow's reports on its use switched on. Of all values it
# obeys the word true alone, in any case; its own MLFLOW_DISABLE_TELEMETRY obeys 1 too. So a program
# that sets DO_NOT_TRACK=1 for all libraries that it imports has to name MLflow's switch beside it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet --python 3.11 "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" mlflow-skinny==3.17.2 huggingface-hub==2.4.0

asked() {  # VARIABLE=VALUE, in an environment that does not look like that of a test
    env -i PATH="$PATH" HOME="$folder" "$1" "$folder/venv/bin/python" -W ignore -c '
from huggingface_hub import constants
from mlflow.telemetry.utils import is_telemetry_disabled

print("mlflow", "off," if is_telemetry_disabled() else "on,", end=" ")
print("huggingface-hub", "off" if constants.HF_HUB_DISABLE_TELEMETRY else "on")
'
}

check() {  # VARIABLE=VALUE EXPECTED
    local found
    found=$(asked "$1")
    echo "$1: $found"
    [ "$found" = "$2" ]
}

check NOTHING=1 "mlflow on, huggingface-hub on"
check DO_NOT_TRACK=1 "mlflow on, huggingface-hub off"
check DO_NOT_TRACK=yes "mlflow on, huggingface-hub off"
check DO_NOT_TRACK=True "mlflow off, huggingface-hub off"
check MLFLOW_DISABLE_TELEMETRY=1 "mlflow off, huggingface-hub on"
