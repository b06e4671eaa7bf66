"""``environment.json`` at the root of an environment: what it was made of. Format 1, one JSON object.

{"format": 1, "id": …, "interpreter": {"executable", "version", "cache_tag", "identity"}, "digests": [sha256:…],
 "local": [{"name", "path", "roots"}], "warnings": […]}
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import NormalizedName

from storectl_store.digest import Digest, parse_digest
from storectl_store.environments.local_code import LocalCode
from storectl_store.errors import StoreFormatError
from storectl_store.selection.target import Interpreter

RECORD_NAME = "environment.json"
RECORD_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentRecord:
    """What a published environment says of itself; ``digests`` are sorted."""

    id: str
    executable: str
    version: str
    cache_tag: str
    interpreter_identity: str
    digests: tuple[Digest, ...]
    local: tuple[LocalCode, ...] = ()
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        environment_id: str,
        interpreter: Interpreter,
        digests: tuple[Digest, ...],
        local: tuple[LocalCode, ...],
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
            local=local,
            warnings=warnings,
        )


def encode_record(record: EnvironmentRecord) -> bytes:
    """The bytes of ``environment.json``."""
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
        "local": [{"name": code.name, "path": code.path, "roots": list(code.roots)} for code in record.local],
        "warnings": list(record.warnings),
    }
    return json.dumps(value, indent=1, sort_keys=True).encode() + b"\n"


def read_environment(folder: Path) -> EnvironmentRecord:
    """The record of the environment in this folder; StoreFormatError where there is none that this version can read."""
    try:
        value: dict[str, Any] = json.loads((folder / RECORD_NAME).read_bytes())
        if value["format"] != RECORD_FORMAT:
            raise StoreFormatError(f"environment format {value['format']!r} is not {RECORD_FORMAT}", path=str(folder))
        return EnvironmentRecord(
            id=value["id"],
            executable=value["interpreter"]["executable"],
            version=value["interpreter"]["version"],
            cache_tag=value["interpreter"]["cache_tag"],
            interpreter_identity=value["interpreter"]["identity"],
            digests=tuple(parse_digest(digest) for digest in value["digests"]),
            local=tuple(
                LocalCode(name=NormalizedName(code["name"]), path=code["path"], roots=tuple(code["roots"]))
                for code in value["local"]
            ),
            warnings=tuple(value["warnings"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreFormatError(f"{folder} is not a readable environment: {error}", path=str(folder)) from error
