"""``<front>/.storectl/record``: what storectl made of a folder, and whether it was finished. Format 1, one JSON object.

{"format": 1, "whole": true, "environment": folder of the environment, "front": folder of the front when it was made,
 "options": {…}}

Paths are bytes: those that are not UTF-8 are lone surrogates in it (PEP 383).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from storectl_store.disk.whole_files import replace_file

OWN_FOLDER = ".storectl"
RECORD = f"{OWN_FOLDER}/record"
_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontRecord:
    """What a front was made from. It is not ``whole`` from the first change until the last one is done.

    ``options`` are those of the environment, as the daemon encodes them.
    """

    environment: str
    front: str
    whole: bool
    options: Mapping[str, Any] = field(default_factory=dict)


def read_front(front: Path) -> FrontRecord | None:
    """The record of the front in this folder; None if the folder is none, or one of a later format.

    A checkout may bring such a folder, so nothing is believed: a link in the place of our own folder is no front.
    """
    try:
        content = (front / RECORD).read_bytes()
        return None if (front / OWN_FOLDER).is_symlink() else decode_front(content)
    except OSError:
        return None


def decode_front(content: bytes) -> FrontRecord | None:
    """The record with this content; None if it is none, or one of a later format."""
    try:
        value = json.loads(content)
        texts = isinstance(value["environment"], str) and isinstance(value["front"], str)
        known = value["format"] == _FORMAT and texts and isinstance(value["options"], dict)
        if not known:
            return None
        return FrontRecord(
            environment=value["environment"],
            front=value["front"],
            whole=value["whole"] is True,
            options=value["options"],
        )
    except (ValueError, KeyError, TypeError):
        return None


def write_front(front: Path, record: FrontRecord) -> None:
    """Replace the record. Raises OSError if the disk refuses."""
    value = {
        "format": _FORMAT,
        "whole": record.whole,
        "environment": record.environment,
        "front": record.front,
        "options": dict(record.options),
    }
    (front / OWN_FOLDER).mkdir(exist_ok=True)
    replace_file(front / RECORD, json.dumps(value, indent=1, sort_keys=True).encode() + b"\n", mode=0o644)
