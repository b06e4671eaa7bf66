"""Interpreters that run already: cells executed one after the other in a process of a given Python."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import storectl_shim
from support.machine import STORECTL, Machine, pyenv_python

API_FILE = Path(str(storectl_shim.__file__)).with_name("notebook.py")

_BY_FILE = f"import runpy, types\nstorectl = types.SimpleNamespace(**runpy.run_path({str(API_FILE)!r}))\n"
_SHOW = "import json, os, sys\ndef show(value):\n    print(json.dumps(value))\n"
_PROGRESS = re.compile(r"storectl: \w+ \d+ of \d+ \(.*\n")
"""What is shown where making an environment takes a while, as on a busy machine."""


def kernels() -> list[str]:
    """The oldest supported Python, a newer one, and that of the tests, the only one that has storectl installed."""
    others = [path for version in ("3.9", "3.12") if (path := pyenv_python(version)) is not None]
    return [*others, sys.executable]


def run_cells(machine: Machine, folder: Path, *cells: str, python: str = sys.executable, **variables: str) -> list[Any]:
    """What the cells ``show``, each a JSON value; ``storectl`` and ``show`` are there. They must succeed, in silence but for progress."""
    done = execute(machine, [python, "-c", code_of(*cells, python=python)], folder, **variables)
    assert done.returncode == 0, done.stderr
    assert not _PROGRESS.sub("", done.stderr), done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def code_of(*cells: str, python: str = sys.executable) -> str:
    start = "import storectl\n" if python == sys.executable else _BY_FILE
    return _SHOW + start + "\n".join(cells)


def execute(
    machine: Machine, command: Sequence[str | Path], folder: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    environ = machine.environ | {"PATH": os.pathsep.join([str(STORECTL.parent), machine.environ["PATH"]])} | variables
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=120, check=False)
