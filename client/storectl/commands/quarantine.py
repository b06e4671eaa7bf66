"""The store's quarantine, shown to people: what ``storectl store verify --repair`` found damaged and set aside.

Each folder in ``quarantine/`` holds what was set aside together, and a file ``why.json``, format 1:
``{"format": 1, "at": seconds since the epoch, "what": text, "was": [paths below the store], "why": [sentences]}``.
"""

import json
import os
import shlex
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from storectl.commands.output import size_text


def set_aside(store: Path) -> list[str]:
    """One line for each thing that was set aside: what, when, why, its size, and the command that removes it."""
    with suppress(FileNotFoundError):
        places = sorted((store / "quarantine").iterdir())
        return [f"{_told(place)}; remove with: rm -r {shlex.quote(str(place))}" for place in places]
    return []


def _told(place: Path) -> str:
    size = size_text(sum(_size(Path(parent, name)) for parent, _, names in os.walk(place) for name in names))
    try:
        told: dict[str, Any] = json.loads((place / "why.json").read_bytes())
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(told["at"]))
        first, *more = told["why"] or ["no reason was noted"]
    except (OSError, ValueError, KeyError, TypeError):
        return f"{place.name}, {size}"
    others = f", and {len(more)} findings more" if more else ""
    return f"{told['what']}, set aside {when} ({first}{others}), {size}"


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.lstat().st_size
    return 0
