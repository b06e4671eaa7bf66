"""The writer of import maps; the format is documented beside its reader, in ``storectl_shim._storectl_map``.

Tables say for each folder of site-packages ("" is the view itself) what a stock finder would find in it: tail of the
module name -> record. If a single entry shows a folder, the folder's section is made once per entry, kept with its
outline and copied into every map. Equal tables give equal bytes, whatever environment they go into.
"""

import marshal
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

from storectl_shim._storectl_map import MAGIC, MODULE, NAMESPACE, PRIME
from storectl_store.digest import EnvironmentId

Tables: TypeAlias = Mapping[str, Mapping[str, int]]
"""Folder -> tail -> record, ``kind * 64 + index of the suffix``. Of two records for one name the lower one wins."""

MARSHAL_VERSION = 2
"""The last version without references: its bytes depend on the value alone, not on what else refers to a part of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A folder right below the view: its record there, and all that can be imported below it, ready to be copied.

    ``content`` is empty if there is only the folder itself; ``check`` is its ``checksum``.
    """

    record: int
    content: bytes
    check: int


_NO_SECTIONS: Mapping[str, Section] = MappingProxyType({})


def finder_suffixes(extension_suffixes: Sequence[str]) -> tuple[str, ...]:
    """All suffixes in the order in which a stock finder tries them."""
    return (*extension_suffixes, ".py", ".pyc")


def index_paths(paths: Iterable[str], extension_suffixes: Sequence[str]) -> Tables:
    """What can be imported from a tree with these files.

    ``paths`` are relative to site-packages, with forward slashes. No import can ask for a name with a dot, so neither
    it nor anything below it has a record. ``__pycache__`` is left to the stock finder: bytecode comes later than the
    map.
    """
    modules = _modules_by_folder(paths, extension_suffixes)
    tables: dict[str, dict[str, int]] = {
        folder: dict(found) for folder, found in modules.items() if found and _importable(folder)
    }
    for folder in filter(_importable, filter(None, modules)):
        parent, _, tail = folder.rpartition("/")
        init = modules[folder].get("__init__")
        record = NAMESPACE if init is None else init - MODULE
        table = tables.setdefault(parent, {})
        table[tail] = min(record, table.get(tail, record))
    return tables


def _modules_by_folder(paths: Iterable[str], extension_suffixes: Sequence[str]) -> dict[str, dict[str, int]]:
    """Every folder, empty ones too, with the files in it that have a suffix of a module."""
    records = {suffix[1:]: MODULE + index for index, suffix in enumerate(finder_suffixes(extension_suffixes))}
    modules: dict[str, dict[str, int]] = {"": {}}
    for path in paths:
        folder, _, name = path.rpartition("/")
        found = modules.get(folder)
        if found is None:
            found = _add_folder(modules, folder)
        tail, _, suffix = name.partition(".")
        record = records.get(suffix)
        if record is not None and record < found.get(tail, NAMESPACE):
            found[tail] = record
    return modules


def _add_folder(modules: dict[str, dict[str, int]], folder: str) -> dict[str, int]:
    """Add this folder, and those above it that are missing, without files. Returns the folder's table."""
    above = folder
    while above and above not in modules:
        modules[above] = {}
        above = above.rpartition("/")[0]
    return modules[folder]


def _importable(folder: str) -> bool:
    return "." not in folder and "__pycache__" not in folder.split("/")


def encode_sections(tables: Tables) -> Mapping[str, bytes]:
    """The section of each top-level folder with something importable below it."""
    sections: dict[str, dict[str, dict[str, int]]] = {}
    for folder in sorted(filter(None, tables)):
        table = dict(sorted(tables[folder].items()))
        sections.setdefault(folder.partition("/")[0], {})[folder] = table
    return {top: marshal.dumps(section, MARSHAL_VERSION) for top, section in sections.items()}


def section_of(folder: str, tables: Tables) -> Section | None:
    """The section of this folder, from the tables of all that is below it; None if the folder cannot be imported."""
    record = tables.get("", {}).get(folder)
    if record is None:
        return None
    content = encode_sections(tables).get(folder, b"")
    return Section(record=record, content=content, check=checksum(content))


def encode_import_map(
    environment_id: EnvironmentId, tables: Tables, sections: Mapping[str, Section] = _NO_SECTIONS
) -> bytes:
    """The whole map of an environment, in bytes.

    ``tables`` describe site-packages and folders in it; ``sections`` are the folders right below the view that no table
    describes.
    """
    encoded = {folder: (content, checksum(content)) for folder, content in encode_sections(tables).items()} | {
        folder: (section.content, section.check) for folder, section in sections.items() if section.content
    }
    top_level = dict(tables.get("", {}))
    for folder, section in sections.items():
        top_level[folder] = min(section.record, top_level.get(folder, section.record))
    places: dict[str, tuple[int, int, int]] = {}
    offset = 0
    for folder in sorted(encoded):
        content, check = encoded[folder]
        places[folder] = (offset, len(content), check)
        offset += len(content)
    table = marshal.dumps((dict(sorted(top_level.items())), places), MARSHAL_VERSION)
    header = b"%s %s %d %d\n" % (MAGIC, environment_id.encode("ascii"), len(table), checksum(table))
    return b"".join([header, table, *(encoded[folder][0] for folder in places)])


def checksum(data: bytes) -> int:
    """The check on one part of a map.

    Every version of the reader computes it cheaply, and no single flipped byte passes it.
    """
    return int.from_bytes(data, "little") % PRIME
