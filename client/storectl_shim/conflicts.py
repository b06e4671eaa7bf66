"""Conflicts: modules that are loaded already, and that an environment would bring from another file.

They are found by the import map: the environment provides the module, but it was loaded from another file. It is no
conflict if a folder earlier on ``sys.path`` provides it (the script's, PYTHONPATH, the standard library): that would
win in any case. Nor is it one if both distributions have the same name and version, and the same hashes of their
files: then the code is the same.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

TYPE_CHECKING = False  # importing typing takes longer than all of this
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import ModuleType

    from storectl_shim.environment import Modules


@dataclass(frozen=True)
class Conflict:
    """Loaded modules that belong together. Versions and distributions are None if no metadata tells them.

    ``loaded_from`` is the folder that the modules were loaded from.
    """

    modules: tuple[str, ...]
    loaded: Distribution | None
    locked: Distribution | None
    loaded_from: str

    @property
    def text(self) -> str:
        """Such as ``numpy 1.26.4 is loaded, the lock file has 2.0.1``."""
        top = self.modules[0].partition(".")[0]
        locked = self.locked or Distribution(name=top, version="another one")
        if self.loaded is None:
            return f"{top} is loaded from {self.loaded_from}, the lock file has {locked.name} {locked.version}"
        if self.loaded == locked:
            return f"{locked.name} {locked.version} is loaded from {self.loaded_from}, not from the environment"
        loaded = f"{self.loaded.name} {self.loaded.version}"
        if self.loaded.name == locked.name:
            return f"{loaded} is loaded, the lock file has {locked.version}"
        return f"{top} of {loaded} is loaded, the lock file has it of {locked.name} {locked.version}"


@dataclass(frozen=True)
class Distribution:
    """An installed project, by its metadata."""

    name: str
    version: str

    def equals(self, other: Distribution) -> bool:
        """Whether name and version are the same; the spelling of the name does not count."""
        return (_normalised(self.name), self.version) == (_normalised(other.name), other.version)


def find_conflicts(
    provided: Modules, site_packages: str, loaded: Mapping[str, ModuleType], earlier: Iterable[str]
) -> list[Conflict]:
    """The conflicts with what is ``loaded`` (``sys.modules``), one for each distribution, sorted by its first module.

    ``earlier`` are the folders that come before the environment on ``sys.path``.
    """
    first = {os.path.realpath(folder) for folder in earlier}
    found: dict[str, list[tuple[str, str, str]]] = {}
    for name, module in sorted(loaded.items()):
        locked = provided.file_of(name) if name != "__main__" else None
        origin = None if locked is None else _origin(module)
        if locked is None or origin is None or os.path.realpath(origin) == os.path.realpath(locked):
            continue
        top = name.partition(".")[0]
        if os.path.realpath(_folder_of(name, origin, loaded)) not in first:
            found.setdefault(top, []).append((name, origin, locked))
    owners = _Owners()
    conflicts = [_conflict(entries, loaded, site_packages, owners) for entries in found.values()]
    return _joined(conflict for conflict in conflicts if not _is_same_code(conflict, site_packages, owners))


def _conflict(
    entries: list[tuple[str, str, str]], loaded: Mapping[str, ModuleType], site_packages: str, owners: _Owners
) -> Conflict:
    name, origin, locked = entries[0]
    folder = _folder_of(name, origin, loaded)
    return Conflict(
        modules=tuple(name for name, _, _ in entries),
        loaded=owners.owner(folder, os.path.relpath(origin, folder)),
        locked=owners.owner(site_packages, os.path.relpath(locked, site_packages)),
        loaded_from=folder,
    )


def _is_same_code(conflict: Conflict, site_packages: str, owners: _Owners) -> bool:
    """Whether both distributions have the same name, version, and hashes below the conflict's top-level name."""
    if conflict.loaded is None or conflict.locked is None or not conflict.loaded.equals(conflict.locked):
        return False
    top = conflict.modules[0].partition(".")[0]
    loaded = owners.hashes(conflict.loaded_from, conflict.loaded, top)
    return bool(loaded) and all(loaded.values()) and loaded == owners.hashes(site_packages, conflict.locked, top)


