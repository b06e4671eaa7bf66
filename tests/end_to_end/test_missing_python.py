"""A Python that is missing is installed by uv or pyenv, once, if that may be; then the command goes on."""

from pathlib import Path

import pytest

from support.index import LoopbackIndex
from support.machine import Machine, pyenv_python
from support.project import write_project
from support.wheels import make_wheel

GUESTS = True  # the tests do not disturb one another: one daemon serves them all

PYTHONS = [pyenv_python(version) for version in ("3.10", "3.12")]
VERSION = "import sys; print('%d.%d' % sys.version_info[:2])"

UV = """#!/bin/sh
echo "$*" >>"$HOME/asked"
case $2 in
    list) echo '[{"path": null}]' ;;
    install)
        [ -z "$REFUSE" ] || exit 3
        mkdir -p "$HOME/.local/share/uv/python/cpython-3.12"
        ln -s NEWER "$HOME/.local/share/uv/python/cpython-3.12/bin"
        ;;
esac
"""
PYENV = """#!/bin/sh
echo "pyenv $*" >>"$HOME/asked"
mkdir -p "$PYENV_ROOT/versions/3.12.9"
ln -s NEWER "$PYENV_ROOT/versions/3.12.9/bin"
"""

pytestmark = pytest.mark.skipif(None in PYTHONS, reason="needs Python 3.10 and 3.12")


@pytest.fixture
def environ(machine: Machine) -> dict[str, str]:
    """Of the interpreters only 3.10 can be found; a uv and a pyenv that bring 3.12, and write down what they are asked."""
    older, newer = (Path(str(python)).parent for python in PYTHONS)
    folder, tools = machine.home / "old", machine.home / "tools"
    for made in (folder, tools):
        made.mkdir()
    (folder / "python3").symlink_to(older / "python3")
    for name, text in (("uv", UV), ("pyenv", PYENV)):
        (tools / name).write_text(text.replace("NEWER", str(newer)))
        (tools / name).chmod(0o755)
    path = f"{tools}:{folder}:/usr/bin:/bin"
    return {"PATH": path, "PYENV_ROOT": str(machine.home / "pyenv"), "XDG_DATA_HOME": ""}


def asked(machine: Machine) -> list[str]:
    file = machine.home / "asked"
    return [line for line in (file.read_text().splitlines() if file.exists() else []) if "list" not in line]


@pytest.fixture
def project(machine: Machine, index: LoopbackIndex) -> Path:
    return write_project(machine.home / "project", index, [make_wheel("alpha", "1.0")])


def test_uv_installs_it_once(machine: Machine, project: Path, environ: dict[str, str]) -> None:
    done = machine.run("run", "-p", "3.12", "-c", VERSION, cwd=project, env=environ)
    assert (done.returncode, done.stdout) == (0, "3.12\n"), done.stderr
    assert done.stderr.startswith("storectl: Python 3.12 is not here: uv python install 3.12\n")
    assert machine.ok("run", "-p", "3.12", "-c", VERSION, cwd=project, env=environ) == "3.12\n"
    assert asked(machine) == ["python install 3.12"]


def test_a_version_file_and_what_the_project_requires_count_too(
    machine: Machine, project: Path, environ: dict[str, str]
) -> None:
    (project / ".python-version").write_text("3.12\n")
    assert machine.ok("run", "-c", VERSION, cwd=project, env=environ) == "3.12\n"
    assert asked(machine) == ["python install 3.12"]


def test_offline_and_never_leave_it_at_the_hint(machine: Machine, project: Path, environ: dict[str, str]) -> None:
    cases: list[tuple[list[str], dict[str, str]]] = [
        (["--offline"], {}),
        ([], {"UV_OFFLINE": "1"}),
        ([], {"STORECTL_OFFLINE": "1"}),
        ([], {"STORECTL_INSTALL_PYTHON": "never"}),
    ]
    for options, variables in cases:
        for command in (["run", "-p", "3.12", *options, "-c", VERSION], ["tool", "run", "-p", "3.12", *options, "x"]):
            done = machine.run(*command, cwd=project, env=environ | variables)
            first, hint = done.stderr.splitlines()
            assert first.startswith("storectl: E_TARGET: no interpreter found for 3.12")
            assert hint.startswith("hint: `uv python install 3.12` installs one ")
    assert asked(machine) == []


def test_if_it_cannot_be_installed_the_first_error_is_told(
    machine: Machine, project: Path, environ: dict[str, str]
) -> None:
    done = machine.run("run", "-p", "3.12", "-c", VERSION, cwd=project, env=environ | {"REFUSE": "1"})
    assert done.returncode == 125
    assert "\nstorectl: E_TARGET: no interpreter found for 3.12 " in done.stderr


def test_pyenv_installs_it_if_it_is_asked_to(machine: Machine, project: Path, environ: dict[str, str]) -> None:
    done = machine.run(
        "run", "-p", "3.12", "-c", VERSION, cwd=project, env=environ | {"STORECTL_INSTALL_PYTHON": "pyenv"}
    )
    assert done.stdout == "3.12\n", done.stderr
    assert asked(machine) == ["pyenv install --skip-existing 3.12"]


def test_what_belongs_to_no_project_gets_its_python_too(machine: Machine, environ: dict[str, str]) -> None:
    machine.ok("env", "create", "empty", "-p", "3.12", env=environ)
    assert machine.ok("run", "-e", "empty", "-c", VERSION, env=environ) == "3.12\n"
    assert asked(machine) == ["python install 3.12"]
