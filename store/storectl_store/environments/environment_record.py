"""``environment.json`` at the root of an environment: what it was made of. Format 2, one JSON object.

{"format": 2, "id": …, "interpreter": {"executable", "version", "cache_tag", "identity"}, "digests": [sha256:…],
 "direct_urls": {project: content of its direct_url.json}, "warnings": […]}
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.utils import NormalizedName

from storectl_store.digest import Digest, EnvironmentId, parse_digest
from storectl_store.environments.identity import NOTHING
from storectl_store.errors import StoreFormatError
from storectl_store.selection.target import Interpreter

RECORD_NAME = "environment.json"
RECORD_FORMAT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentRecord:
    """What a published environment was made of, as its ``environment.json`` says it; ``digests`` are sorted."""

    id: EnvironmentId
    executable: str
    version: str
    cache_tag: str
    interpreter_identity: str
    digests: tuple[Digest, ...]
    direct_urls: Mapping[NormalizedName, str] = field(default_factory=lambda: NOTHING)
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        environment_id: EnvironmentId,
        interpreter: Interpreter,
        digests: tuple[Digest, ...],
        direct_urls: Mapping[NormalizedName, str],
        warnings: tuple[str, ...],
    ) -> "EnvironmentRecord":
        """The record of an environment about to be published."""
        return cls(
            id=environment_id,
            executable=interpreter.executable,
            version=interpreter.version,
            cache_tag=interpreter.cache_tag,
            interpreter_identity=interpreter.identity,
            digests=tuple(sorted(digests)),
            direct_urls=direct_urls,
            warnings=warnings,
        )


def encode_record(record: EnvironmentRecord) -> bytes:
    """The content of ``environment.json`` for this record."""
    value = {
        "format": RECORD_FORMAT,
        "id": record.id,
        "interpreter": {
            "executable": record.executable,
            "version": record.version,
            "cache_tag": record.cache_tag,
            "identity": record.interpreter_identity,
        },
        "digests": list(record.digests),
        "direct_urls": dict(record.direct_urls),
        "warnings": list(record.warnings),
    }
    return json.dumps(value, indent=1, sort_keys=True).encode() + b"\n"


def read_environment(folder: Path) -> EnvironmentRecord:
    """Read the record of the environment in this folder.

    Raises StoreFormatError if this version finds none it can read.
    """
    try:
        data = (folder / RECORD_NAME).read_bytes()
    except OSError as error:
        raise _unreadable(folder, error) from error
    return decode_record(data, folder)


def decode_record(data: bytes, folder: Path) -> EnvironmentRecord:
    """The record in these bytes, which are those of the environment in this folder.

    Raises StoreFormatError if this version cannot read it.
    """
    try:
        value: dict[str, Any] = json.loads(data)
        if value["format"] != RECORD_FORMAT:
            raise StoreFormatError(f"environment format {value['format']!r} is not {RECORD_FORMAT}", path=str(folder))
        return EnvironmentRecord(
            id=EnvironmentId(value["id"]),
            executable=value["interpreter"]["executable"],
            version=value["interpreter"]["version"],
            cache_tag=value["interpreter"]["cache_tag"],
            interpreter_identity=value["interpreter"]["identity"],
            digests=tuple(parse_digest(digest) for digest in value["digests"]),
            direct_urls={NormalizedName(name): str(text) for name, text in value["direct_urls"].items()},
            warnings=tuple(value["warnings"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise _unreadable(folder, error) from error


def _unreadable(folder: Path, error: Exception) -> StoreFormatError:
    return StoreFormatError(f"{folder} is not a readable environment: {error}", path=str(folder))
