#!/usr/bin/env bash
# Snakemake 9.27.1, many jobs that are ready at the same time.
#
# Whenever a job has ended, the scheduler chooses the next one among all ready jobs, and before that
# it looks for the input files of every one of them. The work between jobs therefore grows with the
# square of their number: 40 independent jobs on one core, each with an input file of its own, look
# for files 860 times. With --scheduler-subsample N it considers N ready jobs, drawn at
# random, so that the work grows in proportion.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --no-project venv
uv pip install -q --python venv/bin/python snakemake==9.27.1

for n in $(seq 40); do touch "$n.in"; done
cat >Snakefile <<'EOF'
rule all:
    input: [f"{n}.out" for n in range(1, 41)]

rule one:
    input: "{n}.in"
    output: "{n}.out"
    shell: "touch {output}"
EOF

cat >count.py <<'EOF'
import sys
from snakemake import cli
from snakemake.scheduling.job_scheduler import JobScheduler

looked_for = 0
original = JobScheduler.update_input_sizes

async def counted(self, jobs):
    global looked_for
    jobs = list(jobs)
    looked_for += sum(len(job.input) for job in jobs)
    await original(self, jobs)

JobScheduler.update_input_sizes = counted
try:
    cli.main(sys.argv[1:])
except SystemExit:
    pass
print("looked for", looked_for)
EOF

calls() {
    rm -f ./*.out
    venv/bin/python count.py --cores 1 --scheduler greedy "$@" 2>/dev/null | sed -n 's/^looked for //p'
}

all=$(calls)
some=$(calls --scheduler-subsample 4)
echo "input files that were looked for between 40 jobs: $all, and $some with --scheduler-subsample 4"
[ "$all" -gt 700 ] && [ "$some" -lt 400 ] || { echo "the behaviour has changed"; exit 1; }
