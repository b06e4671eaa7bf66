"""Provenance: what a wheel was built from, by which backend, for which interpreter. One JSON file for each build.

    <store>/builds/<key>.<16 hex>.json     format 2, sealed (``sealed``)
    {"format": 2, "key", "name", "version", "kind": "wheel"|"editable", "source", "interpreter", "python",
     "backend", "build_requires": [as written], "installed": ["name==version"], "variables": {name: digest},
     "filename", "digest"}

The key is a digest of all that was asked for (see ``build_key``). A build may look up variables. Under one key there is
a record for each set of their values: a later request with the same values finds the entry here, and neither fetches
nor builds.

A value may be a token, so the record holds digests of variables as ``storectl_shim.project_record`` makes them, with
the store's key. Addresses are kept without logins. The entry itself says nothing of its origin: it is a function of its
wheel's bytes.
"""

import hashlib
import json
import os
import secrets
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from packaging.utils import NormalizedName

from storectl_shim.project_record import VARIABLES_KEY_BYTES, variables_key
from storectl_store.digest import Digest, parse_digest
from storectl_store.disk.durability import disk_errors
from storectl_store.disk.whole_files import PRIVATE, replace_file
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.sealed import opened, sealed
from storectl_store.entries.store import Store
from storectl_store.entries.trusted_path import is_kept

_CHECK_BYTES = 4  # of the variables' key, at its end: the first bytes of the sha256 of what comes before
BUILD_FORMAT = 2
BuildKind = Literal["wheel", "editable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """One build. ``source`` is a digest, a commit with its repository, or a folder with the digest of its build files.

    ``interpreter`` is the identity of the interpreter, ``python`` its version. ``build_requires`` are the requirements
    as the source states them, ``installed`` the distributions that satisfied them. ``variables`` are those on which the
    build depends: name -> digest of the value.
    """

    key: str
    name: NormalizedName
    version: str
    kind: BuildKind
    source: str
    interpreter: str
    python: str
    backend: str
    build_requires: tuple[str, ...]
    installed: tuple[str, ...]
    variables: Mapping[str, str]
    filename: str
    digest: Digest


def build_key(*, kind: BuildKind, source: str, subdirectory: str | None, interpreter: str, recipe: str = "") -> str:
    """64 hex digits over what is built, for which interpreter, and how. The build requirements are part of the source.

    ``recipe`` is a digest of what a tool's configuration says of the build; empty if it says nothing.
    """
    parts = {
        "format": BUILD_FORMAT,
        "kind": kind,
        "source": source,
        "subdirectory": subdirectory,
        "interpreter": interpreter,
        "recipe": recipe,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def kept_variables_key(layout: StoreLayout) -> bytes:
    """The key of the store's digests of variables; made now if there is none.

    Only the store's owner may read the file.
    """
    known = variables_key(str(layout.root))
    if known is not None:
        return known
    head = secrets.token_bytes(VARIABLES_KEY_BYTES - _CHECK_BYTES)
    made = head + hashlib.sha256(head).digest()[:_CHECK_BYTES]
    with disk_errors("keep a key for the variables of builds"):
        replace_file(layout.variables_key, made, mode=PRIVATE)
    return made


def variables_key_problem(layout: StoreLayout) -> str | None:
    """What is wrong with the key of variables; None if it is as it was made, or if there is none."""
    try:
        key = layout.variables_key.read_bytes()
    except FileNotFoundError:
        return None
    head, check = key[:-_CHECK_BYTES], key[-_CHECK_BYTES:]
    is_whole = len(key) == VARIABLES_KEY_BYTES and hashlib.sha256(head).digest()[:_CHECK_BYTES] == check
    return None if is_whole else "its last bytes are not the check of the others"


def write_provenance(layout: StoreLayout, provenance: Provenance) -> None:
    """Write the record, in one step. It replaces the record of the same build with the same variables."""
    path = layout.builds / f"{provenance.key}.{_digest_of(provenance.variables)}.json"
    value = {"format": BUILD_FORMAT, **asdict(provenance)}
    with disk_errors(f"record the build of {provenance.name}"):
        path.parent.mkdir(exist_ok=True)
        replace_file(path, sealed(f"{json.dumps(value, sort_keys=True, indent=1)}\n".encode()))


def _digest_of(variables: Mapping[str, str]) -> str:
    text = json.dumps(dict(variables), sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def provenances(layout: StoreLayout, key: str) -> list[Provenance]:
    """The records of builds with this key that this version can read, the newest first."""
    found = [(record, path) for path in layout.builds.glob(f"{key}.*.json") if (record := _read(path)) is not None]
    found = [(record, path) for record, path in found if record.key == key]
    return [record for record, _ in sorted(found, key=lambda pair: -_time_of(pair[1]))]


def kept_provenances(layout: StoreLayout, key: str, owners: Collection[int]) -> list[Provenance]:
    """As ``provenances``, of another account's store: those that its owners keep. None if they cannot be read."""
    kept = []
    with suppress(OSError):
        if is_kept(os.lstat(layout.builds), owners):
            files = [path for path in layout.builds.glob(f"{key}.*.json") if is_kept(os.lstat(path), owners)]
            kept = [record for path in files if (record := _read(path)) is not None and record.key == key]
    return kept


def provenance_of(layout: StoreLayout, digest: Digest) -> Iterator[Provenance]:
    """Every build that produced this entry; usually none, or one."""
    for path in sorted(layout.builds.glob("*.json")):
        provenance = _read(path)
        if provenance is not None and provenance.digest == digest:
            yield provenance


def builds_by_entry(layout: StoreLayout) -> dict[Digest, list[Path]]:
    """The files of all records of builds that this version can read, by the entry that the build produced."""
    found: dict[Digest, list[Path]] = {}
    for path in sorted(layout.builds.glob("*.json")):
        provenance = _read(path)
        if provenance is not None:
            found.setdefault(provenance.digest, []).append(path)
    return found


def drop_builds_without_entry(store: Store) -> int:
    """Delete the records of builds whose entry is gone. Returns how many. An entry is there before its record is."""
    dropped = 0
    for path in store.layout.builds.glob("*.json"):
        provenance = _read(path)
        if provenance is not None and not store.has(provenance.digest):
            path.unlink(missing_ok=True)
            dropped += 1
    return dropped


def remove_older_formats(layout: StoreLayout) -> None:
    """Delete the records of format 1: no code reads them, and there may be logins in them."""
    with disk_errors("remove old records of builds"):
        for path in layout.builds.glob("*.json"):
            if "." not in path.stem:
                path.unlink(missing_ok=True)


def _time_of(path: Path) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def _read(path: Path) -> Provenance | None:
    """The record in this file; None if this version cannot read it."""
    try:
        value: dict[str, Any] = json.loads(opened(path.read_bytes())[0])
        if value.pop("format") != BUILD_FORMAT:
            return None
        return Provenance(
            **{
                **value,
                "name": NormalizedName(value["name"]),
                "digest": parse_digest(value["digest"]),
                "build_requires": tuple(value["build_requires"]),
                "installed": tuple(value["installed"]),
                "variables": {str(name): str(digest) for name, digest in value["variables"].items()},
            }
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
