#!/bin/sh
# TaskProlog of Slurm: the lines that it prints are variables of the task. Nothing is asked, started or written outside
# of the job's own folder.
base=${STORECTL_NODE_BASE:-/local/storectl}
echo "export STORECTL_FROZEN=1"
[ -d "$base/${SLURM_JOB_ID-}/." ] && [ -n "${SLURM_JOB_ID-}" ] && echo "export STORECTL_NODE_DIR=$base/$SLURM_JOB_ID"
exit 0
