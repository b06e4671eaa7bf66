"""The published environments as the API shows them, and their import maps."""

import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from storectl_daemon.errors import UnknownEnvironmentError
from storectl_daemon.models import EnvironmentInfo, InterpreterInfo
from storectl_store.digest import EnvironmentId, is_environment_id
from storectl_store.entries.layers import Layers
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.read_only import ReadOnlyStore
from storectl_store.environments.environment_record import RECORD_NAME, EnvironmentRecord, read_environment
from storectl_store.environments.layers_record import layer_roots, read_layers
from storectl_store.errors import StoreError

_KEPT_RECORDS = 256
_MAP_NAME = "import-map"


class PublishedEnvironments:
    """Reads environments of the own store and of layers. An environment is the own store's if that has it.

    A published one never changes, so what was read holds as long as its folder exists.
    """

    def __init__(self, layout: StoreLayout, layers: Layers | None = None) -> None:
        self._layout = layout
        self._layers = layers or Layers(ReadOnlyStore(layout))
        self._records: OrderedDict[str, EnvironmentRecord] = OrderedDict()
        self._last_map = ("", 0, 0), b""

    def folder(self, environment_id: EnvironmentId) -> Path:
        """The folder of the environment: of the own store, unless it has none and a layer has."""
        own = self._layout.environment(environment_id)
        if self._layers.lower and not os.path.lexists(own):
            return self._layers.environment(environment_id) or own
        return own

    def record(self, environment_id: str) -> EnvironmentRecord | None:
        """What the environment says of itself; None if there is none with this id."""
        folder = self.folder(EnvironmentId(environment_id)) if is_environment_id(environment_id) else None
        if folder is None or not (folder / "pyvenv.cfg").exists():
            self._records.pop(environment_id, None)
            return None
        record = self._records.get(environment_id)
        if record is None:
            try:
                record = read_environment(folder)
            except StoreError:
                return None
            self._records[environment_id] = record
            if len(self._records) > _KEPT_RECORDS:
                self._records.popitem(last=False)
        return record

    def is_whole(self, environment_id: EnvironmentId) -> bool:
        """Whether the environment exists and has everything that a program needs to start in it."""
        record = self.record(environment_id)
        if record is None:
            return False
        folder = self.folder(environment_id)
        library = folder / "lib" / f"python{'.'.join(record.version.split('.')[:2])}"
        needed = ("bin/python", _MAP_NAME, RECORD_NAME)
        whole = os.access(library / "site-packages", os.R_OK) and all((folder / name).exists() for name in needed)
        return whole and self._has_entries(folder, record)

    def check_reachable(self, environment_id: EnvironmentId) -> None:
        """Raise LayerError if the environment needs a layer that does not answer now. May raise StoreError."""
        if self._layers.silent:
            self._layers.check_reachable(layer_roots(self.folder(environment_id)))

    def layers_of(self, environment: Path) -> tuple[Path, ...]:
        """The roots of the layers that the environment in this folder is in, or leads to."""
        root = environment.parent.parent
        try:
            roots = layer_roots(environment)
        except (OSError, StoreError):
            roots = ()
        return tuple(each for each in dict.fromkeys([root, *roots]) if each != self._layout.root)

    def _has_entries(self, folder: Path, record: EnvironmentRecord) -> bool:
        """Whether the entries are where links of the environment lead to, as far as this is not the own store alone."""
        try:
            linked = read_layers(folder)
        except (OSError, StoreError):
            return False
        if not (linked or self._layers.lower):
            return True
        home = self._layers.at(folder.parent.parent)
        elsewhere = {entry.digest for entry in linked}
        if home is None or not all(home.has(digest) for digest in record.digests if digest not in elsewhere):
            return False
        stores = {root: self._layers.at(root) for root in {entry.root for entry in linked}}
        there = ((stores[entry.root], entry) for entry in linked)
        if not all(store is not None and store.seems_whole(entry.name, entry.digest) for store, entry in there):
            return False
        return home is self._layers.own or _leads_somewhere(folder, record)

    def info(
        self, environment_id: EnvironmentId, *, project: str | None, lock_file: str | None
    ) -> EnvironmentInfo | None:
        """The environment, as one that this project asked for; None if there is none with this id."""
        record = self.record(environment_id)
        if record is None:
            return None
        folder = self.folder(environment_id)
        return EnvironmentInfo(
            id=environment_id,
            path=str(folder),
            python=str(folder / "bin" / "python"),
            project=project,
            lock_file=lock_file,
            interpreter=InterpreterInfo(executable=record.executable, version=record.version),
            wheels=len(record.digests),
        )

    def ids(self) -> Iterator[EnvironmentId]:
        """The ids of all environments, sorted."""
        return (name for name in sorted(os.listdir(self._layout.environments)) if is_environment_id(name))

    def import_map(self, environment_id: str) -> bytes:
        """The published import map. Raises UnknownEnvironmentError if there is none.

        The last one stays in memory: if many programs start at once, it is the same environment for most of them.
        """
        if is_environment_id(environment_id):
            folder = self.folder(EnvironmentId(environment_id))
            with suppress(OSError):
                status = (folder / _MAP_NAME).stat()
                which = environment_id, status.st_ino, status.st_mtime_ns
                if self._last_map[0] != which:
                    self._last_map = which, (folder / _MAP_NAME).read_bytes()
                return self._last_map[1]
        raise _unknown(environment_id)


def _leads_somewhere(folder: Path, record: EnvironmentRecord) -> bool:
    """Whether the first link into a store leads to what is there.

    It does not if the layer was published at another path than it has here. Then no link does.
    """
    library = folder / "lib" / f"python{'.'.join(record.version.split('.')[:2])}" / "site-packages"
    with suppress(OSError), os.scandir(library) as found:
        link = next((each for each in found if each.is_symlink()), None)
        return link is None or os.path.exists(link.path)
    return False


def _unknown(environment_id: str) -> UnknownEnvironmentError:
    return UnknownEnvironmentError(
        f"there is no environment {environment_id[:64]}", hint="`storectl env list` shows them.", id=environment_id[:64]
    )


def known_environment(environments: PublishedEnvironments, environment_id: str) -> EnvironmentInfo:
    """The environment, without a project. Raises UnknownEnvironmentError if there is none with this id."""
    if is_environment_id(environment_id):
        info = environments.info(environment_id, project=None, lock_file=None)
        if info is not None:
            return info
    raise _unknown(environment_id)
