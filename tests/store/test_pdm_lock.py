"""pdm.lock of older versions and of projects that name themselves; beside what PDM itself installs (tests/oracles)."""

from dataclasses import replace
from pathlib import Path

import pytest

from storectl_store.errors import LockFileError, TargetError
from storectl_store.selection.pdm.platforms import allows_platform
from storectl_store.selection.pin import Selection
from storectl_store.selection.reading import read_lock_file
from storectl_store.selection.select import select
from support.targets import make_target

HASH = "sha256:" + "0" * 64
PYPROJECT = """\
[project]
name = "Demo"
version = "1"
dependencies = ["a"]
[project.optional-dependencies]
full = ["demo[fast,deep]"]
fast = ["b>=1"]
deep = ["Demo[full]", "c; python_version < '3.12'"]
[tool.pdm.dev-dependencies]
dev = ["demo[full]"]
"""


def selected(folder: Path, lock: str, version: str = "3.12.1", *, groups: tuple[str, ...] | None = None) -> Selection:
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "pdm.lock").write_text(lock)
    return select(read_lock_file(folder / "pdm.lock"), make_target(version, groups=groups))


def packages(*, with_files: bool) -> str:
    files = f'files = [{{file = "NAME-1.0-py3-none-any.whl", hash = "{HASH}"}}]\n' if with_files else ""
    return "".join(
        f'[[package]]\nname = "{name}"\nversion = "1.0"\nsummary = ""\n{files.replace("NAME", name)}\n'
        for name in "abc"
    )


@pytest.mark.parametrize(("version", "expected"), [("3.12.1", ["a", "b"]), ("3.11.1", ["a", "b", "c"])])
def test_a_group_may_name_extras_of_the_project_itself(tmp_path: Path, version: str, expected: list[str]) -> None:
    metadata = '[metadata]\ngroups = ["default", "dev"]\nstrategy = ["cross_platform"]\nlock_version = "4.4.1"\n\n'
    lock = metadata + packages(with_files=True)
    selection = selected(tmp_path, lock, version)
    assert [pin.name for pin in selection.index_pins] == expected
    assert [(project.name, project.kind) for project in selection.local_projects] == [("demo", "root")]
    assert [pin.name for pin in selected(tmp_path, lock, version, groups=()).index_pins] == ["a"]


@pytest.mark.parametrize("key", ["file", "url"])
def test_the_files_of_all_packages_may_stand_in_one_table(tmp_path: Path, key: str) -> None:
    """So they did until lock_version 4.2."""
    where = "http://127.0.0.1:9/files/" if key == "url" else ""
    files = "".join(
        f'"{name} 1.0" = [\n    {{{key} = "{where}{name}-1.0-py3-none-any.whl", hash = "{HASH}"}},\n]\n'
        for name in "abc"
    )
    lock = f'{packages(with_files=False)}[metadata]\nlock_version = "4.1"\n\n[metadata.files]\n{files}'
    selection = selected(tmp_path, lock, groups=())
    assert [pin.name for pin in selection.pins] == (["a"] if key == "url" else [])
    if key == "url":
        assert selection.pins[0].wheel.url == f"{where}a-1.0-py3-none-any.whl"
    else:
        assert selection.index_pins[0].digests == {HASH}


def targeted(platform: str) -> str:
    metadata = '[metadata]\ngroups = ["default"]\nstrategy = ["inherit_metadata"]\nlock_version = "4.5.0"\n'
    return f'{metadata}[[metadata.targets]]\nrequires_python = ">=3.9"\nplatform = "{platform}"\n'


@pytest.mark.parametrize(
    ("platform", "allowed"),
    [
        ("manylinux_2_17_x86_64", True),
        ("manylinux_2_99_x86_64", True),  # PDM only warns
        ("linux", True),
        ("manylinux_2_17_aarch64", False),
        ("musllinux_1_2_x86_64", False),
        ("alpine", False),
        ("macos_arm64", False),
        ("macos_14_0_x86_64", False),
        ("windows_amd64", False),
        ("linux_x86_64", False),  # to PDM no system that it knows
        ("nonsense", False),
    ],
)
def test_a_target_is_a_system_with_an_architecture(tmp_path: Path, platform: str, *, allowed: bool) -> None:
    """What PDM 2.29 says on x86_64 with glibc."""
    if allowed:
        assert selected(tmp_path, targeted(platform)).index_pins == ()
    else:
        with pytest.raises(TargetError, match=f"is for Python >=3.9 {platform}"):
            selected(tmp_path, targeted(platform))


@pytest.mark.parametrize(
    ("platform", "allowed"),
    [("macos_arm64", True), ("macos", True), ("macos_11_0_arm64", True), ("macos_x86_64", False), ("linux", False)],
)
def test_a_mac_with_an_arm_is_one_target_with_one_without_a_version(
    tmp_path: Path, platform: str, *, allowed: bool
) -> None:
    (tmp_path / "pdm.lock").write_text(targeted(platform))
    interpreter = make_target("3.12.1").interpreter
    markers = {**interpreter.markers, "sys_platform": "darwin", "platform_machine": "arm64"}
    assert allows_platform(platform, replace(interpreter, markers=markers)) == allowed


def test_an_override_counts_more_than_what_is_asked_for(tmp_path: Path) -> None:
    """Without inherited metadata the way through the lock file meets what the override put aside."""
    metadata = '[metadata]\ngroups = ["default"]\nstrategy = []\nlock_version = "4.5.0"\n\n'
    lock = metadata + packages(with_files=True).replace('name = "a"\n', 'name = "a"\ndependencies = ["b>=2", "c"]\n')
    overridden = '[tool.pdm.resolution]\nexcludes = ["C"]\n[tool.pdm.resolution.overrides]\nB = "1.0"\n'
    (tmp_path / "pdm.lock").write_text(lock)
    (tmp_path / "pyproject.toml").write_text(
        f'[project]\nname = "demo"\nversion = "1"\ndependencies = ["a"]\n{overridden}'
    )
    selection = select(read_lock_file(tmp_path / "pdm.lock"), make_target())
    assert [f"{pin.name} {pin.version}" for pin in selection.index_pins] == ["a 1.0", "b 1.0"]
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "demo"\nversion = "1"\ndependencies = ["a"]\n')
    with pytest.raises(LockFileError, match="dependency `b` names no package"):
        select(read_lock_file(tmp_path / "pdm.lock"), make_target())
