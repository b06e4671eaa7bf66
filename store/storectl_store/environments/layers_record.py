"""The file ``layers`` of a view: which of its entries are in other stores than the view, and in which.

    storectl layers 1
    /srv/storectl                           the root of a store
    idna sha256:<64 hex digits>             the entries that links of the view lead to in it
    /cvmfs/soft.site/storectl
    …

A view that leads only into its own store has no such file.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import NormalizedName

from storectl_store.digest import Digest, parse_digest
from storectl_store.errors import StoreFormatError

LAYERS_NAME = "layers"
_HEAD = "storectl layers 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedEntry:
    """An entry of the store at ``root`` that links of a view lead to."""

    name: NormalizedName
    digest: Digest
    root: Path


def encode_layers(linked: Iterable[LinkedEntry]) -> bytes:
    """The content of the file: stores by path, entries by name."""
    lines, root = [_HEAD], None
    for entry in sorted(linked, key=lambda entry: (entry.root, entry.name)):
        if entry.root != root:
            root = entry.root
            lines.append(str(root))
        lines.append(f"{entry.name} {entry.digest}")
    return "\n".join([*lines, ""]).encode("utf-8", "surrogateescape")


def read_layers(view: Path) -> tuple[LinkedEntry, ...]:
    """The entries of other stores that this view leads to; none if it has no such file.

    Raises StoreFormatError if the file is malformed. May raise OSError.
    """
    try:
        text = (view / LAYERS_NAME).read_bytes().decode("utf-8", "surrogateescape")
    except (FileNotFoundError, NotADirectoryError):
        return ()
    try:
        return tuple(_entries(text))
    except ValueError as error:
        raise StoreFormatError(
            f"the file {LAYERS_NAME} of the environment {view.name} cannot be used: {error}",
            hint="`storectl store verify --repair` makes the environment again",
            path=str(view),
        ) from error


def layer_roots(view: Path) -> tuple[Path, ...]:
    """The roots of the other stores that this view leads to. Raises as ``read_layers``."""
    return tuple(dict.fromkeys(entry.root for entry in read_layers(view)))


def _entries(text: str) -> Iterator[LinkedEntry]:
    head, *lines = text.split("\n")
    if head != _HEAD or not lines or lines.pop():
        raise ValueError("it has another format, or is cut off")
    root: Path | None = None
    for line in lines:
        if line.startswith("/"):
            root = Path(line)
            continue
        name, _, digest = line.partition(" ")
        if root is None or not name:
            raise ValueError(f"{line[:80]!r} is about no store")
        yield LinkedEntry(name=NormalizedName(name), digest=parse_digest(digest), root=root)
