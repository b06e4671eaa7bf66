"""A script that one interpreter runs to say what it is, as one JSON object on standard output.

    <python> -I -S probe.py

It states facts only: `tags` makes wheel tags of them, in storectl's own process. So it imports nothing but the standard
library. It may be run by anything that is called Python, and keeps to the syntax of 3.6: an old Python is to state its
version, not to fail.

Keys: executable, version, implementation, cache_tag, base_prefix, platlibdir, abiflags, free_threaded, debug,
extension_suffixes, markers (all variables of dependency specifiers), and what wheel tags need besides: platform,
pointer_bits, glibc and musl and macos (a version such as ``2.36``, or empty), elf_header (hex), manylinux_refused.
"""

import importlib.machinery
import json
import os
import platform
import re
import struct
import sys
import sysconfig
from typing import Any, Dict, List, Optional  # noqa: UP035 - as 3.6 has them

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


def _home(executable: str) -> Optional[str]:
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


def markers() -> Dict[str, str]:
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


def libc() -> str:
    """Return the name and version of the C library, such as ``glibc 2.36``; empty if the system does not say."""
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (AttributeError, OSError, ValueError):
        return ""


def glibc() -> str:
    """Return the version of the GNU C library, such as ``2.36``; empty if there is another one."""
    name, _, version = libc().partition(" ")
    return version if name == "glibc" else ""


def musl() -> str:
    """Return the version of the musl C library that this process runs on, such as ``1.2``; empty if it is another one.

    The library is its own loader, and says its version on stderr if it is run by itself.
    """
    for path in _loaded_libraries():
        name = os.path.basename(path)
        if not name.startswith("ld-musl-") and name != "libc.so":
            continue
        import subprocess  # noqa: PLC0415 - few systems need it

        said = subprocess.run([path], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False).stderr
        found = re.match(r"musl libc.*\nVersion (\d+\.\d+)", said.decode("ascii", "replace"))
        if found:
            return found.group(1)
    return ""


def _loaded_libraries() -> List[str]:
    """Return the files that are mapped into this process, on Linux."""
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as stream:
            fields = [line.rstrip("\n").split(None, 5) for line in stream]
    except OSError:
        return []
    return sorted({parts[5] for parts in fields if len(parts) == 6 and parts[5].startswith("/")})


def elf_header() -> str:
    """Return the first bytes of the program that runs, in hex: they tell two kinds of 32-bit ARM apart."""
    try:
        with open(sys.executable, "rb") as stream:
            return stream.read(64).hex()
    except OSError:
        return ""


def manylinux_refused() -> List[str]:
    """Return the versions of glibc whose wheels the distributor's own ``_manylinux`` module refuses (PEP 600)."""
    try:
        import _manylinux  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 # few systems have it
    except ImportError:
        return []
    versions = re.match(r"2\.(\d+)", glibc())
    newest = int(versions.group(1)) if versions else 0
    return [f"2.{minor}" for minor in range(newest, 4, -1) if not _is_allowed(_manylinux, minor)]


def _is_allowed(policy: Any, minor: int) -> bool:
    if hasattr(policy, "manylinux_compatible"):
        answer = policy.manylinux_compatible(2, minor, platform.machine())
        return answer is None or bool(answer)
    name = {5: "manylinux1", 12: "manylinux2010", 17: "manylinux2014"}.get(minor, "")
    return bool(getattr(policy, f"{name}_compatible", True))


def facts() -> Dict[str, Any]:
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
        "debug": bool(sysconfig.get_config_var("Py_DEBUG")),
        "extension_suffixes": importlib.machinery.EXTENSION_SUFFIXES,
        "markers": markers(),
        "platform": sysconfig.get_platform(),
        "pointer_bits": struct.calcsize("P") * 8,
        "glibc": glibc(),
        "musl": "" if glibc() else musl(),
        "macos": platform.mac_ver()[0],
        "elf_header": elf_header(),
        "manylinux_refused": manylinux_refused(),
    }


if __name__ == "__main__":
    json.dump(facts(), sys.stdout)
