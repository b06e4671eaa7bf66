"""`storectl module write` and Lmod (Debian: lmod): load, run, unload, in two shells."""

import shutil
import subprocess
from pathlib import Path

import pytest

from support.index import LoopbackIndex
from support.machine import Machine
from support.project import write_project
from support.wheels import make_wheel

INIT = Path("/usr/share/lmod/lmod/init")
needs_lmod = pytest.mark.skipif(not INIT.is_dir(), reason="Lmod is not here (Debian: lmod)")
SCRIPT = """
. {init}
PATH=/usr/bin:/bin
before=$PATH
module use {modules}
module load numbers/1.0
python -c 'import alpha, os, sys; print(alpha.__version__, sys.prefix, os.environ["STORECTL_FROZEN"])'
command -v python
echo "$VIRTUAL_ENV"
module unload numbers/1.0
[ "$PATH" = "$before" ] && echo same
echo "${{VIRTUAL_ENV-unset}} ${{STORECTL_FROZEN-unset}} ${{PYTHONPATH-unset}} ${{LD_LIBRARY_PATH-unset}}"
"""


@pytest.fixture
def project(machine: Machine, index: LoopbackIndex) -> Path:
    return write_project(machine.home / "pro ject", index, [make_wheel("alpha")])


@needs_lmod
@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_a_module_gives_the_python_of_the_environment_and_takes_it_away(
    machine: Machine, project: Path, shell: str
) -> None:
    modules = machine.home / "modulefiles"
    machine.ok("module", "write", "--name", "numbers/1.0", "--to", modules, cwd=project)
    environment = machine.ok("env", "path", cwd=project).strip()
    script = SCRIPT.format(init=INIT / shell, modules=modules)
    environ = {"HOME": str(machine.home), "PATH": "/usr/bin:/bin", "LMOD_PAGER": "none"}
    program = shutil.which(shell)
    assert program
    done = subprocess.run([program, "-c", script], env=environ, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == [
        f"1.0 {environment} 1", f"{environment}/bin/python", environment, "same", "unset unset unset unset",
    ], done.stderr  # fmt: skip


def test_the_environment_of_a_module_is_pinned_and_the_file_is_replaced(machine: Machine, project: Path) -> None:
    for _ in range(2):
        machine.ok("module", "write", "--name", "numbers/1.0+x", cwd=project)
    assert [each["name"] for each in machine.json("env", "pins", "--json")] == ["numbers-1.0_x"]
    assert [path.name for path in (project / "modulefiles/numbers").iterdir()] == ["1.0+x.lua"]


@pytest.mark.parametrize("name", ["numbers", "../x/1", "a/b/c", "/a", "a/", "a/-", "a b/1"])
def test_what_is_no_name_of_a_module_is_refused(machine: Machine, project: Path, name: str) -> None:
    done = machine.run("module", "write", "--name", name, cwd=project)
    assert (done.returncode, done.stderr.partition(": ")[2][:8]) == (2, "E_USAGE:")
