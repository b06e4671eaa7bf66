"""Native libraries that look for others outside their own wheel, relative to where they are.

An RPATH or RUNPATH of ``$ORIGIN/../../nvidia/cublas/lib`` works in a real site-packages. In a view whose top-level folders
are symlinks the kernel resolves ``..`` in the store instead, where no other wheel is: so the folders on the way to such
a library have to be real.
"""

import io
import posixpath
from collections.abc import Container, Iterable, Iterator
from itertools import islice
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast

if TYPE_CHECKING:
    from elftools.elf.dynamic import DynamicSegment

_MAGIC = b"\x7fELF"
_ORIGINS = ("$ORIGIN", "${ORIGIN}")
_GRAFTED = ".libs"
_MOST_TAGS = 4096
_MOST_READ = 16 << 20
"""Bytes that reading the headers of one library may take; real ones need a few thousand."""


def escaping_library(file: BinaryIO, path: str, folders: Container[str] | None = None) -> bool:
    """Whether the loader would search, from this library, below ``$ORIGIN`` in a folder of another wheel.

    ``file`` is readable and seekable, ``path`` its place in site-packages. ``folders`` are all folders of the wheel
    there: with them, every folder that the wheel does not have counts once ``..`` leads to it, as in ``nvidia``, which
    many wheels share. Without them, only those outside the library's top-level folder count.

    ``<name>.libs`` never counts: repair tools graft it into the same wheel, so ``..`` finds it in the store. Nor does
    what is no ELF file, or a broken one that no loader takes.
    """
    file.seek(0)
    if "/" not in path or file.read(len(_MAGIC)) != _MAGIC:
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
    """Every RPATH and RUNPATH of the library; none for a file that is no sound ELF file."""
    try:
        return list(_read_search_paths(_Bounded(file)))
    except Exception:  # noqa: BLE001 - pyelftools raises whatever its parsing of untrusted bytes runs into
        return []


def _read_search_paths(file: "_Bounded") -> Iterator[str]:
    """The search paths by way of the program headers, as the loader finds them: section headers may be stripped."""
    from elftools.elf.elffile import ELFFile  # noqa: PLC0415 - slow to import, and most wheels have no library

    for segment in ELFFile(cast("IO[bytes]", file)).iter_segments("PT_DYNAMIC"):
        tags: Iterator[Any] = cast("DynamicSegment", segment).iter_tags()
        for tag in islice(tags, _MOST_TAGS):
            if tag.entry.d_tag == "DT_RPATH":
                yield tag.rpath
            elif tag.entry.d_tag == "DT_RUNPATH":
                yield tag.runpath


class _Bounded:
    """A file of which only so much can be read, so that a hostile library costs no more than a real one."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = _MOST_READ

    def read(self, size: int) -> bytes:
        self._left -= max(size, 0)
        if size < 0 or self._left < 0:
            raise OSError(f"more than {_MOST_READ} bytes of headers")
        return self._file.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()
