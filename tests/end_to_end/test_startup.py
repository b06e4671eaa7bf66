"""What a program's start costs: modules, and nothing that a venv's start does not have."""

import json
import subprocess
from pathlib import Path

import pytest

from support.index import LoopbackIndex
from support.machine import Machine, base_python, pyenv_python
from support.project import write_project
from support.wheels import make_wheel

GUESTS = True  # the tests do not disturb one another: one daemon serves them all

VERSIONS = ["3.9", "3.10", "3.11", "3.12", "3.13"]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_shim_leaves_nothing_but_stdlib_modules_and_at_most_three_more(
    machine: Machine, index: LoopbackIndex, version: str
) -> None:
    python = pyenv_python(version)
    if python is None:
        pytest.skip(f"no CPython {version} here")
    folder = write_project(machine.home / "project", index, [make_wheel("alpha", "1.0")])
    loaded = "import sys; before = sorted(sys.modules); import json; print(json.dumps(before))"
    mine = set(json.loads(machine.ok("run", "-p", version, "-c", loaded, cwd=folder)))
    subprocess.run([python, "-m", "venv", "--without-pip", str(machine.home / "venv")], check=True)
    plain = set(
        json.loads(
            subprocess.run(
                [str(machine.home / "venv/bin/python"), "-c", loaded],
                capture_output=True,
                text=True,
                check=True,
                env=machine.environ,
            ).stdout
        )
    )
    more = mine - plain
    assert len(more) <= 3
    stdlib = subprocess.run(
        [base_python(), "-c", "import sys, json; print(json.dumps(sorted(sys.stdlib_module_names)))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    gone_since = {"_bootlocale"}  # of 3.9's own library; any .pth file loads it there
    assert {name.partition(".")[0] for name in more} <= set(json.loads(stdlib)) | gone_since


def test_a_program_finds_its_modules_through_the_map_not_the_file_system(
    machine: Machine, index: LoopbackIndex
) -> None:
    folder = write_project(machine.home / "project", index, [make_wheel("alpha", "1.0")])
    shown = machine.ok(
        "run",
        "-c",
        "import sys, alpha, importlib.machinery as m\n"
        "path = next(p for p in sys.path if p.endswith('site-packages'))\n"
        "finder = sys.path_importer_cache[path]\n"
        "print(type(finder) is not m.FileFinder, isinstance(finder, m.FileFinder))",
        cwd=folder,
    )
    assert shown == "True True\n"


def test_the_environment_works_with_the_shim_switched_off(machine: Machine, index: LoopbackIndex) -> None:
    folder = write_project(machine.home / "project", index, [make_wheel("alpha", "1.0")])
    prefix = Path(machine.ok("run", "-c", "import sys; print(sys.prefix)", cwd=folder).strip())
    site_packages = next(prefix.glob("lib/python*/site-packages"))
    code = f"import sys; sys.path.append({str(site_packages)!r}); import alpha; print(alpha.__version__)"
    done = subprocess.run([prefix / "bin/python", "-S", "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("1.0\n", "")


@pytest.mark.parametrize("version", [version for version in ("3.9", "3.13") if pyenv_python(version)])
def test_a_coverage_that_writes_its_start_into_site_packages_is_started_in_children(
    machine: Machine, index: LoopbackIndex, version: str
) -> None:
    """Not even root writes there: what coverage 7.10.3 to 7.12 writes for `patch = subprocess` is there from the beginning."""
    code = (
        "import os\ndef process_startup():\n"
        "    if not hasattr(process_startup, 'coverage'):  # site runs it twice in a venv\n"
        "        process_startup.coverage = print('started with', os.environ['COVERAGE_PROCESS_CONFIG'])\n"
    )
    covered = make_wheel("coverage", "7.11.0", files={"coverage/__init__.py": code})
    folder = write_project(machine.home / "project", index, [covered])
    child = "import subprocess, sys; sys.stdout.flush(); subprocess.run([sys.executable, '-c', 'print(1)'], check=True)"
    assert machine.ok("run", "-p", version, "-c", child, cwd=folder) == "1\n"
    parent = f"import os; os.environ['COVERAGE_PROCESS_CONFIG'] = 'this'; {child}"
    assert machine.ok("run", "-p", version, "-c", parent, cwd=folder) == "started with this\n1\n"
