"""Real notebooks, executed by nbclient over real kernels, with the wheels of the configured registry."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from uv import find_uv_bin

from support.locked_day import as_of_that_day
from support.machine import STORECTL, Machine
from support.tools import install_tool
from support.warmed import PYPROJECT, warmed_workload

pytestmark = pytest.mark.network

EXECUTE = """
import json, sys, nbformat
from nbclient import NotebookClient
folder, kernel, *cells = sys.argv[1:]
notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
client = NotebookClient(notebook, kernel_name=kernel, timeout=300, startup_timeout=600, allow_errors=True,
                        resources={"metadata": {"path": folder}})
client.execute()
print(json.dumps([[dict(output) for output in cell.outputs] for cell in notebook.cells]))
"""
OLD = """\
[project]
name = "old"
version = "0"
requires-python = ">=3.11"
dependencies = ["python-dateutil==2.8.2", "traitlets==5.9.0", "six"]
[tool.uv]
package = false
"""


@pytest.fixture(scope="session")
def jupyter(run_folder: Path) -> Path:
    """The Python of a stock Jupyter: ipykernel and nbclient, its kernel called python3.

    It has the workload's version of packaging: what a kernel has loaded in another version is a conflict, as it should be.
    """
    pins = tomllib.loads(PYPROJECT.read_text())["tool"]["uv"]["constraint-dependencies"]
    (packaging,) = (pin for pin in pins if pin.startswith("packaging=="))
    return install_tool(run_folder, "ipykernel", "nbclient", packaging) / "python"


def lock(machine: Machine, folder: Path) -> None:
    environ = machine.environ | {"UV_PYTHON": sys.executable} | as_of_that_day()
    subprocess.run([find_uv_bin(), "lock", "--quiet"], cwd=folder, env=environ, check=True)


def run_notebook(machine: Machine, jupyter: Path, folder: Path, kernel: str, *cells: str) -> list[list[dict[str, Any]]]:
    """The outputs of each cell."""
    path = f"{STORECTL.parent}:{machine.environ['PATH']}"
    done = subprocess.run(
        [jupyter, "-W", "ignore", "-c", EXECUTE, folder, kernel, *cells],
        env=machine.environ | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    outputs: list[list[dict[str, Any]]] = json.loads(done.stdout)
    return outputs


def text_of(outputs: list[dict[str, Any]]) -> str:
    return "".join(output.get("text", "") or "\n".join(output.get("traceback", [])) for output in outputs)


def test_a_notebook_has_the_projects_packages_and_its_plots(machine: Machine, jupyter: Path, run_folder: Path) -> None:
    folder = warmed_workload(machine, run_folder)
    machine.ok("kernel", "install")
    plot = "%matplotlib inline\nimport matplotlib.pyplot as plt; plt.plot([1, 2]); plt.show()"
    child = "!python -c 'import matplotlib.pyplot as plt; print(plt.get_backend())'"
    spawn = "import multiprocessing as m\nwith m.get_context('spawn').Pool(1) as pool: print(pool.map(abs, [-3]))"
    where = "import pandas, sys, IPython; print(pandas.__file__.startswith(sys.prefix), IPython.__file__.startswith(sys.prefix))"
    outputs = run_notebook(
        machine, jupyter, folder, "storectl", where, plot, child, spawn, "%pip install numpy", "!pip install -U six"
    )
    assert text_of(outputs[0]) == "True False\n"
    assert [sorted(output["data"]) for output in outputs[1]] == [["image/png", "text/plain"]]
    assert text_of(outputs[2]).split() == ["agg"]
    assert text_of(outputs[3]) == "[3]\n"
    line = "storectl: nothing is installed into a running kernel: `uv add {}`, then restart the kernel\n"
    assert [text_of(output) for output in outputs[4:]] == [line.format("numpy"), line.format("six")]


def test_older_packages_of_a_project_are_the_notebooks_too(machine: Machine, jupyter: Path) -> None:
    folder = machine.home / "old"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(OLD)
    lock(machine, folder)
    machine.ok("kernel", "install")
    cell = "import dateutil, traitlets; print(dateutil.__version__, traitlets.__version__)"
    (outputs,) = run_notebook(machine, jupyter, folder, "storectl", cell)
    assert text_of(outputs) == "2.8.2 5.9.0\n"


def test_activation_in_a_stock_kernel_takes_equal_packages_for_the_same(
    machine: Machine, jupyter: Path, run_folder: Path
) -> None:
    """The kernel has loaded dateutil already, which pandas brings too: in the version that both have it is no conflict."""
    folder = warmed_workload(machine, run_folder)
    version = "import importlib.metadata as m; print(m.version('python-dateutil'))"
    own = subprocess.run([jupyter, "-c", version], capture_output=True, text=True, check=True).stdout.strip()
    pyproject = (folder / "pyproject.toml").read_text()
    pins = [line for line in pyproject.splitlines() if "python-dateutil" not in line]
    (folder / "pyproject.toml").write_text("\n".join(pins).replace('"tqdm",', f'"tqdm", "python-dateutil=={own}",', 1))
    lock(machine, folder)
    api = machine.ok("env", "api").strip()
    activate = f"import runpy, sys, dateutil; runpy.run_path({api!r})['activate'](); import pandas; print('dateutil' in sys.modules)"
    (outputs,) = run_notebook(machine, jupyter, folder, "python3", activate)
    assert text_of(outputs).endswith("True\n"), text_of(outputs)
    assert not any("ename" in output for output in outputs)
