"""The pages of recipes are followed as they are written."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from support.index import LoopbackIndex, serve_index
from support.machine import Machine, new_machine
from support.recipes import BASE, DOCS, Page, Reader, page, pages, stand_ins

FOLLOWED = [given for given in pages() if given.path != BASE]
ROOT = DOCS.parent
WRITTEN = [*ROOT.glob("*.md"), *DOCS.glob("*.md"), *DOCS.glob("recipes/*.md")]

INTERPRETER = """
import importlib.metadata as m, json, os, site, sys, sysconfig
inside = lambda paths: [os.path.relpath(path, sys.prefix) for path in paths if path.startswith(sys.prefix)]
print(json.dumps({
    "path": inside(sys.path),
    "site-packages": inside(site.getsitepackages()),
    "scheme": inside(sysconfig.get_paths().values()),
    "executable": inside([sys.executable]),
    "installed": sorted([d.name, d.version, *inside([str(d.locate_file(""))])] for d in m.distributions()),
    "files": [name for name in ("pyvenv.cfg", "bin/activate", "bin/python3") if os.path.exists(os.path.join(sys.prefix, name))],
}))
"""


def _marked(given: Page) -> object:
    marks = [pytest.mark.network] if given.registry or given.tools else []
    marks += [pytest.mark.whole] if given.registry else []
    return pytest.param(given, id=given.path.stem, marks=marks)


@pytest.fixture(scope="module")
def index() -> Iterator[LoopbackIndex]:
    with serve_index(*stand_ins()) as served:
        yield served


@pytest.fixture(scope="module")
def host() -> Iterator[Machine]:
    with new_machine() as made:
        yield made


@pytest.mark.parametrize("given", [_marked(given) for given in FOLLOWED])
def test_a_page_does_what_it_says(given: Page, host: Machine, index: LoopbackIndex, run_folder: Path) -> None:
    with new_machine() if given.own else nullcontext(host.guest()) as machine:
        Reader(machine, None if given.registry else index, run_folder).follow(given)


def test_the_interpreter_that_editors_are_given_answers_as_that_of_a_venv(
    host: Machine, index: LoopbackIndex, run_folder: Path
) -> None:
    reader = Reader(host.guest(), index, run_folder)
    assert reader.run("storectl", "link").returncode == 0
    settings = json.loads(page(DOCS / "recipes/editors.md").file(".vscode/settings.json"))
    python = settings["python.defaultInterpreterPath"].replace("${workspaceFolder}", str(reader.folder))
    found = asked(reader, python)
    venv = reader.machine.home / "venv"
    reader.environ["UV_PROJECT_ENVIRONMENT"] = str(venv)
    assert reader.run("uv", "sync", "--quiet").returncode == 0
    assert found == asked(reader, f"{venv}/bin/python")
    assert reader.run(python, "-m", "pytest").stdout == "1 passed\n"


def asked(reader: Reader, python: str) -> dict[str, Any]:
    """What an editor asks an interpreter."""
    command = [python, "-c", INTERPRETER]
    done = subprocess.run(command, cwd=reader.folder, env=reader.environ, capture_output=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_each_block_is_run_or_says_why_not() -> None:
    for given in pages():
        for block in given.blocks:
            done = "file" in block.options or block.language == "console" or block.options.get("unrun")
            assert done, f"{given.path.name}:{block.line}"


def test_each_page_is_in_the_table() -> None:
    table = BASE.read_text()
    for given in FOLLOWED:
        assert f"({given.path.name})" in table or given.path.parent != BASE.parent, given.path.name


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_a_page_links_to_is_there(path: Path) -> None:
    links = re.findall(r"\]\(([\w./-]+)(?:#[\w-]+)?\)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_what_contributors_are_told_of_is_there() -> None:
    text = (DOCS / "contributing.md").read_text()
    named = re.findall(r"(?:client|store|daemon|tests|scripts|docs)/[\w/.-]*[\w]", text)
    assert len(named) > 20
    assert [name for name in named if not (ROOT / name).exists()] == []
