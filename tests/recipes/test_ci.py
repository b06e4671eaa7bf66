"""The workflow of the CI recipe: its steps, and what a cache does between two jobs."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.index import LoopbackIndex, serve_index
from support.machine import Machine, new_machine, remove_tree
from support.recipes import DOCS, Reader, page, stand_ins

WORKFLOW = page(DOCS / "recipes/ci.md").file(".github/workflows/test.yml")
STEPS = re.findall(r"^\s+(?:- )?run: (.+)$", WORKFLOW, re.MULTILINE)
(CACHED,) = re.findall(r"^\s+path: ~/(.+)$", WORKFLOW, re.MULTILINE)


class Runner:
    """A machine that is empty before each job but for the checkout, and the cache."""

    def __init__(self, machine: Machine, index: LoopbackIndex, run_folder: Path) -> None:
        self.machine = machine
        self.reader = Reader(machine, index, run_folder)
        self._archive = machine.root / "cache.tar"
        self._forget()

    def _forget(self) -> None:
        self.machine.stop()
        for name in (".local", ".cache", ".config"):
            remove_tree(self.machine.home / name)

    def job(self) -> str:
        """Restore, run the steps, save, and clean up: what the steps said."""
        if self._archive.exists():
            subprocess.run(["tar", "-xPf", self._archive], check=True)
        said = ""
        for step in STEPS:
            done = self.reader.run("bash", "-e", "-c", re.sub(r"^pip install \$\{\{.*\}\}$", "true", step))
            assert done.returncode == 0, f"{step}\n{done.stdout}"
            said += done.stdout
        assert self.machine.daemon_processes() == []
        subprocess.run(["tar", "-cPf", self._archive, self.machine.home / CACHED], check=True)
        self._forget()
        return said


@pytest.fixture
def index() -> Iterator[LoopbackIndex]:
    with serve_index(*stand_ins()) as served:
        yield served


@pytest.fixture
def runner(index: LoopbackIndex, run_folder: Path) -> Iterator[Runner]:
    with new_machine() as machine:
        yield Runner(machine, index, run_folder)


def test_a_job_fetches_only_what_no_job_before_it_has_fetched(runner: Runner, index: LoopbackIndex) -> None:
    assert "1 passed" in runner.job()
    index.requests.clear()
    assert "1 passed" in runner.job()
    assert not index.requests
    runner.reader.run("uv", "add", "--no-sync", "httpx")
    index.requests.clear()
    assert "1 passed" in runner.job()
    assert [path for path in index.requests if path.startswith("/files/")] == ["/files/httpx-1.0-py3-none-any.whl"]
