"""What a build sees: the same as under uv, but for a list with a reason each."""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from uv import find_uv_bin

from support.index import LoopbackIndex
from support.machine import Machine, base_python
from support.project import git
from support.telling import telling_files, telling_sdist
from support.wheels import make_wheel

DIFFERENT = {
    "UV": "uv's own: where its program is",
    "UV_INTERNAL__BUILD_DIR": "uv's own",
    "_PYPROJECT_HOOKS_": "of pyproject_hooks, which calls the backend, as in pip and build",
    "PIP_": "where packages come from, should a backend run pip; uv hands on what the user has set",
    "PATH": "begins with the build environment in both",
    "VIRTUAL_ENV": "is the build environment in both",
    "STORECTL_PASSED": "keeps names of `storectl shim` from waiting for an environment that is being made",
    "PWD": "a shell's",
}
LEFT_OUT = {
    "GIT_DIR": "of the repository that the command stands in, which a source of another one is not in",
    "GIT_INDEX_FILE": "likewise",
    "GIT_WORK_TREE": "likewise",
    "PYTHONPATH": "old or own packages of the names that a backend imports break it",
    "PYTHONOPTIMIZE": "for the program, not for its tools: asserts of a backend are its checks",
    "PYTHONWARNINGS": "likewise: a warning of a backend must not end the build",
    "PYTHONDEVMODE": "likewise",
    "PYTHONINSPECT": "likewise",
    "PYTHONSAFEPATH": "likewise",
    "PIP_USER": "pip's: what somebody configured for what he installs by hand",
    "PIP_TARGET": "likewise",
    "STORECTL_LEFT_OUT": "storectl's own",
}


@dataclass(frozen=True)
class Case:
    """Circumstances. ``source`` is how the telling project is locked; ``uv`` goes into the root's [tool.uv]."""

    source: str = "sdist"
    variables: Mapping[str, str] = field(default_factory=dict)
    uv: str = ""
    requires: tuple[str, ...] = ()
    umask: int = 0o022
    extra: str = "pass"


CASES = {
    "a source distribution": Case(),
    "a commit": Case(source="git"),
    "a folder": Case(source="folder"),
    "an editable project": Case(source="editable"),
    "variables that it asks for": Case(
        variables={"DEMO_ASKED": "yes", "CFLAGS": "-O1", "SOURCE_DATE_EPOCH": "315532800"}
    ),
    "a hook's variables of git": Case(
        source="folder",
        variables={"GIT_DIR": "/nowhere/.git", "GIT_INDEX_FILE": "/nowhere/index", "GIT_WORK_TREE": "/nowhere"},
    ),
    "variables of Python": Case(
        variables={
            "PYTHONPATH": "/nowhere",
            "PYTHONOPTIMIZE": "2",
            "PYTHONWARNINGS": "ignore",
            "PYTHONINSPECT": "",
            "PYTHONSAFEPATH": "1",
            "PYTHONHASHSEED": "7",
        }
    ),
    "pip's own variables": Case(variables={"PIP_USER": "1", "PIP_TARGET": "/nowhere"}, requires=("tool",)),
    "another locale": Case(variables={"LC_ALL": "C", "LANG": "de_DE.UTF-8"}),
    "build constraints": Case(uv='build-constraint-dependencies = ["tool<2"]\n', requires=("tool",)),
    "extra dependencies and variables": Case(
        uv='[tool.uv.extra-build-dependencies]\ndemo = ["tool"]\n[tool.uv.extra-build-variables]\ndemo = { DEMO_ASKED = "of uv" }\n'
    ),
    "config settings": Case(
        uv='[tool.uv.config-settings]\na = "1"\nb = ["2", "3"]\n[tool.uv.config-settings-package]\ndemo = { a = "4", c = "5" }\n'
    ),
}


