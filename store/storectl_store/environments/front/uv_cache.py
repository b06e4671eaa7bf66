"""``uv_cache.json`` in the metadata of a local project: what uv compares to know that it need not build it again.

{"timestamp": the latest change of pyproject.toml, setup.py and setup.cfg, "directories": {"src": its birth or null}, …}

That is what uv writes (seen with 0.13) for a project without ``cache-keys``: changes are ``st_ctime``, births those of
``statx(2)``. Without a file that fits, ``uv sync`` builds the project and puts its own build in the place of ours.
"""

import ctypes
import json
import os
import struct
import tomllib
from pathlib import Path
from urllib.parse import unquote, urlsplit

_AT_FDCWD = -100
_STATX_BTIME = 0x800  # linux/stat.h
_STATX_SIZE, _BIRTH = 256, 80
_INPUTS = ("pyproject.toml", "setup.py", "setup.cfg")


def uv_cache_of(direct_url: bytes) -> bytes | None:
    """The content of the file for a project with this ``direct_url.json``; None if it comes from no folder.

    None also if its ``cache-keys`` say what counts, or if the file system does not tell when a folder was made.
    """
    try:
        value = json.loads(direct_url)
        if "dir_info" not in value:
            return None
        project = Path(unquote(urlsplit(value["url"]).path), value.get("subdirectory", ""))
        table = tomllib.loads((project / "pyproject.toml").read_text()).get("tool", {}).get("uv", {})
        if "cache-keys" in table:
            return None
        changed = max(os.stat(project / name).st_ctime_ns for name in _INPUTS if (project / name).exists())
        source = project / "src"
        births = {"src": _time(_birth_ns(source)) if source.is_dir() else None}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return json.dumps(
        {"timestamp": _time(changed), "commit": None, "tags": None, "env": {}, "directories": births}
    ).encode()


def _time(ns: int) -> dict[str, int]:
    seconds, rest = divmod(ns, 10**9)
    return {"secs_since_epoch": seconds, "nanos_since_epoch": rest}


def _birth_ns(path: Path) -> int:
    """When the folder was made. OSError if the system does not tell."""
    statx = getattr(ctypes.CDLL(None, use_errno=True), "statx", None)
    buffer = ctypes.create_string_buffer(_STATX_SIZE)
    if statx is None or statx(_AT_FDCWD, os.fsencode(path), 0, _STATX_BTIME, buffer) != 0:
        raise OSError(ctypes.get_errno(), "no statx")
    (mask,) = struct.unpack_from("=I", buffer)
    if not mask & _STATX_BTIME:
        raise OSError(0, "no time of birth")
    seconds, nanoseconds = struct.unpack_from("=qI", buffer, _BIRTH)
    return int(seconds) * 10**9 + int(nanoseconds)
