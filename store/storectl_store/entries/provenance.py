"""Provenance: what a built wheel was built from, by what, for which interpreter. One JSON file for each build.

    <store>/builds/<key>.json     format 1, sealed (``sealed``); one from before there were seals is read too
    {"format": 1, "key", "name", "version", "kind": "wheel"|"editable", "source", "interpreter", "python",
     "backend", "build_requires": [as written], "installed": ["name==version"], "filename", "digest"}

The key is a digest of all that was asked for (see ``build_key``): whoever asks the same again finds the entry here, and
neither fetches nor builds. An entry says nothing of its origin itself: it is a function of its wheel's bytes.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from packaging.utils import NormalizedName

from storectl_store.digest import Digest, parse_digest
from storectl_store.entries.durability import disk_errors
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.sealed import opened, sealed
from storectl_store.entries.whole_files import replace_file

BUILD_FORMAT = 1
BuildKind = Literal["wheel", "editable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """One build. ``source`` is a digest, a commit with its repository, or a folder with the digest of its build files.

    ``interpreter`` is the identity of the interpreter, ``python`` its version. ``build_requires`` are the requirements as
    the source states them, ``installed`` what they came to.
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
    filename: str
    digest: Digest


def build_key(*, kind: BuildKind, source: str, subdirectory: str | None, interpreter: str) -> str:
    """64 hex digits over what is built, for what. The build requirements are part of the source."""
    parts = {
        "format": BUILD_FORMAT,
        "kind": kind,
        "source": source,
        "subdirectory": subdirectory,
        "interpreter": interpreter,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def write_provenance(layout: StoreLayout, provenance: Provenance) -> None:
    """Keep the record, in one step."""
    path = layout.builds / f"{provenance.key}.json"
    value = {"format": BUILD_FORMAT, **asdict(provenance)}
    with disk_errors(f"record the build of {provenance.name}"):
        path.parent.mkdir(exist_ok=True)
        replace_file(path, sealed(f"{json.dumps(value, sort_keys=True, indent=1)}\n".encode()))


def read_provenance(layout: StoreLayout, key: str) -> Provenance | None:
    """The record of the build with this key; None where there is none that this version can read."""
    try:
        value: dict[str, Any] = json.loads(opened((layout.builds / f"{key}.json").read_bytes())[0])
        if value.pop("format") != BUILD_FORMAT or value["key"] != key:
            return None
        return Provenance(
            **{
                **value,
                "name": NormalizedName(value["name"]),
                "digest": parse_digest(value["digest"]),
                "build_requires": tuple(value["build_requires"]),
                "installed": tuple(value["installed"]),
            }
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def provenance_of(layout: StoreLayout, digest: Digest) -> Iterator[Provenance]:
    """Every build that this entry came of; usually none, or one."""
    if not layout.builds.is_dir():
        return
    for path in sorted(layout.builds.glob("*.json")):
        provenance = read_provenance(layout, path.stem)
        if provenance is not None and provenance.digest == digest:
            yield provenance