def put(folder: Path, files: Mapping[str, str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def project(machine: Machine, index: LoopbackIndex, case: Case) -> Path:
    """A root project, locked, that has the telling one in this way."""
    index.add(make_wheel("tool", "1.0"), make_wheel("tool", "2.0"))
    files = telling_files("demo", requires=case.requires)
    source = ""
    if case.source == "sdist":
        index.add(telling_sdist("demo", requires=case.requires))
    elif case.source == "git":
        repository = put(machine.root / "repository", files)
        git(machine.root, "init", "-q", str(repository))
        git(repository, "add", "-A")
        git(repository, "commit", "-qm", "one")
        source = f'demo = {{ git = "{repository.as_uri()}" }}'
    else:
        put(machine.home / "demo", files)
        source = f'demo = {{ path = "../demo", editable = {str(case.source == "editable").lower()} }}'
    root = (
        '[project]\nname = "root"\nversion = "1"\nrequires-python = ">=3.9"\ndependencies = ["demo"]\n'
        f"[tool.uv]\npackage = false\n{case.uv}[tool.uv.sources]\n{source}\n"
        f'[[tool.uv.index]]\nurl = "{index.url}"\ndefault = true\n'
    )
    folder = put(machine.home / "root", {"pyproject.toml": root})
    uv(machine, folder, {}, "lock", "-q", "--python", base_python())
    return folder


def uv(machine: Machine, folder: Path, variables: Mapping[str, str], *arguments: str, umask: int = 0o022) -> None:
    environ = machine.environ | {"UV_PYTHON_DOWNLOADS": "never", **variables}
    done = subprocess.run(
        [find_uv_bin(), *arguments], cwd=folder, env=environ, capture_output=True, text=True, check=False, umask=umask
    )
    assert done.returncode == 0, done.stderr


def told_under_uv(machine: Machine, folder: Path, case: Case) -> dict[str, Any]:
    uv(machine, folder, case.variables, "sync", "-q", "--frozen", "--python", base_python(), umask=case.umask)
    python = folder / ".venv/bin/python"
    done = subprocess.run(
        [python, "-c", "import json, told_demo; print(json.dumps(told_demo.TOLD))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(done.stdout))


def told_under_storectl(machine: Machine, folder: Path, case: Case) -> dict[str, Any]:
    program = "import json, told_demo; print(json.dumps(told_demo.TOLD))"
    told = machine.ok(
        "run", "-p", base_python(), "-c", program, cwd=folder, env={**case.variables, "STORECTL_LEFT_OUT": "1"}
    )
    return dict(json.loads(told))


@pytest.mark.parametrize("name", CASES)
def test_a_backend_sees_what_it_sees_under_uv(machine: Machine, index: LoopbackIndex, name: str) -> None:
    case = CASES[name]
    folder = project(machine, index, case)
    theirs = told_under_uv(machine, folder, case)
    ours = told_under_storectl(machine, folder, case)
    mine, uvs = _compared(ours.pop("variables")), _compared(theirs.pop("variables"))
    assert mine == uvs
    if case.variables.keys() & LEFT_OUT.keys():
        for told in (ours, theirs):
            for fact in ("flags", "path", "is a repository"):  # they say the same of what was left out
                del told[fact]
    ours["path"], theirs["path"] = _path(ours), _path(theirs)
    assert ours == theirs


def _compared(variables: Mapping[str, str]) -> dict[str, str]:
    left_out = (*DIFFERENT, *LEFT_OUT, "UV_PYTHON_DOWNLOADS")  # the last is of these tests
    return {name: value for name, value in variables.items() if not name.startswith(left_out)}


def _path(told: dict[str, Any]) -> list[str]:
    """Without the folder that comes first: of the source under uv, of the program that calls the hooks here."""
    return [entry for entry in told.get("path", []) if entry != "." and "pyproject_hooks" not in entry]


def test_no_variable_that_is_left_out_reaches_a_build(machine: Machine, index: LoopbackIndex) -> None:
    case = Case(source="editable", variables=dict.fromkeys(LEFT_OUT, "1") | {"PYTHONPATH": "/nowhere"})
    folder = project(machine, index, case)
    told = told_under_storectl(machine, folder, case)
    assert not LEFT_OUT.keys() & told["variables"].keys()
    assert (told["flags"]["optimize"], told["flags"]["inspect"], told["flags"]["dev_mode"]) == (0, 0, False)
    assert "/nowhere" not in told["path"]


def test_pip_reads_no_configuration_file_in_a_build(machine: Machine, index: LoopbackIndex) -> None:
    options = "user = true\ntarget = /nowhere\nno-deps = true\nrequire-hashes = true\ndry-run = true\n"
    put(machine.home / ".config/pip", {"pip.conf": f"[global]\nindex-url = {index.url}\n[install]\n{options}"})
    case = Case(requires=("tool",))
    folder = project(machine, index, case)
    told = told_under_storectl(machine, folder, case)
    assert told["installed"] == ["tool 2.0"]
    assert told["variables"].get("PIP_CONFIG_FILE", os.devnull) == os.devnull
