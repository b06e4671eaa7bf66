#!/bin/sh
# Epilog of slurmd: delete the job's folder on this node, as the job's user, so that no link of theirs leads root
# anywhere. A squashfs that is mounted in it is unmounted first. Ends with 0 in any case, as the prolog does.
base=${STORECTL_NODE_BASE:-/local/storectl}
case ${SLURM_JOB_ID-}:${SLURM_JOB_UID-} in
    *[!0-9:]* | :* | *:) exit 0 ;;
esac
folder=$base/$SLURM_JOB_ID
[ -d "$folder" ] && [ ! -L "$folder" ] || exit 0
while read -r _ point _; do
    case $point in "$folder"/*) umount -l -- "$point" ;; esac
done </proc/self/mounts
setpriv --reuid="$SLURM_JOB_UID" --regid="${SLURM_JOB_GID:-$(id -g -- "$SLURM_JOB_UID")}" --clear-groups \
    find "$folder" -xdev -type d -exec chmod u+rwx '{}' + 2>/dev/null
setpriv --reuid="$SLURM_JOB_UID" --regid="${SLURM_JOB_GID:-$(id -g -- "$SLURM_JOB_UID")}" --clear-groups \
    rm -rf --one-file-system -- "$folder" 2>/dev/null
rmdir -- "$folder" 2>/dev/null
exit 0
