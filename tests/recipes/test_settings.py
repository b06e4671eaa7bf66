"""What the settings on the page about editors lead to, beside a virtual environment that uv makes of the same lock file."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.index import serve_index
from support.machine import new_machine
from support.recipes import DOCS, Reader, page, stand_ins

ASK = """
import importlib.metadata as m, json, os, site, sys, sysconfig
inside = lambda paths: [os.path.relpath(path, sys.prefix) for path in paths if path.startswith(sys.prefix)]
print(json.dumps({
    "path": inside(sys.path),
    "site-packages": inside(site.getsitepackages()),
    "scheme": inside(sysconfig.get_paths().values()),
    "executable": inside([sys.executable]),
    "installed": sorted([d.name, d.version, *inside([str(d.locate_file(""))])] for d in m.distributions()),
    "markers": sorted(name for name in ("pyvenv.cfg", "bin/activate", "bin/python3") if os.path.exists(os.path.join(sys.prefix, name))),
}))
"""


@pytest.fixture(scope="module")
def reader(run_folder: Path) -> Iterator[Reader]:
    with new_machine() as machine, serve_index(*stand_ins()) as index:
        made = Reader(machine, index, run_folder)
        assert made.run("storectl", "link").returncode == 0
        yield made


def asked(reader: Reader, python: str) -> dict[str, Any]:
    done = subprocess.run([python, "-c", ASK], cwd=reader.folder, env=reader.environ, capture_output=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_interpreter_of_the_settings_answers_as_that_of_a_venv(reader: Reader) -> None:
    settings = json.loads(page(DOCS / "recipes/editors.md").file(".vscode/settings.json"))
    python = settings["python.defaultInterpreterPath"].replace("${workspaceFolder}", str(reader.folder))
    found = asked(reader, python)
    reader.environ["UV_PROJECT_ENVIRONMENT"] = str(reader.machine.root / "venv")
    assert reader.run("uv", "sync", "--quiet").returncode == 0
    assert found == asked(reader, str(reader.machine.root / "venv/bin/python"))
    assert reader.run(python, "-m", "pytest").stdout == "1 passed\n"
