"""``poetry.lock`` against Poetry itself: what it installs into a venv is what is selected, down to the digests."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from storectl_store.selection.reading import read_lock_file
from storectl_store.selection.select import select
from support.index import LoopbackIndex
from support.installed import FORKED_WHEELS, installed_in, run_tool, selected_from
from support.machine import pyenv_python
from support.targets import make_target
from support.tools import install_tool, new_venv

pytestmark = pytest.mark.network

FORK = 'a = [{version = "1.0", python = "<3.12"}, {version = "2.0", python = ">=3.12"}]\n'
SOURCE = '[[tool.poetry.source]]\nname = "own"\nurl = "URL"\npriority = "primary"\n'
STANDARD = f"""\
[project]
name = "demo"
version = "1"
requires-python = ">=3.10"
dependencies = ["b", "n"]
[project.optional-dependencies]
more = ["c[more]"]
[tool.poetry]
package-mode = false
[tool.poetry.group.dev.dependencies]
e = "*"
[tool.poetry.group.docs]
optional = true
[tool.poetry.group.docs.dependencies]
d = "^1.0"
{SOURCE}"""
OWN = f"""\
[tool.poetry]
name = "demo"
version = "1"
package-mode = false
[tool.poetry.dependencies]
python = "^3.10"
b = "^1.0"
n = {{version = "~1.0", markers = "sys_platform == 'linux'"}}
{FORK}c = {{version = "*", optional = true, extras = ["more"]}}
[tool.poetry.extras]
more = ["c"]
[tool.poetry.group.dev.dependencies]
e = "*"
[tool.poetry.group.docs]
optional = true
[tool.poetry.group.docs.dependencies]
d = ">=1,<2"
{SOURCE}"""
OPTIONS: dict[tuple[str, ...], dict[str, Any]] = {
    (): {},
    ("--extras", "more"): {"extras": ("more",)},
    ("--without", "dev"): {"groups": ()},
    ("--with", "docs"): {"groups": ("docs",), "default_groups": True},
    ("--only", "docs"): {"groups": ("docs",), "project": False},
    ("--all-extras", "--all-groups"): {"all_extras": True, "groups": ("docs",), "default_groups": True},
}
PYTHONS = [version for version in ("3.11", "3.12") if pyenv_python(version)]


def environ(folder: Path, **variables: str) -> dict[str, str]:
    names = ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "POETRY_CACHE_DIR")
    own = {name: str(folder / ".home") for name in names}
    return own | {"POETRY_VIRTUALENVS_CREATE": "false", "POETRY_KEYRING_ENABLED": "false"} | variables


@pytest.mark.parametrize(
    ("locker", "text"),
    [
        pytest.param("poetry", STANDARD, id="project"),
        pytest.param("poetry", OWN, id="tool.poetry", marks=pytest.mark.whole),
        pytest.param("poetry==1.8.5", OWN.replace(FORK, ""), id="poetry==1.8.5", marks=pytest.mark.whole),
    ],
)
def test_what_poetry_installs_is_what_is_selected(
    tmp_path: Path,
    index: LoopbackIndex,
    run_folder: Path,
    locker: str,
    text: str,
    record_property: Callable[[str, object], None],
) -> None:
    """Lock files of all generations; the newest Poetry installs from them. Poetry 1 reads no [project], and solves no fork."""
    newest = install_tool(run_folder, "poetry") / "poetry"
    (tmp_path / "pyproject.toml").write_text(text.replace("URL", index.url))
    run_tool([install_tool(run_folder, locker) / "poetry", "lock"], tmp_path, environ(tmp_path))
    for version in PYTHONS:
        for arguments, options in OPTIONS.items():
            venv = new_venv(tmp_path / "venv", pyenv_python(version) or "")
            variables = environ(tmp_path, VIRTUAL_ENV=str(venv), PATH=f"{venv}/bin:/usr/bin:/bin")
            run_tool([newest, "install", "--no-root", *arguments], tmp_path, variables)
            expected = installed_in(venv / "bin/python", FORKED_WHEELS)
            assert all(taken.digest for taken in expected)
            target = make_target(f"{version}.1", **options)
            assert selected_from(tmp_path / "poetry.lock", target, FORKED_WHEELS) == expected, (version, arguments)
    record_property("compared", (f"poetry.lock of {locker}", len(PYTHONS) * len(OPTIONS)))


@pytest.mark.parametrize(
    "text",
    [pytest.param(STANDARD, id="project"), pytest.param(OWN, id="tool.poetry", marks=pytest.mark.whole)],
)
def test_a_project_that_changed_is_told_as_poetry_tells_it(
    tmp_path: Path, index: LoopbackIndex, run_folder: Path, text: str
) -> None:
    poetry = install_tool(run_folder, "poetry") / "poetry"
    text = text.replace("URL", index.url)
    pyproject = tmp_path / "pyproject.toml"
    pyproject.write_text(text)
    run_tool([poetry, "lock"], tmp_path, environ(tmp_path))
    edits = {
        "nothing": text,
        "a comment": f"# changed\n{text}",
        "another version": text.replace('version = "1"\n', 'version = "2"\n'),
        "a dependency less": text.replace('dependencies = ["b", "n"]', 'dependencies = ["b"]').replace(
            'b = "^1.0"\n', ""
        ),
        "another group": text.replace('e = "*"', 'e = "*"\nd = "*"'),
        "a standard group": text + '[dependency-groups]\nother = ["d"]\n',
    }
    for what, edited in edits.items():
        pyproject.write_text(edited)
        check = subprocess.run(
            [poetry, "check", "--lock"], cwd=tmp_path, env=environ(tmp_path, PATH="/usr/bin:/bin"), capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        fresh = "changed significantly" not in check.stdout + check.stderr
        stale = select(read_lock_file(tmp_path / "poetry.lock"), make_target()).stale
        assert (stale is None) == fresh, (what, check.stdout, check.stderr)
