"""``pdm.lock`` against PDM itself: what it installs into a venv is what is selected, down to the digests."""

import subprocess
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

PYPROJECT = """\
[project]
name = "demo"
version = "1"
requires-python = ">=3.10"
dependencies = ["b", "n"]
[project.optional-dependencies]
more = ["c[more]"]
[dependency-groups]
dev = ["e"]
docs = ["d", {include-group = "dev"}]
[tool.pdm]
distribution = false
[[tool.pdm.source]]
name = "pypi"
url = "URL"
verify_ssl = false
"""
OPTIONS: dict[tuple[str, ...], dict[str, Any]] = {
    (): {},
    ("-G", "more"): {"extras": ("more",)},
    ("--prod",): {"groups": ()},
    ("-d", "-G", "docs"): {"groups": ("docs",)},
    ("--no-default", "-G", "dev"): {"groups": ("dev",), "project": False},
    ("-G:all",): {"all_extras": True},
}
PYTHONS = [version for version in ("3.11", "3.12") if pyenv_python(version)]


@pytest.fixture(scope="module")
def pdm(run_folder: Path) -> Path:
    # With what PDM was tested with: it does not run with the newest hishel, and says nothing against it.
    return install_tool(run_folder, "pdm[locked]") / "pdm"


def environ(folder: Path, **variables: str) -> dict[str, str]:
    names = ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")
    return {name: str(folder / ".home") for name in names} | {"PDM_CHECK_UPDATE": "0"} | variables


@pytest.mark.parametrize(
    "strategy",
    ["", *(pytest.param(name, marks=pytest.mark.whole) for name in ("static_urls", "no_inherit_metadata"))],
)
def test_what_pdm_installs_is_what_is_selected(
    tmp_path: Path,
    index: LoopbackIndex,
    pdm: Path,
    strategy: str,
    record_property: Callable[[str, object], None],
) -> None:
    (tmp_path / "pyproject.toml").write_text(PYPROJECT.replace("URL", index.url))
    lock = [pdm, "lock", "--quiet", "-G:all", *(["-S", strategy] if strategy else [])]
    run_tool(lock, tmp_path, environ(tmp_path, PDM_PYTHON=pyenv_python(PYTHONS[0]) or ""))
    for version in PYTHONS:
        for arguments, options in OPTIONS.items():
            venv = new_venv(tmp_path / ".venv", pyenv_python(version) or "")
            run_tool([pdm, "sync", "--quiet", *arguments], tmp_path, environ(tmp_path, VIRTUAL_ENV=str(venv)))
            expected = installed_in(venv / "bin/python", FORKED_WHEELS)
            assert all(taken.digest for taken in expected)
            target = make_target(f"{version}.1", **options)
            assert selected_from(tmp_path / "pdm.lock", target, FORKED_WHEELS) == expected, (version, arguments)
    record_property("compared", ("pdm.lock", len(PYTHONS) * len(OPTIONS)))


def test_a_project_that_changed_is_told_as_pdm_tells_it(tmp_path: Path, index: LoopbackIndex, pdm: Path) -> None:
    pyproject = tmp_path / "pyproject.toml"
    text = PYPROJECT.replace("URL", index.url)
    pyproject.write_text(text)
    run_tool([pdm, "lock", "--quiet", "-G:all"], tmp_path, environ(tmp_path))
    edits = {
        "nothing": text,
        "a comment": f"# changed\n{text}",
        "another version": text.replace('version = "1"', 'version = "2"'),
        "another dependency": text.replace('"n"]', '"n", "d"]'),
        "another group": text.replace('dev = ["e"]', 'dev = ["e", "d"]'),
        "an extra less": text.replace('more = ["c[more]"]', ""),
        "another Python": text.replace(">=3.10", ">=3.11"),
    }
    for what, edited in edits.items():
        pyproject.write_text(edited)
        check = subprocess.run(
            [pdm, "lock", "--check"],
            cwd=tmp_path,
            env=environ(tmp_path, PATH="/usr/bin:/bin"),
            capture_output=True,
            check=False,
        )
        stale = select(read_lock_file(tmp_path / "pdm.lock"), make_target()).stale
        assert (stale is None) == (check.returncode == 0), what
