"""Real projects locked by Poetry, PDM and Pipenv: what each installs into a venv is what is selected from its lock file."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from storectl_store.selection.target import Target
from support.installed import run_tool, selected_from
from support.stand_ins import Locked, requirements_of, taken_in
from support.targets import real_interpreter
from support.tools import install_tool, new_venv

pytestmark = [
    pytest.mark.network,
    pytest.mark.parametrize("locked", ["pinned", pytest.param("free", marks=pytest.mark.whole)], indirect=True),
]

Options = Mapping[tuple[str, ...], dict[str, Any]]
Record = Callable[[str, object], None]
ALONE: dict[str, Any] = {"default_groups": False, "project": False}
POETRY: Options = {
    (): {},
    ("--extras", "first"): {"extras": frozenset({"first"})},
    ("--all-extras", "--without", "test,docs"): {
        "all_extras": True, "default_groups": False, "groups": frozenset({"dev"}),
    },
    ("--only", "main"): {"default_groups": False},
    ("--only", "test"): {"groups": frozenset({"test"}), **ALONE},
}  # fmt: skip
PDM: Options = {
    (): {},
    ("-G", "first"): {"extras": frozenset({"first"})},
    ("--prod", "-G", "second"): {"extras": frozenset({"second"}), "default_groups": False},
    ("--no-default", "-G", "test"): {"groups": frozenset({"test"}), **ALONE},
    ("-G:all",): {"all_extras": True},
}
PIPENV: Options = {
    (): {},
    ("--dev",): {"groups": frozenset({"dev"})},
    ("--categories", "packages first"): {"groups": frozenset({"first"})},
    ("--categories", "test"): {"groups": frozenset({"test"}), **ALONE},
}


def test_what_poetry_installs_is_what_is_selected(locked: Locked, run_folder: Path, record_property: Record) -> None:
    poetry = install_tool(run_folder, "poetry") / "poetry"
    table = "[tool.poetry]\npackage-mode = false\n[[tool.poetry.source]]\nname = 'own'\npriority = 'primary'\n"
    project = standard_project(locked, table)
    variables = {"POETRY_VIRTUALENVS_CREATE": "false", "POETRY_KEYRING_ENABLED": "false"}
    run_tool([poetry, "lock"], project, homes(project) | variables)
    compared = 0
    for version, python in locked.pythons():
        for arguments, options in POETRY.items():
            venv = new_venv(project / ".venv", python)
            environ = homes(project) | variables | {"VIRTUAL_ENV": str(venv), "PATH": f"{venv}/bin:/usr/bin:/bin"}
            run_tool([poetry, "install", "--no-root", *arguments], project, environ)
            same(
                locked, project / "poetry.lock", venv, Target(interpreter=real_interpreter(version, python), **options)
            )
            compared += 1
    record_property("compared", ("poetry.lock", compared))


def test_what_pdm_installs_is_what_is_selected(locked: Locked, run_folder: Path, record_property: Record) -> None:
    """A lock file for each Python, since PDM locks one version for all."""
    pdm = install_tool(run_folder, "pdm[locked]") / "pdm"
    tables = "[tool.pdm]\ndistribution = false\n[[tool.pdm.source]]\nname = 'pypi'\nverify_ssl = false\n"
    compared = 0
    for version, python in locked.pythons():
        project = standard_project(locked, tables, version.rpartition(".")[0])
        environ = homes(project) | {"PDM_CHECK_UPDATE": "0"}
        (project / "pdm.lock").unlink(missing_ok=True)
        run_tool([pdm, "lock", "--quiet", "-G:all"], project, environ | {"PDM_PYTHON": python})
        for arguments, options in PDM.items():
            venv = new_venv(project / ".venv", python)
            run_tool([pdm, "sync", "--quiet", *arguments], project, environ | {"VIRTUAL_ENV": str(venv)})
            same(locked, project / "pdm.lock", venv, Target(interpreter=real_interpreter(version, python), **options))
            compared += 1
    record_property("compared", ("pdm.lock", compared))


def test_what_pipenv_installs_is_what_is_selected(locked: Locked, run_folder: Path, record_property: Record) -> None:
    pipenv = install_tool(run_folder, "pipenv") / "pipenv"
    project = locked.folder
    compared = 0
    for version, python in locked.pythons():
        if version.startswith("3.9."):
            continue  # Pipenv resolves by the project's Python, and its code needs a later one
        (project / "Pipfile").write_text(pipfile(locked, version))
        venv = new_venv(project / ".venv", python)
        lock = [pipenv, "lock", "--categories", "packages dev-packages first test"]
        run_tool(lock, project, of_pipenv(project, venv))
        for arguments, options in PIPENV.items():
            venv = new_venv(project / ".venv", python)
            run_tool([pipenv, "sync", *arguments], project, of_pipenv(project, venv))
            target = Target(interpreter=real_interpreter(version, python), **options)
            same(locked, project / "Pipfile.lock", venv, target)
            compared += 1
    record_property("compared", ("Pipfile.lock", compared))


def same(locked: Locked, lock_file: Path, venv: Path, target: Target) -> None:
    """Both took the same files, and something at all."""
    installed = taken_in(venv, locked.index)
    assert installed == selected_from(lock_file, target, list(locked.index.wheels.values())), target
    assert installed or not target.project


def standard_project(locked: Locked, tables: str, feature_version: str | None = None) -> Path:
    """The project as pyproject.toml has it for every tool, and the index in the last one of the tool's own tables.

    For one Python only the requirements are those without uv's choice of versions.
    """
    root, requires = locked.root, locked.document["requires-python"]
    if feature_version is not None:
        requires = f"=={feature_version}.*"
    optional, groups = root.get("optional-dependencies", {}), root.get("dev-dependencies", {})
    listed = _all if feature_version is None else _names
    (locked.folder / "pyproject.toml").write_text(
        f'[project]\nname = "demo"\nversion = "0"\nrequires-python = "{requires}"\n'
        f"dependencies = {listed(root['dependencies'])}\n[project.optional-dependencies]\n"
        + "".join(f"{name} = {listed(lines)}\n" for name, lines in optional.items())
        + "[dependency-groups]\n"
        + "".join(f"{name} = {listed(lines)}\n" for name, lines in groups.items())
        + f'{tables}url = "{locked.index.url}"\n'
    )
    return locked.folder


def _all(dependencies: list[dict[str, Any]]) -> str:
    return json.dumps(list(requirements_of(dependencies)))


def _names(dependencies: list[dict[str, Any]]) -> str:
    """Without versions and the markers that tell them apart."""
    lines = requirements_of(dependencies)
    return json.dumps(sorted({line if "sys_platform" in line else line.partition("==")[0] for line in lines}))


def pipfile(locked: Locked, version: str) -> str:
    """The same for one Python; Pipenv has categories where others have extras and groups."""
    root = locked.root
    categories = {
        "packages": root["dependencies"],
        "dev-packages": root["dev-dependencies"].get("dev", []),
        "first": root["optional-dependencies"].get("first", []),
        "test": root["dev-dependencies"].get("test", []),
    }
    lines = [f'[[source]]\nname = "stand-ins"\nurl = "{locked.index.url}"\nverify_ssl = false']
    for name, dependencies in categories.items():
        lines += [f"[{name}]", *sorted({asked(line) for line in requirements_of(dependencies)})]
    return "\n".join([*lines, f'[requires]\npython_version = "{version.rpartition(".")[0]}"\n'])


def asked(line: str) -> str:
    """A requirement in a Pipfile, in any version."""
    requirement = Requirement(line)
    return f'{requirement.name} = {{version = "*", extras = {json.dumps(sorted(requirement.extras))}}}'


def homes(project: Path) -> dict[str, str]:
    names = ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "POETRY_CACHE_DIR")
    return {name: str(project.parent / "home") for name in names}


def of_pipenv(project: Path, venv: Path) -> dict[str, str]:
    home = str(project.parent / "home")
    return homes(project) | {
        "PIPENV_CACHE_DIR": home,
        "PIP_CACHE_DIR": home,
        "VIRTUAL_ENV": str(venv),
        "PATH": f"{venv}/bin:/usr/bin:/bin",
        "PIPENV_VERBOSITY": "-1",
        "PIPENV_YES": "1",
        "PIPENV_NOSPIN": "1",
        "LANG": "C.UTF-8",
    }