def _joined(conflicts: Iterable[Conflict]) -> list[Conflict]:
    """The conflicts, with those of one distribution joined into one."""
    joined: dict[object, Conflict] = {}
    for conflict in conflicts:
        key = (conflict.loaded, conflict.locked) if conflict.loaded and conflict.locked else conflict.modules
        known = joined.get(key)
        modules = (*known.modules, *conflict.modules) if known else conflict.modules
        joined[key] = Conflict(
            modules=modules, loaded=conflict.loaded, locked=conflict.locked, loaded_from=conflict.loaded_from
        )
    return list(joined.values())


def _origin(module: ModuleType) -> str | None:
    """The file of a loaded module, or the first folder of a namespace; None if it came from no file."""
    spec = getattr(module, "__spec__", None)
    if spec is not None and spec.origin in ("built-in", "frozen"):
        return None
    file = (spec.origin if spec is not None and spec.has_location else None) or getattr(module, "__file__", None)
    if isinstance(file, str):
        return file
    try:
        return str(next(iter(module.__path__)))
    except (AttributeError, TypeError, StopIteration):
        return None


def _folder_of(name: str, origin: str, loaded: Mapping[str, ModuleType]) -> str:
    """The entry of ``sys.path`` that a loaded module came from: the folder above its top-level package or module."""
    top = loaded.get(name.partition(".")[0])
    top_origin = _origin(top) if top is not None else None
    if top_origin is not None:  # an extended __path__ may have a submodule elsewhere
        name, origin = name.partition(".")[0], top_origin
    above = name.count(".") + 1 + os.path.basename(origin).startswith("__init__.")
    for _ in range(above):
        origin = os.path.dirname(origin)
    return origin


class _Owners:
    """The distributions that files belong to, by the RECORDs in their folder. Each RECORD is read once."""

    def __init__(self) -> None:
        self._records: dict[str, dict[str, str]] = {}

    def owner(self, folder: str, path: str) -> Distribution | None:
        """The distribution in ``folder`` that has installed the file at the relative ``path``."""
        if folder not in self._records:
            self._records[folder] = dict(_records(folder))
        line = f"\n{path.replace(os.sep, '/')},"
        for dist_info, record in self._records[folder].items():
            if line in record:
                return _read_metadata(dist_info)
        return None

    def hashes(self, folder: str, distribution: Distribution, top: str) -> dict[str, str]:
        """The hashes in a distribution's RECORD of its files below one top-level name, by path; without bytecode."""
        for dist_info, record in self._records.get(folder, {}).items():
            if _read_metadata(dist_info) == distribution:
                return dict(_hashes_below(record, top))
        return {}


def _hashes_below(record: str, top: str) -> Iterable[tuple[str, str]]:
    """The path and hash of each line, ``path,sha256=...,size``; a path with a comma has quotes, and keeps them."""
    for line in record.split("\n"):
        path, _, digest = line.rpartition(",")[0].rpartition(",")
        name = path.strip('"')
        if name.startswith((f"{top}/", f"{top}.")) and "__pycache__/" not in name:
            yield name, digest


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _records(folder: str) -> Iterable[tuple[str, str]]:
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return
    for name in names:
        text = _text(os.path.join(folder, name, "RECORD")) if name.endswith(".dist-info") else ""
        if text:
            yield os.path.join(folder, name), "\n" + text.replace("\r\n", "\n")


def _read_metadata(dist_info: str) -> Distribution | None:
    fields: dict[str, str] = {}
    for line in _text(os.path.join(dist_info, "METADATA")).splitlines():
        if not line:
            break  # all that follows is the description
        key, _, value = line.partition(":")
        fields.setdefault(key.lower(), value.strip())
    if "name" not in fields or "version" not in fields:
        return None
    return Distribution(name=fields["name"], version=fields["version"])


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace", newline="") as file:
            return file.read()
    except OSError:
        return ""
