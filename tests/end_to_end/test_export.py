"""`storectl env export`: what a venv is used for works in it, and nothing of it reaches the store."""

import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from uv import find_uv_bin

from support.index import LoopbackIndex
from support.machine import Machine
from support.project import write_project
from support.wheels import make_wheel

GUESTS = True  # the tests do not disturb one another: one daemon serves them all

WRITES = """
import os
HERE = os.path.dirname(__file__)

def main():
    with open(os.path.join(HERE, "built.txt"), "w") as file:
        file.write("built")
    with open(os.path.join(HERE, "state.txt"), "a") as file:
        file.write("again")
    print(open(os.path.join(HERE, "state.txt")).read())
"""
WHEELS = [
    make_wheel(
        "writes",
        files={"writes/__init__.py": WRITES, "writes/state.txt": "once ", "writes-1.0.data/data/share/w/w.txt": "w"},
        entry_points="[console_scripts]\nwrites = writes:main\n",
    ),
    make_wheel("alpha"),
]


@pytest.fixture
def project(machine: Machine, index: LoopbackIndex) -> Path:
    return write_project(machine.home / "project", index, WHEELS)


def uv(machine: Machine, export: Path, *arguments: str) -> str:
    command = [find_uv_bin(), "pip", *arguments, "--python", str(export / "bin/python"), "--offline", "-q"]
    return subprocess.run(command, env=machine.environ, capture_output=True, text=True, check=True).stdout


def test_a_program_that_writes_beside_its_code_runs_and_the_store_sees_nothing(machine: Machine, project: Path) -> None:
    export = machine.home / "export"
    machine.ok("env", "export", export, cwd=project)
    done = subprocess.run([export / "bin/writes"], capture_output=True, text=True, check=True, env=machine.environ)
    assert (done.stdout, done.stderr) == ("once again\n", "")
    machine.ok("store", "verify")


def test_uv_takes_a_project_out_and_leaves_nothing_of_it(machine: Machine, project: Path) -> None:
    export = machine.home / "export"
    machine.ok("env", "export", export, cwd=project)
    uv(machine, export, "check")
    assert uv(machine, export, "freeze") == "alpha==1.0\nwrites==1.0\n"
    uv(machine, export, "uninstall", "writes")
    assert [path for path in export.rglob("*") if "writes" in path.name or path.name == "w.txt"] == []
    machine.ok("store", "verify")


def test_an_archive_of_the_environment_runs_where_it_is_unpacked(machine: Machine, project: Path) -> None:
    told = machine.json("env", "export", "--tar", machine.home / "e.tgz", "--project", project, "--json")
    assert told["path"] == str(machine.home / "e.tgz")
    with tarfile.open(told["path"]) as archive:
        archive.extractall(machine.home / "unpacked", filter="tar")
    done = subprocess.run([machine.home / "unpacked/bin/writes"], capture_output=True, text=True, check=True)
    assert done.stdout == "once again\n"


def test_code_that_is_imported_from_its_folder_is_named(machine: Machine, index: LoopbackIndex) -> None:
    folder = write_project(machine.home / "local", index, [make_wheel("alpha")])
    (folder / "src").mkdir()
    (folder / "src/mine.py").touch()
    (folder / "uv.lock").write_text(
        (folder / "uv.lock").read_text().replace('source = { virtual = "." }', 'source = { editable = "." }')
    )
    with (folder / "pyproject.toml").open("a") as stream:
        stream.write('[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n')
    shown = machine.ok("env", "export", machine.home / "export", cwd=folder)
    assert f"not copied, imported from its folder: {folder}/src" in shown.splitlines()


@pytest.mark.parametrize(
    "arguments", [(), ("--no-relocatable", "--tar", "x.tar"), ("--tar", "x.tar", "--copy")], ids=str
)
def test_what_cannot_be_meant_is_refused(machine: Machine, project: Path, arguments: tuple[str, ...]) -> None:
    done = machine.run("env", "export", *arguments, cwd=project)
    assert (done.returncode, done.stderr.partition(": ")[2][:8]) == (2, "E_USAGE:")


def test_a_place_that_is_taken_is_told(machine: Machine, project: Path) -> None:
    done = machine.run("env", "export", project, cwd=project)
    assert done.returncode == 1
    assert done.stderr.startswith(f"storectl: E_EXPORT: {project} is there already")
    assert "uv.lock" in os.listdir(project)
