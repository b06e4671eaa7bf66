"""pdm.lock of older versions and of projects that name themselves; beside what PDM itself installs (tests/oracles)."""

from pathlib import Path

import pytest

from storectl_store.selection.lock_file import read_lock_file
from storectl_store.selection.pin import Selection
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
