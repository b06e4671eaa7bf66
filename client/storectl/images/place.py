"""The folder of a node in which images are staged."""

from __future__ import annotations

import os

from storectl.errors import ImageProblemError

TYPE_CHECKING = False  # typing and collections.abc take longer to import than all of this
if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLES = ("STORECTL_NODE_DIR", "SLURM_TMPDIR", "TMPDIR")
"""The first of these that is set names it; STORECTL_NODE_DIR is meant for nothing else."""

MEMORY = "/dev/shm"  # noqa: S108 - only if --memory says so, in a private folder
_OTHERWISE = "/tmp"  # noqa: S108 - in a private folder
_MOUNTS = "/proc/self/mounts"
_OF_MEMORY = frozenset({"tmpfs", "ramfs"})


def node_folder(to: str | None, environ: Mapping[str, str], *, memory: bool, mounts: str = _MOUNTS) -> str:
    """The absolute folder: that of --to, else /dev/shm with --memory, else that of the variables, else /tmp.

    Raises ImageProblemError if that is in memory, which a job pays for, and nobody has said so.
    """
    if to is not None:
        return os.path.abspath(to)
    if memory:
        return MEMORY
    name = next((name for name in VARIABLES if environ.get(name, "").startswith("/")), None)
    folder = os.path.realpath(environ[name] if name else _OTHERWISE)
    if name != VARIABLES[0] and _is_memory(folder, mounts):
        raise ImageProblemError(
            f"{folder} is in memory, and what is unpacked there counts as the job's",
            hint="name a disk of the node (--to or STORECTL_NODE_DIR), or say --memory",
        )
    return folder


def _is_memory(folder: str, mounts: str) -> bool:
    """Whether the file system of this folder is in memory. No, if the system does not say."""
    found, kind = "", ""
    try:
        with open(mounts, "rb") as lines:
            for line in lines:
                _, point, type_, *_ = line.split(b" ")
                path = os.fsdecode(point.decode("unicode_escape").encode("latin-1"))
                inside = path in ("/", folder) or folder.startswith(f"{path}/")
                if inside and len(path) >= len(found):
                    found, kind = path, type_.decode()
    except OSError:
        return False
    return kind in _OF_MEMORY
