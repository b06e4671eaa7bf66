"""The catalogue: ``index.db``, what is quick to know about the entries. Rebuildable; the files are the truth.

    entries(digest, name, version, filename, wheel_size, unpacked_size)    sizes in bytes
    uses(digest, tag, stamp, files, folders, disk_bytes)    what they take up on disk, see ``disk_use``
    blobs(digest, kind, data)       what other parts derived from an entry and would rather not derive again

It is SQLite in WAL mode. Schema 1 had no ``uses``: it gets an empty table, and whoever counts fills it. If the
database is corrupt, or of any other schema version, it is deleted and built again from the manifests. Losing it loses
only time. So a caller may ignore that writing to it failed, and a blob that cannot be read or written is no error.
"""

import contextlib
import os
import sqlite3
import threading
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TypeVar

from packaging.utils import NormalizedName

from storectl_store.digest import Digest
from storectl_store.disk.whole_files import PRIVATE
from storectl_store.entries.disk_use import DiskUse, use_of_wheel
from storectl_store.entries.manifest import Manifest

_SCHEMA_VERSION = 2
_VERSION_WITHOUT_USES = 1
_USES = """CREATE TABLE IF NOT EXISTS uses (
        digest TEXT NOT NULL, tag TEXT NOT NULL, stamp INTEGER NOT NULL, files INTEGER NOT NULL,
        folders INTEGER NOT NULL, disk_bytes INTEGER NOT NULL, PRIMARY KEY (digest, tag)
    ) WITHOUT ROWID"""
