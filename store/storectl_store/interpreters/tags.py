"""The wheel tags of an interpreter, from the facts that it told. Pure: nothing is asked of the running process.

``packaging`` computes the tags of the interpreter that imports it. Most of its functions take what they need as
arguments. What it finds out only by looking at its own process is given to it here: the platforms of Linux and the
ABIs.
"""

import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from packaging.tags import compatible_tags, cpython_tags, mac_platforms

_X86 = frozenset({"x86_64", "i686"})
_MANYLINUX = frozenset({"x86_64", "aarch64", "ppc64", "ppc64le", "s390x", "loongarch64", "riscv64"})
"""Architectures whose every Linux can run manylinux wheels; i686 and armv7l depend on how the interpreter was built."""

_LEGACY_NAMES = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
"""Names that came before PEP 600, by the minor version of glibc 2."""

_ELF32_LITTLE, _ELF_I386, _ELF_ARM = b"\x7fELF\x01\x01", 3, 40
_ARM_ABI_MASK, _ARM_ABI_5, _ARM_HARD_FLOAT = 0xFF000000, 0x05000000, 0x00000400


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """The system that an interpreter runs on: all that its wheel tags depend on besides its version and ABI.

    ``platform`` is ``sysconfig.get_platform()``, ``machine`` and ``name`` are ``platform.machine()`` and ``.system()``.
    Versions are texts such as ``2.36``, empty if the interpreter has another C library or system. ``elf_header`` is the
    beginning of its executable. ``refused`` are the versions of glibc whose wheels the distributor does not allow.
    """

    name: str
    platform: str
    machine: str
    pointer_bits: int
    glibc: str
    musl: str
    macos: str
    elf_header: bytes
    refused: frozenset[str]


def tags_of(version: str, abi_flags: Sequence[str], system: System) -> tuple[str, ...]:
    """The tags of a CPython, best first.

    ``version`` is its release, such as ``3.13.1``. Each of ``abi_flags`` is one ABI that it can load, the
    best first: ``["t"]`` is that of a free-threaded build, ``["d", ""]`` are those of a debug build.
    """
    feature = _numbers(version)[:2]
    short = f"cp{feature[0]}{feature[1]}"
    platforms = list(_platforms(system))
    tags = cpython_tags(feature, [f"{short}{flags}" for flags in abi_flags], platforms)
    return (*map(str, tags), *map(str, compatible_tags(feature, short, platforms)))


def _platforms(system: System) -> Iterator[str]:
    if system.name == "Darwin":
        major, minor = (*_numbers(system.macos), 0)[:2]
        yield from mac_platforms((major, minor), _mac_architecture(system))
        return
    native = re.sub(r"[-. ]", "_", system.platform)
    if system.name != "Linux" or not native.startswith("linux_"):
        yield native
        return
    architectures = _linux_architectures(native.removeprefix("linux_"), system.pointer_bits)
    for architecture in architectures:
        yield f"linux_{architecture}"
    if _runs_manylinux(architectures, system.elf_header):
        yield from _manylinux(architectures, system)
    yield from _musllinux(architectures, system.musl)


def _mac_architecture(system: System) -> str:
    if system.pointer_bits == 64:
        return system.machine
    return "ppc" if system.machine.startswith("ppc") else "i386"


def _linux_architectures(architecture: str, pointer_bits: int) -> list[str]:
    """The architectures whose wheels run here, best first. A 32-bit interpreter may run on a 64-bit kernel."""
    if pointer_bits == 32:
        architecture = {"x86_64": "i686", "aarch64": "armv8l"}.get(architecture, architecture)
    return ["armv8l", "armv7l"] if architecture == "armv8l" else [architecture]


def _runs_manylinux(architectures: list[str], header: bytes) -> bool:
    if "armv7l" in architectures:
        machine, flags = _elf32(header)
        return machine == _ELF_ARM and flags & _ARM_ABI_MASK == _ARM_ABI_5 and bool(flags & _ARM_HARD_FLOAT)
    if "i686" in architectures:
        return _elf32(header)[0] == _ELF_I386
    return not _MANYLINUX.isdisjoint(architectures)


def _elf32(header: bytes) -> tuple[int, int]:
    """The machine and the flags of a 32-bit little-endian ELF header; (0, 0) for any other one."""
    if len(header) < 40 or not header.startswith(_ELF32_LITTLE):
        return 0, 0
    machine, flags = struct.unpack_from("<H", header, 18) + struct.unpack_from("<I", header, 36)
    return machine, flags


def _manylinux(architectures: list[str], system: System) -> Iterator[str]:
    """Every glibc from the interpreter's own down to 2.17, or to 2.5 on x86 (PEP 600)."""
    major, newest = (*_numbers(system.glibc), 0, 0)[:2]
    if major != 2:
        return
    oldest = 17 if _X86.isdisjoint(architectures) else 5
    for architecture in architectures:
        for minor in range(newest, oldest - 1, -1):
            if f"2.{minor}" in system.refused:
                continue
            yield f"manylinux_2_{minor}_{architecture}"
            if minor in _LEGACY_NAMES:
                yield f"{_LEGACY_NAMES[minor]}_{architecture}"


def _musllinux(architectures: list[str], musl: str) -> Iterator[str]:
    """Every musl from the interpreter's own down to that release's ``.0`` (PEP 656)."""
    if not musl:
        return
    major, newest = _numbers(musl)[:2]
    for architecture in architectures:
        for minor in range(newest, -1, -1):
            yield f"musllinux_{major}_{minor}_{architecture}"


def _numbers(version: str) -> tuple[int, ...]:
    """``(3, 14, 0)`` of ``3.14.0rc1``: the numbers at its beginning."""
    matched = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(map(int, matched[0].split("."))) if matched else ()
