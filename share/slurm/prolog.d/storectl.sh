#!/bin/sh
# Prolog of slurmd: a folder of the job's user on this node, in which `storectl image` stages. Ends with 0 in any case:
# a prolog that fails takes the node out of service. Runs as root, so nothing below a user's folder is followed.
base=${STORECTL_NODE_BASE:-/local/storectl}
case ${SLURM_JOB_ID-}:${SLURM_JOB_UID-} in
    *[!0-9:]* | :* | *:) exit 0 ;;
esac
umask 022
mkdir -p -- "$base" 2>/dev/null
# Whoever may write in $base could put a link there.
[ -O "$base" ] && [ ! -L "$base" ] || exit 0
mkdir -m 0700 -- "$base/$SLURM_JOB_ID" 2>/dev/null &&
    chown -h -- "$SLURM_JOB_UID:${SLURM_JOB_GID:-$(id -g -- "$SLURM_JOB_UID")}" "$base/$SLURM_JOB_ID"
exit 0
