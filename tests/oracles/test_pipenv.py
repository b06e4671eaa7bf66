"""``Pipfile.lock`` against Pipenv itself: what it installs into a venv is what is selected, down to the digests."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from storectl_store.selection.reading import read_lock_file
from storectl_store.selection.select import select
from support.index import LoopbackIndex
from support.installed import FORKED_WHEELS, installed_in, run_tool, selected_from
from support.machine import pyenv_python
from support.targets import make_target
from support.tools import install_tool, new_venv

pytestmark = pytest.mark.network

PIPFILE = """\
[[source]]
name = "own"
url = "URL"
verify_ssl = false
[packages]
b = "*"
n = "*"
[dev-packages]
e = "*"
[docs]
d = "*"
c = {version = "*", extras = ["more"]}
[requires]
python_version = "PYTHON"
"""
OPTIONS: dict[tuple[str, ...], dict[str, Any]] = {
    (): {},
    ("--dev",): {"groups": ("dev",)},
    ("--categories", "packages docs"): {"groups": ("docs",)},
    ("--categories", "docs"): {"groups": ("docs",), "project": False},
}
PYTHONS = [version for version in ("3.11", "3.12") if pyenv_python(version)]


@pytest.fixture(scope="module")
def pipenv(run_folder: Path) -> Path:
    return install_tool(run_folder, "pipenv") / "pipenv"


def environ(folder: Path, venv: Path) -> dict[str, str]:
    names = ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "PIPENV_CACHE_DIR", "PIP_CACHE_DIR")
    return {name: str(folder / ".home") for name in names} | {
        "VIRTUAL_ENV": str(venv),
        "PATH": f"{venv}/bin:/usr/bin:/bin",
        "PIPENV_VERBOSITY": "-1",
        "PIPENV_YES": "1",
        "PIPENV_NOSPIN": "1",
        "LANG": "C.UTF-8",
    }


@pytest.mark.parametrize(
    "version", [*(pytest.param(version, marks=pytest.mark.whole) for version in PYTHONS[:-1]), *PYTHONS[-1:]]
)
def test_what_pipenv_installs_is_what_is_selected(
    tmp_path: Path,
    index: LoopbackIndex,
    pipenv: Path,
    version: str,
    record_property: Callable[[str, object], None],
) -> None:
    pipfile, lock_file = tmp_path / "Pipfile", tmp_path / "Pipfile.lock"
    pipfile.write_text(PIPFILE.replace("URL", index.url).replace("PYTHON", version))
    lock = [pipenv, "lock", "--categories", "packages dev-packages docs"]
    run_tool(lock, tmp_path, environ(tmp_path, new_venv(tmp_path / "venv", pyenv_python(version) or "")))
    for arguments, options in OPTIONS.items():
        venv = new_venv(tmp_path / "venv", pyenv_python(version) or "")
        run_tool([pipenv, "sync", *arguments], tmp_path, environ(tmp_path, venv))
        expected = installed_in(venv / "bin/python", FORKED_WHEELS)
        assert all(taken.digest for taken in expected)
        target = make_target(f"{version}.1", **options)
        assert selected_from(lock_file, target, FORKED_WHEELS) == expected, arguments
    record_property("compared", ("Pipfile.lock", len(OPTIONS)))
    assert select(read_lock_file(lock_file), make_target(f"{version}.1")).stale is None
    pipfile.write_text(pipfile.read_text().replace('b = "*"', 'b = "==1.0"'))
    stale = select(read_lock_file(lock_file), make_target(f"{version}.1")).stale
    assert stale is not None
    assert "pipenv lock" in stale
