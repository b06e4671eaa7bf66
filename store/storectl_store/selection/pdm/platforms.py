"""The platforms that a ``pdm.lock`` is for, in PDM's words.

    linux, windows, macos, alpine                   short for the platform that PDM means by it
    manylinux_2_17_x86_64, macos_14_0_arm64         a system with its version, and the architecture
    windows_amd64, macos_arm64                      a system without a version

A target allows an interpreter of the same system and architecture (``EnvSpec.compare`` of dep-logic, which PDM uses).
If the target's version of the system is newer than the machine's, PDM only warns: it chooses a wheel that fits in any
case.
"""

import re

from storectl_store.selection.target import Interpreter

_SHORT = {
    "linux": "manylinux_2_40_x86_64",
    "windows": "windows_amd64",
    "macos": "macos_14_0_arm64",
    "alpine": "musllinux_1_2_x86_64",
}
_PLATFORM = re.compile(r"([a-z]+)(?:_\d+_\d+)?_(\w+)")
_SYSTEMS = {"darwin": "macos", "win32": "windows"}
_ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64", "i386": "x86", "i686": "x86"}


def allows_platform(platform: str, interpreter: Interpreter) -> bool:
    """Whether a target with this platform allows the interpreter."""
    match = _PLATFORM.fullmatch(_SHORT.get(platform, platform).lower())
    if match is None:
        return False
    return (match[1], _architecture(match[2])) == (
        _system_of(interpreter),
        _architecture(interpreter.markers.get("platform_machine", "").lower()),
    )


def _system_of(interpreter: Interpreter) -> str:
    system = interpreter.markers.get("sys_platform", "")
    if system == "linux":
        return "musllinux" if any("-musllinux_" in tag for tag in interpreter.tags) else "manylinux"
    return _SYSTEMS.get(system, system)


def _architecture(name: str) -> str:
    return _ARCHITECTURES.get(name, name)