_SCHEMA = (
    """CREATE TABLE entries (
        digest TEXT PRIMARY KEY, name TEXT NOT NULL, version TEXT NOT NULL, filename TEXT NOT NULL,
        wheel_size INTEGER NOT NULL, unpacked_size INTEGER NOT NULL
    ) WITHOUT ROWID""",
    "CREATE TABLE blobs (digest TEXT NOT NULL, kind TEXT NOT NULL, data BLOB NOT NULL, PRIMARY KEY (digest, kind))",
    _USES,
)
_BUSY_TIMEOUT = 5.0  # seconds
_VARIABLES = 500  # in one statement; SQLite before 3.32 stops at 999
_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One entry in a listing. ``wheel_size`` and ``unpacked_size`` are in bytes, bytecode not counted."""

    digest: Digest
    name: NormalizedName
    version: str
    filename: str
    wheel_size: int
    unpacked_size: int


def summary_of(manifest: Manifest) -> Summary:
    """The line of a listing for the entry with this manifest."""
    return Summary(
        digest=manifest.digest,
        name=manifest.name,
        version=manifest.version,
        filename=manifest.filename,
        wheel_size=manifest.wheel_size,
        unpacked_size=manifest.unpacked_size,
    )


class Catalogue:
    """The database at ``path``. ``manifests`` gives what to build it from.

    It has one connection, opened when first needed and used by one thread at a time. It raises sqlite3.Error if the
    database cannot be written or stays busy, except in ``get_many`` and ``put``.
    """

    def __init__(self, path: Path, manifests: Callable[[], Iterable[Manifest]]) -> None:
        self._path = path
        self._manifests = manifests
        self._mutex = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._finalizer: weakref.finalize[[], Catalogue] | None = None

    def summaries(self) -> list[Summary]:
        """Every entry known, in no order."""
        rows = self._run(_select_summaries)
        return [
            Summary(digest=d, name=n, version=v, filename=f, wheel_size=w, unpacked_size=u) for d, n, v, f, w, u in rows
        ]

    def digests(self) -> set[Digest]:
        """The digests of all entries known."""
        return self._run(lambda database: {digest for (digest,) in database.execute("SELECT digest FROM entries")})

    def sizes(self, digests: Iterable[Digest]) -> dict[Digest, int]:
        """The unpacked sizes of those of these entries that are known, in bytes; empty if the database fails."""
        wanted = list(dict.fromkeys(digests))
        try:
            return self._run(lambda database: dict(_select_sizes(database, wanted)))
        except (sqlite3.Error, OSError):
            return {}

    def add(self, manifests: Iterable[Manifest]) -> None:
        """Add these entries, or replace them."""
        added = list(manifests)
        self._run(lambda database: _insert(database, added))

    def remove(self, digests: Iterable[Digest]) -> None:
        """Remove these entries and everything derived from them."""
        rows = [(digest,) for digest in digests]
        self._run(lambda database: _delete(database, rows))

    def uses(self) -> dict[Digest, dict[str, DiskUse]]:
        """What entries take up on disk, by tag, as far as it was counted. Empty if the database cannot be read."""
        found: defaultdict[Digest, dict[str, DiskUse]] = defaultdict(dict)
        with suppress(sqlite3.Error, OSError):
            for digest, tag, stamp, files, folders, taken in self._run(_select_uses):
                use = DiskUse(tag=tag, stamp=stamp, files=files, folders=folders, disk_bytes=taken)
                found[digest][tag] = use
        return dict(found)

    def put_uses(self, uses: Mapping[Digest, Iterable[DiskUse]]) -> None:
        """Keep what entries take up on disk, in place of what was known of them; entries that are gone are left out.

        If it cannot be written, nothing happens.
        """
        with suppress(sqlite3.Error, OSError):
            self._run(lambda database: _replace_uses(database, uses))

    def get_many(self, kind: str, digests: Iterable[Digest]) -> dict[Digest, bytes]:
        """The data of this kind, by digest, for those of the digests that have some.

        Empty if the database cannot be read.
        """
        wanted = list(dict.fromkeys(digests))
        try:
            return self._run(lambda database: dict(_select_blobs(database, kind, wanted)))
        except (sqlite3.Error, OSError):
            return {}

    def problems(self) -> list[str]:
        """A sentence for each fault of the database file: it is gone, or what SQLite finds when it reads it anew."""
        if not self._path.exists():
            return ["it is gone"]
        self.close()  # what an open connection has in memory says nothing of the file
        try:
            with contextlib.closing(sqlite3.connect(self._path, timeout=_BUSY_TIMEOUT)) as database:
                found = database.execute("PRAGMA integrity_check").fetchall()
        except sqlite3.Error as error:
            return [f"it cannot be read: {error}"]
        return [str(message) for (message,) in found if message != "ok"]

    def blobs(self) -> list[tuple[Digest, str, bytes]]:
        """All derived data: digest, kind, data."""
        return self._run(lambda database: database.execute("SELECT digest, kind, data FROM blobs").fetchall())

    def put(self, kind: str, blobs: Mapping[Digest, bytes]) -> None:
        """Keep data derived from entries, replacing what was there under this kind.

        If it cannot be written, nothing happens.
        """
        rows = [(digest, kind, data) for digest, data in blobs.items()]
        statement = "INSERT OR REPLACE INTO blobs (digest, kind, data) VALUES (?, ?, ?)"
        with suppress(sqlite3.Error, OSError):
            self._run(lambda database: database.executemany(statement, rows))

    def rebuild(self) -> None:
        """Delete the database and build it again from the manifests; derived data is lost."""
        with self._mutex:
            self.close()
            for suffix in ("", "-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
            self._connect()

    def shrink(self) -> None:
        """Drop the pages of the database that are in memory, up to 2 MiB: the system has them as well."""
        with self._mutex, contextlib.suppress(sqlite3.DatabaseError):  # whoever asks next hears of a broken one
            if self._connection is not None:
                self._connection.execute("PRAGMA shrink_memory")

    def close(self) -> None:
        """Close the connection; the next call opens it again."""
        with self._mutex:
            if self._finalizer is not None:
                self._finalizer()
            self._connection = self._finalizer = None

    def _run(self, action: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Run the action in one transaction; on a corrupt or foreign database rebuild it and run it again."""
        with self._mutex:
            try:
                with self._connect() as database:
                    return action(database)
            except sqlite3.DatabaseError as error:
                if not _is_broken(error):
                    raise
            self.rebuild()
            with self._connect() as database:
                return action(database)

    def _connect(self) -> sqlite3.Connection:
        if self._connection is None:
            self._make_private()
            self._connection = sqlite3.connect(self._path, timeout=_BUSY_TIMEOUT, check_same_thread=False)
            self._finalizer = weakref.finalize(self, self._connection.close)
            try:
                self._prepare(self._connection)
            except BaseException:
                self.close()
                raise
        return self._connection

    def _make_private(self) -> None:
        """Make the file if it is missing: SQLite would let the umask decide who may read it, and its journals."""
        with suppress(OSError):  # it is there; or what is wrong with the path, SQLite tells
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
            os.fchmod(descriptor, PRIVATE)
            os.close(descriptor)

    def _prepare(self, database: sqlite3.Connection) -> None:
        """Set the connection up, check that the database is ours, and build it if it is empty."""
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")  # in WAL mode a power cut loses commits, never consistency
        _add_uses(database)
        if _is_built(database):
            return
        database.execute("BEGIN IMMEDIATE")
        with database:
            if not _is_built(database):  # another process may have been faster
                for statement in _SCHEMA:
                    database.execute(statement)
                _insert(database, list(self._manifests()))
                database.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")


