"""A script that one interpreter runs to say what it is, as one JSON object on standard output.

    <python> -I -S interpreter_probe.py <folder that holds the package `packaging`>

It runs on whatever answers to the name of Python, so it keeps to the standard library and to syntax of 3.7: an old Python
shall say its version, not fail. ``tags`` are empty where packaging itself cannot be imported, which is before 3.9.

Keys: executable, version, implementation, cache_tag, base_prefix, platlibdir, abiflags, free_threaded, pointer_bits,
platform, libc, markers (all variables of dependency specifiers), tags (best first), extension_suffixes.
"""

from __future__ import annotations

import importlib.machinery
import json
import os
import platform
import struct
import sys
import sysconfig
from typing import Any

_VENV_DEPTH = 8


def base_executable() -> str:
    """Follow links and ``pyvenv.cfg`` to the interpreter behind every virtual environment."""
    path = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
    for _ in range(_VENV_DEPTH):
        home = _home(path)
        if home is None:
            break
        names = [os.path.basename(path), f"python{sys.version_info[0]}.{sys.version_info[1]}", "python3", "python"]
        found = [os.path.join(home, name) for name in names if os.path.isfile(os.path.join(home, name))]
        if not found:
            break
        path = os.path.realpath(found[0])
    return path


def _home(executable: str) -> str | None:
    """Return the ``home`` of the virtual environment that this executable belongs to, or None."""
    folder = os.path.dirname(executable)
    for candidate in (folder, os.path.dirname(folder)):
        try:
            with open(os.path.join(candidate, "pyvenv.cfg"), encoding="utf-8") as stream:
                lines = stream.read().splitlines()
        except (OSError, ValueError):
            continue
        for line in lines:
            key, separator, value = line.partition("=")
            if separator and key.strip().lower() == "home":
                return value.strip()
    return None


def full_version(info: Any) -> str:
    """Return ``3.14.0rc1`` for a version info; the form of ``implementation_version``."""
    version = f"{info.major}.{info.minor}.{info.micro}"
    return version if info.releaselevel == "final" else version + info.releaselevel[0] + str(info.serial)


def markers() -> dict[str, str]:
    """Return the variables of dependency specifiers."""
    return {
        "implementation_name": sys.implementation.name,
        "implementation_version": full_version(sys.implementation.version),
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_python_implementation": platform.python_implementation(),
        "platform_release": platform.release(),
        "platform_system": platform.system(),
        "platform_version": platform.version(),
        "python_full_version": platform.python_version(),
        "python_version": ".".join(platform.python_version_tuple()[:2]),
        "sys_platform": sys.platform,
    }


def tags(folder: str) -> list[str]:
    """Return the interpreter's wheel tags, best first, as packaging orders them in this very interpreter."""
    sys.path.append(folder)
    try:
        from packaging.tags import sys_tags  # noqa: PLC0415 # only findable now, and not by every Python

        return [str(tag) for tag in sys_tags()]
    except (ImportError, SyntaxError, TypeError):
        # TypeError: what packaging subscripts at import time is not subscriptable before 3.9.
        return []


def libc() -> str:
    """Return the name and version of the C library, such as ``glibc 2.36``; empty where the system does not say."""
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (AttributeError, OSError, ValueError):
        return ""


def facts(folder: str) -> dict[str, Any]:
    """Return everything that is asked of an interpreter."""
    return {
        "executable": base_executable(),
        "version": platform.python_version(),
        "implementation": sys.implementation.name,
        "cache_tag": sys.implementation.cache_tag,
        "base_prefix": sys.base_prefix,
        "platlibdir": getattr(sys, "platlibdir", "lib"),
        "abiflags": getattr(sys, "abiflags", ""),
        "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        "pointer_bits": struct.calcsize("P") * 8,
        "platform": sysconfig.get_platform(),
        "libc": libc(),
        "markers": markers(),
        "tags": tags(folder),
        "extension_suffixes": importlib.machinery.EXTENSION_SUFFIXES,
    }


if __name__ == "__main__":
    json.dump(facts(sys.argv[1]), sys.stdout)
