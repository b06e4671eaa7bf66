"""Poetry's constraints, and lock files of its older versions, which have no groups and no markers of their own."""

import os
from pathlib import Path

import pytest

from storectl_store.errors import LockFileError, TargetError
from storectl_store.selection.lock_file import LockFile
from storectl_store.selection.pin import IndexPin, Selection
from storectl_store.selection.poetry.constraints import Constraint
from storectl_store.selection.poetry.lock import read_poetry_lock
from storectl_store.selection.poetry.project import poetry_project_of
from storectl_store.selection.poetry.selection import selected_packages
from storectl_store.selection.reading import read_lock_file
from storectl_store.selection.select import select
from storectl_store.selection.tables.toml_table import parse_toml
from support.targets import make_target

MONOTRAIL = Path(os.environ.get("STORECTL_MONOTRAIL", "/nowhere"))


@pytest.mark.parametrize(
    ("text", "allowed", "refused"),
    [
        ("*", ["0.1", "9", "1.0rc1"], []),
        ("^1.2.3", ["1.2.3", "1.9"], ["1.2.2", "2.0", "2.0rc1"]),
        ("^0.2.3", ["0.2.3", "0.2.9"], ["0.3.0", "0.2.2"]),
        ("^0.0.3", ["0.0.3"], ["0.0.4"]),
        ("^0", ["0.9"], ["1.0"]),
        ("~1.2.3", ["1.2.9"], ["1.3.0"]),
        ("~1", ["1.9"], ["2.0"]),
        ("1.2.*", ["1.2.9"], ["1.3"]),
        ("1.2", ["1.2", "1.2.0"], ["1.2.1"]),
        (">=1,<2 || >=3", ["1.5", "3.1"], ["2.0", "2.9"]),
        (">= 1.0 , != 1.5", ["1.4"], ["1.5", "0.9"]),
        ("<2|>4", ["1", "5"], ["3"]),
        ("~=1.4", ["1.9"], ["2.0"]),
        ("==1.0", ["1.0"], ["1.1"]),
    ],
)
def test_constraints_mean_what_poetry_says(text: str, allowed: list[str], refused: list[str]) -> None:
    constraint = Constraint(text)
    assert [version for version in allowed if not constraint.allows(version)] == []
    assert [version for version in refused if constraint.allows(version)] == []


@pytest.mark.parametrize("text", ["^abc", ">=", "~x.y", "^1.2.3;", "1 && 2"])
def test_what_is_no_constraint_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="is not a version"):
        Constraint(text)


HASH = "1" * 64
OLD = f"""\
[[package]]
name = "Alpha_One"
version = "1.0"
python-versions = ">=3.6"
[package.dependencies]
beta = {{version = ">=1", extras = ["fast"], markers = "python_version < '3.12'"}}
setuptools = "*"
[[package]]
name = "beta"
version = "1.5"
python-versions = "*"
[package.dependencies]
gamma = {{version = "*", optional = true, markers = "extra == 'fast'"}}
delta = {{version = "*", optional = true}}
[package.extras]
fast = ["gamma (>=1.0)"]
slow = ["delta (>=1.0)"]
[[package]]
name = "gamma"
version = "1.0"
python-versions = "<3.11"
[[package]]
name = "gamma"
version = "2.0"
python-versions = ">=3.11"
[[package]]
name = "delta"
version = "1.0"
python-versions = "*"
[extras]
more = ["delta"]
[metadata]
lock-version = "1.1"
python-versions = "^3.9"
content-hash = "x"
[metadata.files]
alpha-one = [{{file = "Alpha_One-1.0-py3-none-any.whl", hash = "sha256:{HASH}"}}]
beta = [{{file = "beta-1.5.tar.gz", hash = "sha256:{HASH}"}}]
gamma = [
    {{file = "gamma-1.0-py3-none-any.whl", hash = "sha256:{"2" * 64}"}},
    {{file = "gamma-2.0-py3-none-any.whl", hash = "sha256:{"3" * 64}"}},
    {{file = "gamma-2.0.tar.gz", hash = "sha256:{"4" * 64}"}},
]
delta = [{{file = "delta-1.0-py3-none-any.whl", hash = "sha256:{HASH}"}}]
"""
PYPROJECT = """\
[tool.poetry]
name = "demo"
version = "1"
package-mode = false
[tool.poetry.dependencies]
python = "^3.9"
alpha_one = [{version = "^1.0", python = "<3.13"}]
delta = {version = "*", optional = true}
[tool.poetry.extras]
more = ["delta"]
[tool.poetry.dev-dependencies]
beta = "^1"
"""


