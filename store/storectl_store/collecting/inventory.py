"""The inventory: which environments and entries a store has, and which environment names which entry.

It is read from names, times and the records of environments (``environment.json``), in one go. The store may change
meanwhile: what goes between a listing and a look is left out, and what comes is not seen. So the sweep looks again.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from storectl_shim.leases import LEASED
from storectl_store.digest import Digest, EnvironmentId, is_environment_id
from storectl_store.disk.durability import disk_errors
from storectl_store.entries.layout import UNPUBLISHED, StoreLayout
from storectl_store.environments.environment_record import RECORD_NAME, decode_record
from storectl_store.environments.made_by import Maker, maker_of
from storectl_store.environments.publish import HasLayout
from storectl_store.errors import StoreFormatError

_MANIFEST = re.compile(r"([0-9a-f]{64})\.json")
_NO_TIMES: Mapping[EnvironmentId, float] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEnvironment:
    """An environment that is there. ``digests`` are the entries that it names; None if its record cannot be read.

    ``published`` and ``last_used`` are times in seconds of the system clock. The last use is the last access of the
    file that every Python reads when it starts in the environment, and that is leased.
    """

    id: EnvironmentId
    digests: frozenset[Digest] | None
    published: float
    last_used: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """What a store had when it was looked at. ``entries`` says when each visible entry was published, in seconds.

    ``copies`` are the entries that folders name which stand among the environments and have another name than an id,
    such as a copy that a person made.
    """

    environments: Mapping[EnvironmentId, StoredEnvironment]
    entries: Mapping[Digest, float]
    copies: frozenset[Digest] = frozenset()

    @property
    def unreadable(self) -> tuple[EnvironmentId, ...]:
        """The environments of which nobody knows what they name. As long as there are some, no entry is dead."""
        return tuple(each.id for each in self.environments.values() if each.digests is None)

    def showing(self, digest: Digest) -> Iterator[StoredEnvironment]:
        """The environments that name this entry."""
        return (each for each in self.environments.values() if each.digests is not None and digest in each.digests)

    def back_references(self) -> dict[Digest, list[EnvironmentId]]:
        """For each entry that an environment names, the environments that do. For one entry ``showing`` is quicker."""
        found: dict[Digest, list[EnvironmentId]] = {}
        for each in self.environments.values():
            for digest in each.digests or ():
                found.setdefault(digest, []).append(each.id)
        return found


def read_inventory(store: HasLayout, *, used: Mapping[EnvironmentId, float] = _NO_TIMES) -> Inventory:
    """Look at the store. ``used`` are later uses of environments that the caller has seen, such as a lease.

    Raises StoreError if anything cannot be looked at, other than because it has gone: then nothing may be deleted.
    """
    layout = store.layout
    with disk_errors(f"look at what is in the store {layout.root}"):
        entries = dict(_entries(layout))
        names: dict[str, Digest] = {digest: digest for digest in entries}
        found = list(_environments(layout, names, used))
    return Inventory(
        environments={each.id: each for each in found if is_environment_id(each.id)},
        entries=entries,
        copies=frozenset().union(*(each.digests or () for each in found if not is_environment_id(each.id))),
    )


def named_by(folder: Path) -> frozenset[Digest] | None:
    """The entries that the environment in this folder names; None if its record is lost, or cannot be read.

    Raises FileNotFoundError if there is no such folder, and another OSError if it cannot be looked at.
    """
    return _named_by(folder, {})


def _entries(layout: StoreLayout) -> Iterator[tuple[Digest, float]]:
    with os.scandir(layout.meta) as found:
        for file in found:
            if match := _MANIFEST.fullmatch(file.name):
                with suppress(FileNotFoundError):
                    yield Digest(f"sha256:{match[1]}"), file.stat(follow_symlinks=False).st_mtime


def _environments(
    layout: StoreLayout, names: Mapping[str, Digest], used: Mapping[EnvironmentId, float]
) -> Iterator[StoredEnvironment]:
    with os.scandir(layout.environments) as found:
        folders = [each.name for each in found if not each.name.startswith(UNPUBLISHED) and each.is_dir()]
    for name in map(EnvironmentId, folders):
        with suppress(FileNotFoundError):
            yield _environment(layout.environment(name), names, used.get(name, 0.0))


def _environment(folder: Path, names: Mapping[str, Digest], used: float) -> StoredEnvironment:
    published = os.stat(folder).st_mtime
    with suppress(FileNotFoundError):  # a damaged environment; the time of its publication is known
        used = max(used, os.stat(folder / LEASED).st_atime)
    return StoredEnvironment(
        id=EnvironmentId(folder.name),
        digests=_named_by(folder, names),
        published=published,
        last_used=max(published, used),
    )


def _named_by(folder: Path, names: Mapping[str, Digest]) -> frozenset[Digest] | None:
    """The entries that an environment names, as the objects in ``names`` if they are there, which saves memory.

    The id of an environment is a digest of all that it names: so a damaged record, or another's, is known.
    """
    try:
        record = decode_record((folder / RECORD_NAME).read_bytes(), folder)
        if not is_environment_id(folder.name) or maker_of(folder, record) is not Maker.UNKNOWN:
            return frozenset(names.get(digest, digest) for digest in record.digests)
    except (FileNotFoundError, StoreFormatError):
        pass
    os.stat(folder)  # raises if it has gone meanwhile
    return None
