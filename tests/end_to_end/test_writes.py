"""What is written below an environment stays in that environment: its entries are as they were, and it can be mended."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from support.index import LoopbackIndex
from support.machine import Machine
from support.project import write_project
from support.wheels import make_wheel

GUESTS = True  # the tests do not disturb one another: one daemon serves them all


@pytest.fixture
def environment(machine: Machine, index: LoopbackIndex) -> Path:
    name = f"w{os.path.basename(machine.home)[5:].lower()}".replace("_", "x")
    wheel = make_wheel(
        name,
        files={
            f"{name}/__init__.py": "",
            f"{name}-1.0.data/data/etc/{name}/settings.json": "{}",
            f"{name}-1.0.data/data/share/{name}/kernel.json": "{}",
            f"{name}-1.0.data/headers/{name}.h": "",
            f"{name}-1.0.data/scripts/{name}": "#!/bin/sh\n",
        },
    )
    project = write_project(machine.home / "project", index, [wheel])
    machine.ok("warm", project)
    return Path(machine.ok("env", "path", project).strip())


def kinds(machine: Machine) -> set[str]:
    """The kinds of things that `store verify` finds damaged."""
    return {finding["kind"] for finding in json.loads(machine.run("store", "verify", "--json").stdout)["findings"]}


def test_what_root_writes_below_the_prefix_reaches_no_entry_and_is_mended(machine: Machine, environment: Path) -> None:
    subprocess.run(["chmod", "-R", "u+w", environment], check=True)
    for file in [path for top in ("etc", "share", "include") for path in (environment / top).rglob("*")]:
        if file.is_file():
            file.write_text("written")
    (environment / "share/jupyter/kernels/mine").mkdir(parents=True)
    for script in (environment / "bin").iterdir():
        if not script.is_symlink():
            script.write_text("#!/bin/sh\necho written\n")
    for record in environment.glob("lib/python*/site-packages/*.dist-info/RECORD"):
        record.write_text("")
    assert kinds(machine) <= {"environment", "link"}
    assert kinds(machine)
    assert machine.run("store", "verify", "--repair").returncode == 0
    assert kinds(machine) == set()
    assert not (environment / "share/jupyter").exists()


def test_no_folder_below_the_prefix_but_packages_leads_into_an_entry(machine: Machine, environment: Path) -> None:
    entries = os.path.realpath(machine.store / "store")
    packages = set(environment.glob("lib/python*/site-packages/*"))
    leading = [path for path in environment.rglob("*") if os.path.realpath(path).startswith(f"{entries}/")]
    assert leading
    assert all(packages & {path, *path.parents} for path in leading)


PATHS = """
import os
HERE = os.path.dirname(__file__)
SIBLING = os.path.exists(os.path.join(HERE, "..", "beside.py"))
NORMALISED = os.path.exists(os.path.normpath(os.path.join(HERE, "..", "beside.py")))
"""


def test_paths_of_packages_are_those_of_the_environment_and_in_an_export_stay(
    machine: Machine, index: LoopbackIndex
) -> None:
    wheels = [make_wheel("paths", files={"paths/__init__.py": PATHS}), make_wheel("beside", files={"beside.py": ""})]
    project = write_project(machine.home / "project", index, wheels)
    show = "import paths; print(paths.HERE, paths.SIBLING, paths.NORMALISED)"
    first = machine.ok("run", "-c", show, cwd=project).split()
    write_project(project, index, [*wheels, make_wheel("alpha")])
    second = machine.ok("run", "-c", show, cwd=project).split()
    assert first[1:] == second[1:] == ["False", "True"]
    assert first[0] != second[0]
    assert os.path.realpath(first[0]) == os.path.realpath(second[0])
    machine.ok("env", "export", "exported", cwd=project)
    python = project / "exported/bin/python"
    shown = subprocess.run([python, "-c", show], capture_output=True, text=True, check=True).stdout.split()
    assert shown[0].startswith(f"{project}/exported/")
    assert shown[1:] == ["True", "True"]
