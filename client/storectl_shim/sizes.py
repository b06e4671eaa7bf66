"""Sizes as people write them: ``20G``, ``500 MB``, ``1.5T``, ``2GiB``; without a unit they are bytes."""

from __future__ import annotations

import re

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([kmgt])(i?))?b?", re.IGNORECASE)
_POWERS = " kmgt"


def parse_size(text: str) -> int:
    """The bytes that the text means. A unit is a power of 1000, with an ``i`` of 1024. ValueError if it is no size."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no size")
    number, unit, binary = match.groups()
    return int(float(number) * (1024 if binary else 1000) ** _POWERS.index((unit or " ").lower()))