class _ForeignSchemaError(sqlite3.DatabaseError):
    """The database was written by another version of storectl."""


def _is_broken(error: sqlite3.DatabaseError) -> bool:
    code: int | None = getattr(error, "sqlite_errorcode", None)  # absent if Python itself raised it
    return isinstance(error, _ForeignSchemaError) or (code is not None and code & 0xFF in _CORRUPT)


def _is_built(database: sqlite3.Connection) -> bool:
    """Whether the database is ours (true) or empty (false). Raises _ForeignSchemaError for any other."""
    version = _version_of(database)
    (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if version != _SCHEMA_VERSION and (version or tables):
        raise _ForeignSchemaError(f"schema version {version} is not {_SCHEMA_VERSION}")
    return version == _SCHEMA_VERSION


def _add_uses(database: sqlite3.Connection) -> None:
    """Bring a database of schema 1 to this one: its entries are counted when somebody asks."""
    if _version_of(database) != _VERSION_WITHOUT_USES:
        return
    database.execute("BEGIN IMMEDIATE")
    with database:
        if _version_of(database) == _VERSION_WITHOUT_USES:  # another process may have been faster
            database.execute(_USES)
            database.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")


def _version_of(database: sqlite3.Connection) -> int:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    return int(version)


def _insert(database: sqlite3.Connection, manifests: list[Manifest]) -> None:
    rows = [astuple(summary_of(manifest)) for manifest in manifests]
    database.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?)", rows)
    _replace_uses(database, {manifest.digest: [use_of_wheel(manifest)] for manifest in manifests})


def _replace_uses(database: sqlite3.Connection, uses: Mapping[Digest, Iterable[DiskUse]]) -> None:
    database.executemany("DELETE FROM uses WHERE digest = ?", [(digest,) for digest in uses])
    rows = [(digest, *astuple(use), digest) for digest, some in uses.items() for use in some]
    there = "WHERE EXISTS (SELECT 1 FROM entries WHERE digest = ?)"
    database.executemany(f"INSERT INTO uses SELECT ?, ?, ?, ?, ?, ? {there}", rows)


def _delete(database: sqlite3.Connection, rows: list[tuple[Digest]]) -> None:
    database.executemany("DELETE FROM entries WHERE digest = ?", rows)
    database.executemany("DELETE FROM blobs WHERE digest = ?", rows)
    database.executemany("DELETE FROM uses WHERE digest = ?", rows)


def _select_summaries(database: sqlite3.Connection) -> list[tuple[Digest, NormalizedName, str, str, int, int]]:
    return database.execute("SELECT digest, name, version, filename, wheel_size, unpacked_size FROM entries").fetchall()


def _select_uses(database: sqlite3.Connection) -> list[tuple[Digest, str, int, int, int, int]]:
    return database.execute("SELECT digest, tag, stamp, files, folders, disk_bytes FROM uses").fetchall()


def _select_blobs(database: sqlite3.Connection, kind: str, digests: list[Digest]) -> Iterator[tuple[Digest, bytes]]:
    for start in range(0, len(digests), _VARIABLES):
        some = digests[start : start + _VARIABLES]
        marks = ",".join("?" * len(some))
        yield from database.execute(
            f"SELECT digest, data FROM blobs WHERE kind = ? AND digest IN ({marks})",  # noqa: S608 - question marks only
            [kind, *some],
        )


def _select_sizes(database: sqlite3.Connection, digests: list[Digest]) -> Iterator[tuple[Digest, int]]:
    for start in range(0, len(digests), _VARIABLES):
        some = digests[start : start + _VARIABLES]
        marks = ",".join("?" * len(some))
        yield from database.execute(
            f"SELECT digest, unpacked_size FROM entries WHERE digest IN ({marks})",  # noqa: S608 - question marks only
            some,
        )
