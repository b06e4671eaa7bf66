"""The data-science workload, with its wheels from the configured registry."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.locked_day import as_of_that_day
from support.machine import Machine
from support.warmed import lock_workload, warmed_workload

pytestmark = pytest.mark.network

UV = Path(sys.executable).with_name("uv")
SCRIPT = """
import matplotlib; matplotlib.use("Agg")
import matplotlib.pyplot, numpy, pandas
print(numpy.__version__, pandas.__version__, matplotlib.__version__)
"""
DISTRIBUTIONS = (
    "import importlib.metadata as m, json; print(json.dumps(sorted((d.name, d.version) for d in m.distributions())))"
)


def uv(machine: Machine, folder: Path, *arguments: str) -> str:
    environ = os.environ | {"UV_CACHE_DIR": machine.environ["UV_CACHE_DIR"], "UV_PYTHON": sys.executable}
    environ |= as_of_that_day()
    environ.pop("VIRTUAL_ENV", None)
    return subprocess.run([UV, *arguments], cwd=folder, capture_output=True, text=True, check=True, env=environ).stdout


def test_the_workload_runs_from_each_lock_file_with_the_versions_of_a_venv(machine: Machine) -> None:
    locked = lock_workload(machine)
    (locked / "s.py").write_text(SCRIPT)
    uv(machine, locked, "venv", "-q", str(machine.root / "venv"))
    environ = os.environ | {"UV_PROJECT_ENVIRONMENT": str(machine.root / "venv"), **machine.environ}
    subprocess.run([UV, "sync", "-q", "--frozen"], cwd=locked, check=True, env=environ)
    command = [str(machine.root / "venv/bin/python"), "-c", DISTRIBUTIONS]
    expected = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    uv(machine, locked, "export", "-q", "--frozen", "--format", "pylock.toml", "-o", "pylock.toml")
    uv(machine, locked, "export", "-q", "--frozen", "--format", "requirements.txt", "-o", "requirements.txt")
    shown = set()
    for kind in ("uv.lock", "pylock.toml", "requirements.txt"):
        found = json.loads(machine.ok("run", "-p", sys.executable, "-c", DISTRIBUTIONS, cwd=locked, timeout=600))
        assert found == expected, kind
        shown.add(machine.ok("run", "s.py", cwd=locked, timeout=600))
        (locked / kind).unlink()
    assert len(shown) == 1


def test_mypy_resolves_numpy_and_pandas_from_a_linked_venv(machine: Machine, run_folder: Path) -> None:
    locked = warmed_workload(machine, run_folder)
    machine.ok("link", cwd=locked, timeout=600)
    (locked / "typed.py").write_text("import numpy as np\nx: np.ndarray = np.zeros(3)\nreveal_type(x)\n")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--python-executable", ".venv/bin/python", "--no-incremental", "typed.py"],
        cwd=locked,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "numpy.ndarray" in done.stdout
