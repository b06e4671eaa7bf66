"""Native libraries that look for others outside their own wheel, relative to their own folder.

An RPATH or RUNPATH of ``$ORIGIN/../../nvidia/cublas/lib`` works in a real site-packages. In a view the top-level
folders are symbolic links, and the kernel resolves ``..`` in the store instead, which has no other wheel there. So the
folders on the way to such a library have to be real.
"""

import posixpath
from collections.abc import Container, Iterable, Iterator
from typing import BinaryIO

from storectl_store.entries.native import elf

_ORIGINS = ("$ORIGIN", "${ORIGIN}")
_GRAFTED = ".libs"


def escaping_library(file: BinaryIO, path: str, folders: Container[str] | None = None) -> bool:
    """Whether the loader would search, from this library, below ``$ORIGIN`` in a folder of another wheel.

    ``file`` is readable and seekable; ``path`` is its path in site-packages. ``folders`` are all folders that the wheel
    has in site-packages. With them, every folder that the wheel does not have counts once ``..`` leads to it, as in
    ``nvidia``, which many wheels share. Without them, only folders outside the library's top-level folder count.

    ``<name>.libs`` never counts: repair tools graft it into the same wheel, so ``..`` finds it in the store. A file
    that is not ELF, or is broken so that no loader takes it, does not count either.
    """
    file.seek(0)
    if "/" not in path or file.read(len(elf.MAGIC)) != elf.MAGIC:
        return False
    targets = _targets(_search_paths(file), posixpath.dirname(path))
    top = path.partition("/")[0]
    return any(_is_foreign(target, top, folders) for target in targets)


def _targets(runs: Iterable[str], folder: str) -> Iterator[str]:
    """The folders in site-packages that elements with ``$ORIGIN/`` and ``..`` lead to from ``folder``."""
    for element in (element for run in runs for element in run.split(":")):
        origin, _, rest = element.partition("/")
        if origin in _ORIGINS and ".." in rest.split("/"):
            yield posixpath.normpath(f"{folder}/{rest}")


def _is_foreign(target: str, top: str, folders: Container[str] | None) -> bool:
    first = target.partition("/")[0]
    if first.endswith(_GRAFTED) or (first == top and folders is None):
        return False
    return folders is None or target not in folders


def _search_paths(file: BinaryIO) -> list[str]:
    """Every RPATH and RUNPATH of the library; none if the file is no sound ELF file."""
    try:
        return elf.search_paths(file)
    except (ValueError, OSError):
        return []
