"""uv.lock, pylock.toml and requirements.txt of real projects against uv and pip: what they install is what is selected."""

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from uv import find_uv_bin

from storectl_store.errors import NoWheelError
from storectl_store.selection.reading import read_lock_file
from storectl_store.selection.select import select
from storectl_store.selection.target import Target
from support.index import LoopbackIndex
from support.installed import Taken, selected_from
from support.stand_ins import PLATFORMS, Locked, interpreter_on, taken_of
from support.targets import real_interpreter
from support.tools import install_tool

pytestmark = [
    pytest.mark.network,
    pytest.mark.parametrize("locked", ["free", pytest.param("pinned", marks=pytest.mark.whole)], indirect=True),
]

Record = Callable[[str, object], None]
OPTIONS: dict[tuple[str, ...], dict[str, Any]] = {
    (): {},
    ("--no-default-groups",): {"default_groups": False},
    ("--extra=first",): {"extras": {"first"}},
    ("--extra=second",): {"extras": {"second"}},
    ("--all-extras", "--no-default-groups"): {"all_extras": True, "default_groups": False},
    ("--group=docs",): {"groups": {"docs"}},
    ("--only-group=docs",): {"groups": {"docs"}, "default_groups": False, "project": False},
    ("--only-group=test", "--only-group=dev"): {"groups": {"dev", "test"}, "default_groups": False, "project": False},
    ("--all-extras", "--all-groups"): {"all_extras": True, "groups": {"dev", "docs", "test"}},
}


def selected(locked: Locked, name: str, target: Target) -> set[Taken] | None:
    """What is selected; None where a project has no wheel for the target."""
    try:
        found = selected_from(locked.folder / name, target, list(locked.index.wheels.values()))
    except NoWheelError:
        return None
    return found if all(taken.digest for taken in found) else None


def agree(said: set[Taken] | str, ours: set[Taken] | None) -> bool:
    """Whether both take the same files, or both take nothing for want of a wheel."""
    if isinstance(said, str):
        assert re.search(r"no (binary|compatible|wheels)|doesn't have a|not compatible", said), said
        return ours is None
    return said == ours


def test_what_uv_syncs_is_what_is_selected_from_uv_lock(locked: Locked, record_property: Record) -> None:
    compared = 0
    for version, python in locked.pythons():
        for platform in PLATFORMS:
            for arguments, options in OPTIONS.items():
                target = Target(interpreter=interpreter_on(platform, version), **_frozen(options))
                said = locked.environments.synced(locked.folder, python, platform, arguments)
                assert agree(said, selected(locked, "uv.lock", target)), (version, platform, arguments)
                compared += 1
    record_property("compared", ("uv.lock", compared))
    assert select(read_lock_file(locked.folder / "uv.lock"), target).stale is None


EXPORTS: dict[str, tuple[str, ...]] = {
    "the project": (),
    "everything": ("--all-extras", "--all-groups"),
    "a group": ("--only-group=test",),
}


def export(locked: Locked, name: str, arguments: tuple[str, ...]) -> Path:
    command = [find_uv_bin(), "export", "--quiet", "--frozen", "--format", name, "-o", name, *arguments]
    subprocess.run(command, cwd=locked.folder, check=True, capture_output=True)
    return locked.folder / name


@pytest.mark.parametrize("name", ["pylock.toml", "requirements.txt"])
def test_what_uv_installs_is_what_is_selected_from_its_exports(
    locked: Locked, name: str, record_property: Record
) -> None:
    compared = 0
    for what, arguments in EXPORTS.items():
        file = export(locked, name, arguments)
        for version, python in locked.pythons():
            for platform in PLATFORMS:
                target = Target(interpreter=interpreter_on(platform, version))
                options = ("--require-hashes",) if name == "requirements.txt" else ()
                said = locked.environments.installed(file, python, platform, options)
                assert agree(said, selected(locked, name, target)), (what, version, platform)
                compared += 1
    record_property("compared", (name, compared))


def test_what_pip_would_install_is_what_is_selected_from_requirements(
    locked: Locked, run_folder: Path, record_property: Record
) -> None:
    pip = install_tool(run_folder, "pip<26") / "python"  # 26 and later refuse 3.9
    compared = 0
    for arguments in EXPORTS.values():
        file = export(locked, "requirements.txt", arguments)
        for version, python in locked.pythons():
            interpreter = real_interpreter(version, python)
            said = reported_by_pip(pip, python, file, locked.index)
            assert said == selected(locked, file.name, Target(interpreter=interpreter)), (version, arguments)
            compared += 1
    record_property("compared", ("requirements.txt", compared))


def reported_by_pip(pip: Path, python: str, file: Path, index: LoopbackIndex) -> set[Taken]:
    command: list[str | Path] = [
        pip, "-m", "pip", "--isolated", f"--python={python}", "install", "--quiet", "--dry-run", "--ignore-installed",
        "--no-deps", "--only-binary=:all:", "--report=-", "--no-cache-dir", f"--index-url={index.url}", f"--requirement={file}",
    ]  # fmt: skip
    environ = {"PATH": os.environ["PATH"], "HOME": str(file.parent), "PIP_CONFIG_FILE": os.devnull}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    urls = [item["download_info"]["url"] for item in json.loads(done.stdout)["install"]]
    return {taken_of(index.wheels[url.rpartition("/")[2]]) for url in urls}


def _frozen(options: dict[str, Any]) -> dict[str, Any]:
    return {key: frozenset(value) if isinstance(value, set) else value for key, value in options.items()}
