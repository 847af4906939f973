#!/usr/bin/env bash
# Snakemake 9.27.1, the rerun trigger "params".
#
# Snakemake compares the parameters of a rule with those of the last run as a set of values, without
# their names: when two of them exchange their values, as k=3, rows=4 becoming k=4, rows=3, it plans
# nothing, although the shell command has changed. It also compares values of builtin types alone: a
# pathlib.Path that becomes another one plans nothing either. One string for each rule, as canonical
# JSON, is compared as one would expect.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --no-project venv
uv pip install -q --python venv/bin/python snakemake==9.27.1

workflow() {
    cat >Snakefile <<EOF
import json
from pathlib import Path

rule all:
    input: "named.txt", "path.txt", "json.txt"

rule named:
    output: "named.txt"
    params: k=$1, rows=$2
    shell: "echo {params.k} {params.rows} > {output}"

rule path:
    output: "path.txt"
    params: folder=Path("$3")
    shell: "echo {params.folder} > {output}"

rule json:
    output: "json.txt"
    params: job=json.dumps({"k": $1, "rows": $2}, sort_keys=True)
    shell: "echo '{params.job}' > {output}"
EOF
}

workflow 3 4 a
venv/bin/snakemake --cores 1 --quiet all >/dev/null 2>&1
workflow 4 3 b
plan=$(venv/bin/snakemake --cores 1 --dry-run 2>&1)
planned=$(grep -E '^rule ' <<<"$plan" | sed 's/^rule //; s/:$//' | grep -v '^all$' | sort | xargs)
echo "k=3, rows=4, Path('a') became k=4, rows=3, Path('b'); planned: ${planned:-nothing}"
[ "$planned" = "json" ] || { echo "the behaviour has changed"; exit 1; }