def lock_of(folder: Path, text: str = OLD, pyproject: str = PYPROJECT) -> LockFile:
    (folder / "poetry.lock").write_text(text)
    (folder / "pyproject.toml").write_text(pyproject)
    return read_lock_file(folder / "poetry.lock")


def names(selection: Selection) -> list[str]:
    return [f"{pin.name} {pin.version}" for pin in selection.index_pins]


def test_the_way_goes_from_the_roots_with_markers_groups_and_extras(tmp_path: Path) -> None:
    lock_file = lock_of(tmp_path)
    old = select(lock_file, make_target("3.10.2", groups=()))
    assert names(old) == ["alpha-one 1.0", "beta 1.5", "gamma 1.0"]
    assert old.warnings == (f"{lock_file.path} does not lock setuptools, which alpha-one needs",)
    assert names(select(lock_file, make_target("3.11.2", groups=()))) == ["alpha-one 1.0", "beta 1.5", "gamma 2.0"]
    assert names(select(lock_file, make_target("3.12.2", groups=()))) == ["alpha-one 1.0"]
    assert names(select(lock_file, make_target("3.12.2"))) == ["alpha-one 1.0", "beta 1.5"]
    assert names(select(lock_file, make_target("3.12.2", groups=(), extras=("more",)))) == [
        "alpha-one 1.0",
        "delta 1.0",
    ]
    assert names(select(lock_file, make_target("3.12.2", groups=("dev",), project=False))) == ["beta 1.5"]
    assert names(select(lock_file, make_target("3.13.2", groups=()))) == []


def test_what_needs_the_project_itself_needs_nothing_more(tmp_path: Path) -> None:
    text = OLD.replace('setuptools = "*"', 'setuptools = "*"\nDemo = ">=1,<2"')
    selection = select(lock_of(tmp_path, text), make_target("3.10.2", groups=()))
    assert names(selection) == ["alpha-one 1.0", "beta 1.5", "gamma 1.0"]


def test_files_that_all_versions_share_are_told_apart_by_their_names(tmp_path: Path) -> None:
    pins = {pin.name: pin for pin in select(lock_of(tmp_path), make_target("3.11.2")).index_pins}
    gamma = pins["gamma"]  # type: ignore[index]
    assert isinstance(gamma, IndexPin)
    assert gamma.filenames == {"gamma-2.0-py3-none-any.whl", "gamma-2.0.tar.gz"}
    assert gamma.digests == {f"sha256:{'3' * 64}", f"sha256:{'4' * 64}"}


def test_what_the_lock_file_does_not_have_is_an_error_of_it(tmp_path: Path) -> None:
    lock_file = lock_of(tmp_path, pyproject=PYPROJECT + 'boltons = "*"\n')
    with pytest.raises(LockFileError, match="dependency `boltons` of the project names no package") as caught:
        select(lock_file, make_target("3.11.2"))
    assert caught.value.hint
    assert "poetry lock" in caught.value.hint


def test_other_pythons_and_unknown_options_are_refused(tmp_path: Path) -> None:
    lock_file = lock_of(tmp_path)
    with pytest.raises(TargetError, match=r"is for Python \^3\.9"):
        select(lock_file, make_target("3.8.2"))
    with pytest.raises(TargetError, match="no extra `none`"):
        select(lock_file, make_target("3.11.2", extras=("none",)))
    with pytest.raises(TargetError, match="no group `none`"):
        select(lock_file, make_target("3.11.2", groups=("none",)))
    (tmp_path / "pyproject.toml").unlink()
    with pytest.raises(LockFileError, match=r"needs the pyproject\.toml"):
        select(read_lock_file(lock_file.path), make_target("3.11.2"))


@pytest.mark.skipif(not MONOTRAIL.is_dir(), reason="STORECTL_MONOTRAIL names no folder with monotrail's lock files")
@pytest.mark.parametrize(
    ("project", "extra", "counts"),
    [("data-science", "tqdm_feature", (15, 21, 16, 22)), ("mst", "import-json", (95, 130, 97, 131))],
)
def test_the_lock_files_of_monotrail_select_what_its_own_tests_say(
    project: str, extra: str, counts: tuple[int, int, int, int]
) -> None:
    lock_file = read_lock_file(MONOTRAIL / project / "poetry.lock")
    lock = read_poetry_lock(parse_toml(lock_file.content, str(lock_file.path)))
    options: list[dict[str, tuple[str, ...]]] = [
        {"groups": ()},
        {},
        {"groups": (), "extras": (extra,)},
        {"extras": (extra,)},
    ]
    found = [
        selected_packages(lock, poetry_project_of(lock_file), make_target("3.9.18", **option))[0]  # type: ignore[arg-type]
        for option in options
    ]
    assert tuple(map(len, found)) == counts
