"""Groups of a pyproject.toml (PEP 735): what they include, what is refused, and the Pythons that uv lets them ask for."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from storectl_store.errors import LockFileError
from storectl_store.selection.reading import read_lock_file
from storectl_store.selection.requires_python import requires_python_of
from storectl_store.selection.select import select
from storectl_store.selection.uv.groups import AskedGroups
from support.index import LoopbackIndex, serve_index
from support.targets import make_target
from support.uv_projects import UvProject
from support.wheels import make_wheel

HERE = f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
LATER = f"{sys.version_info.major}.{sys.version_info.minor + 1}"
PROJECT = '[project]\nname = "root"\nversion = "1"\nrequires-python = ">=3.9"\ndependencies = []\n'
SOUND = '[dependency-groups]\ndev = ["a"]\n'
WRONG: dict[str, tuple[str, str]] = {
    "a cycle": (
        '[dependency-groups]\ndev = ["a", { include-group = "b" }]\nb = [{ include-group = "Dev" }]\n',
        "group `dev` includes itself: `dev` -> `b` -> `dev`",
    ),
    "an unknown group": (
        '[dependency-groups]\ndev = ["a", { include-group = "nope" }]\n',
        "group `dev` includes `nope`, which is no group",
    ),
    "two of one name": ('[dependency-groups]\ndev = ["a"]\nDev = []\n', "there are two groups `dev`"),
    "something else": ('[dependency-groups]\ndev = ["a", { url = "x" }]\n', "group `dev` has {'url': 'x'} in it"),
    "a number": ('[dependency-groups]\ndev = ["a", 3]\n', "group `dev` has 3 in it"),
}


@pytest.fixture(scope="module")
def index() -> Iterator[LoopbackIndex]:
    with serve_index(make_wheel("a")) as served:
        yield served


@pytest.mark.parametrize("where", ["pyproject.toml", "m/pyproject.toml"])
@pytest.mark.parametrize("what", WRONG)
def test_groups_that_uv_refuses_are_said_in_one_line(
    tmp_path: Path, index: LoopbackIndex, what: str, where: str
) -> None:
    root = f'{PROJECT}[tool.uv.workspace]\nmembers = ["m"]\n'
    files = {"pyproject.toml": root, "m/pyproject.toml": PROJECT.replace("root", "m")}
    project = UvProject(tmp_path, index, files)
    assert project.may_sync()
    groups, message = WRONG[what]
    (tmp_path / where).write_text(files[where] + groups)
    assert not project.may_sync()
    with pytest.raises(LockFileError) as caught:
        select(project.lock_file, make_target(HERE))
    assert message in caught.value.message
    assert caught.value.message.startswith(f"{tmp_path / where}:")


def test_a_setting_for_a_group_that_there_is_none_of_is_said(tmp_path: Path, index: LoopbackIndex) -> None:
    project = UvProject(tmp_path, index, {"pyproject.toml": PROJECT + SOUND})
    (tmp_path / "pyproject.toml").write_text(
        f'{PROJECT}{SOUND}[tool.uv.dependency-groups]\nnope = {{ requires-python = ">=3.9" }}\n'
    )
    assert not project.may_sync()
    with pytest.raises(LockFileError, match="`nope` is no group"):
        select(project.lock_file, make_target(HERE))


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("tool", ["poetry", "pdm"])
def test_poetry_and_pdm_refuse_such_groups_too(tmp_path: Path, tool: str, what: str) -> None:
    groups, message = WRONG[what]
    (tmp_path / "pyproject.toml").write_text(f"{PROJECT}{groups}")
    lock = {
        "poetry": '[metadata]\nlock-version = "2.1"\npython-versions = "*"\ncontent-hash = "x"\n',
        "pdm": '[metadata]\nlock_version = "4.5.0"\nstrategy = ["inherit_metadata"]\ngroups = ["default", "dev"]\n',
    }
    (tmp_path / f"{tool}.lock").write_text(lock[tool])
    with pytest.raises(LockFileError) as caught:
        select(read_lock_file(tmp_path / f"{tool}.lock"), make_target(HERE))
    assert message in caught.value.message


def test_groups_of_poetrys_own_table_may_not_include_themselves_either(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.poetry]\nname = "root"\nversion = "1"\n'
        '[tool.poetry.group.b]\ninclude-groups = ["c"]\n[tool.poetry.group.c]\ninclude-groups = ["b"]\n'
    )
    (tmp_path / "poetry.lock").write_text(
        '[metadata]\nlock-version = "2.1"\npython-versions = "*"\ncontent-hash = "x"\n'
    )
    with pytest.raises(LockFileError, match="group `b` includes itself"):
        select(read_lock_file(tmp_path / "poetry.lock"), make_target(HERE))


def grouped(folder: Path, index: LoopbackIndex, settings: str) -> UvProject:
    groups = '[dependency-groups]\ndev = [{ include-group = "deep" }]\ndeep = ["a"]\nLater = ["a"]\n'
    return UvProject(folder, index, {"pyproject.toml": f"{PROJECT}{groups}{settings}"})


LATER_GROUP = f'[tool.uv.dependency-groups]\nLater = {{ requires-python = ">={LATER}" }}\n'
DEEP_GROUP = f'[tool.uv.dependency-groups]\ndeep = {{ requires-python = ">={LATER}" }}\n'
ASKED: dict[str, tuple[str, tuple[str, ...], AskedGroups]] = {
    "not selected": (LATER_GROUP, (), AskedGroups()),
    "selected": (LATER_GROUP, ("--group=later",), AskedGroups(named=frozenset({"later"}))),
    "a default group by what it includes": (DEEP_GROUP, (), AskedGroups()),
    "without the default groups": (DEEP_GROUP, ("--no-default-groups",), AskedGroups(defaults=False)),
    "a default group by its name": (f'{LATER_GROUP}[tool.uv]\ndefault-groups = ["later"]\n', (), AskedGroups()),
    "all as default groups": (f'{LATER_GROUP}[tool.uv]\ndefault-groups = "all"\n', (), AskedGroups()),
}


@pytest.mark.parametrize("what", ASKED)
def test_the_pythons_of_a_selected_group_choose_the_interpreter(
    tmp_path: Path, index: LoopbackIndex, what: str
) -> None:
    settings, arguments, asked = ASKED[what]
    project = grouped(tmp_path, index, settings)
    required = requires_python_of(project.lock_file, asked)
    assert required is not None
    assert SpecifierSet(required).contains(HERE) == project.may_sync({}, *arguments)
    assert SpecifierSet(required).contains(f"{LATER}.0")


def test_the_groups_of_a_member_choose_too(tmp_path: Path, index: LoopbackIndex) -> None:
    member = PROJECT.replace("root", "m") + f"[dependency-groups]\nlater = []\n{LATER_GROUP.lower()}"
    root = f'{PROJECT}[tool.uv.workspace]\nmembers = ["m"]\n'
    project = UvProject(tmp_path, index, {"pyproject.toml": root, "m/pyproject.toml": member})
    assert requires_python_of(project.lock_file) == ">=3.9"
    assert requires_python_of(project.lock_file, AskedGroups(named=frozenset({"later"}))) == f">=3.9,>={LATER}"
