"""Real projects, locked by uv once per run, with stand-ins for their wheels; an index of made-up ones; other tools."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from uv import find_uv_bin

from support.index import LoopbackIndex, serve_index
from support.installed import FORKED_WHEELS
from support.locked_day import as_of_that_day
from support.stand_ins import Locked, StandInEnvironments, stand_ins_for
from support.workloads import dealt_out, own_workloads


@pytest.fixture(scope="session")
def texts() -> dict[tuple[Path, bool], str]:
    """The lock files made so far."""
    return {}


@pytest.fixture
def locked(
    tmp_path: Path, workload: Path, texts: dict[tuple[Path, bool], str], request: pytest.FixtureRequest
) -> Iterator[Locked]:
    """A workload; pinned for its own Pythons, free for every Python there is, with other versions for each of them."""
    pinned = request.param == "pinned"
    if not pinned and workload not in own_workloads():
        pytest.skip("uv would look for versions of hundreds of projects")
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(dealt_out(workload, pinned=pinned))
    if (workload, pinned) not in texts:
        subprocess.run([find_uv_bin(), "lock", "--quiet"], cwd=folder, env=os.environ | as_of_that_day(), check=True)
        texts[workload, pinned] = (folder / "uv.lock").read_text()
    with stand_ins_for(texts[workload, pinned]) as (text, index):
        (folder / "uv.lock").write_text(text)
        environments = StandInEnvironments(tmp_path / "environments", index)
        whole = request.config.getoption("--all")
        yield Locked(folder=folder, index=index, environments=environments, whole=whole)


@pytest.fixture(scope="module")
def index() -> Iterator[LoopbackIndex]:
    with serve_index(*FORKED_WHEELS) as served:
        yield served
