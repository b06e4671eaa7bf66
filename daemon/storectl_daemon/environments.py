"""The published environments as the API shows them, and their import maps in memory."""

import os
import re
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

from storectl_daemon.errors import UnknownEnvironmentError
from storectl_daemon.models import EnvironmentInfo, InterpreterInfo
from storectl_store.entries.layout import StoreLayout
from storectl_store.environments.environment_record import EnvironmentRecord, read_environment
from storectl_store.errors import StoreError

_ID = re.compile(r"[0-9a-f]{32}")
_KEPT_RECORDS = 256
_KEPT_MAP_BYTES = 16 << 20
_MAP_NAME = "import-map"


class Environments:
    """Reads environments. They never change once published, so what was read stays true while the folder is there."""

    def __init__(self, layout: StoreLayout) -> None:
        self._layout = layout
        self._records: OrderedDict[str, EnvironmentRecord] = OrderedDict()
        self._maps: OrderedDict[str, tuple[int, bytes]] = OrderedDict()

    def record(self, environment_id: str) -> EnvironmentRecord | None:
        """What the environment says of itself; None where there is none with this id."""
        folder = self._layout.environment(environment_id)
        if not _ID.fullmatch(environment_id) or not (folder / "pyvenv.cfg").exists():
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

    def info(self, environment_id: str, *, project: str | None, lock_file: str | None) -> EnvironmentInfo | None:
        """The environment as one that a project asked for."""
        record = self.record(environment_id)
        if record is None:
            return None
        folder = self._layout.environment(environment_id)
        return EnvironmentInfo(
            id=environment_id,
            path=str(folder),
            python=str(folder / "bin" / "python"),
            project=project,
            lock_file=lock_file,
            interpreter=InterpreterInfo(executable=record.executable, version=record.version),
            wheels=len(record.digests),
        )

    def ids(self) -> Iterator[str]:
        """All environments, sorted."""
        return (name for name in sorted(os.listdir(self._layout.environments)) if _ID.fullmatch(name))

    def import_map(self, environment_id: str) -> bytes:
        """The import map; UnknownEnvironmentError where there is none.

        Maps that were asked for lately are kept in memory, as long as the file is the one that was read.
        """
        try:
            if not _ID.fullmatch(environment_id):
                raise FileNotFoundError
            path = os.path.join(self._layout.environments, environment_id, _MAP_NAME)
            inode = os.stat(path).st_ino
            kept = self._maps.get(environment_id)
            if kept is not None and kept[0] == inode:
                self._maps.move_to_end(environment_id)
                return kept[1]
            data = Path(path).read_bytes()
        except OSError:
            self._maps.pop(environment_id, None)
            raise _unknown(environment_id) from None
        self._keep(environment_id, inode, data)
        return data

    def _keep(self, environment_id: str, inode: int, data: bytes) -> None:
        self._maps[environment_id] = (inode, data)
        while len(self._maps) > 1 and sum(len(kept) for _, kept in self._maps.values()) > _KEPT_MAP_BYTES:
            self._maps.popitem(last=False)


def _unknown(environment_id: str) -> UnknownEnvironmentError:
    return UnknownEnvironmentError(
        f"there is no environment {environment_id[:64]}", hint="`storectl env list` shows them.", id=environment_id[:64]
    )


def known_environment(environments: Environments, environment_id: str) -> EnvironmentInfo:
    """The environment by itself; UnknownEnvironmentError where there is none."""
    info = environments.info(environment_id, project=None, lock_file=None)
    if info is None:
        raise _unknown(environment_id)
    return info
