"""Targets made up for tests: an interpreter of any version on any platform, without running one."""

import os
from dataclasses import replace
from pathlib import Path

from packaging.tags import compatible_tags, cpython_tags, mac_platforms

from storectl_store.interpreters.book import InterpreterBook
from storectl_store.selection.target import Interpreter, Target

PLATFORMS = {
    "linux": [f"manylinux_2_{minor}_x86_64" for minor in range(36, 16, -1)] + ["manylinux2014_x86_64", "linux_x86_64"],
    "darwin": list(mac_platforms((14, 0), "arm64")),
    "win32": ["win_amd64"],
}
_MARKERS = {
    "linux": {"os_name": "posix", "platform_machine": "x86_64", "platform_system": "Linux"},
    "darwin": {"os_name": "posix", "platform_machine": "arm64", "platform_system": "Darwin"},
    "win32": {"os_name": "nt", "platform_machine": "AMD64", "platform_system": "Windows"},
}


def make_interpreter(version: str = "3.12.1", platform: str = "linux") -> Interpreter:
    major, minor = (int(part) for part in version.split(".")[:2])
    platforms = PLATFORMS[platform]
    abi = f"cp{major}{minor}"
    tags = [
        *cpython_tags((major, minor), abis=[abi], platforms=platforms),
        *compatible_tags((major, minor), interpreter=abi, platforms=platforms),
    ]
    return Interpreter(
        executable=f"/python/{version}/bin/python3",
        identity=f"{platform}-{version}",
        version=version,
        implementation="cpython",
        cache_tag=f"cpython-{major}{minor}",
        base_prefix=f"/python/{version}",
        platlibdir="lib",
        abiflags="",
        markers={
            **_MARKERS[platform],
            "implementation_name": "cpython",
            "implementation_version": version,
            "platform_python_implementation": "CPython",
            "platform_release": "6.1.0",
            "platform_version": "#1",
            "python_full_version": version,
            "python_version": f"{major}.{minor}",
            "sys_platform": platform,
        },
        tags=tuple(str(tag) for tag in tags),
        extension_suffixes=(f".cpython-{major}{minor}-x86_64-linux-gnu.so", ".abi3.so", ".so"),
    )


def make_target(
    version: str = "3.12.1",
    platform: str = "linux",
    *,
    extras: tuple[str, ...] = (),
    all_extras: bool = False,
    groups: tuple[str, ...] | None = None,
    default_groups: bool | None = None,
    project: bool = True,
) -> Target:
    """A target; ``groups`` alone are exactly those to select, None the default ones."""
    return Target(
        interpreter=make_interpreter(version, platform),
        extras=frozenset(extras),
        all_extras=all_extras,
        groups=frozenset(groups or ()),
        default_groups=groups is None if default_groups is None else default_groups,
        project=project,
    )


def real_interpreter(version: str, python: str) -> Interpreter:
    """One with the markers and tags of a real interpreter; that they are right is for test_interpreter_tags.py to say."""
    real = InterpreterBook(Path(os.devnull)).inspect(python)
    return replace(make_interpreter(version), markers=real.markers, tags=real.tags)
