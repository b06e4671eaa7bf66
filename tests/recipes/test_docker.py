"""The Dockerfiles of the recipes, instruction by instruction, in root folders with mounts and processes of their own."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.accounts import installed, reason_to_skip
from support.containers import Builder
from support.index import LoopbackIndex, serve_index
from support.machine import new_machine
from support.recipes import DOCS, Reader, page, stand_ins


def _reason() -> str | None:
    if reason := reason_to_skip():
        return reason
    tried = ["unshare", "--mount", "--pid", "--fork", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    if shutil.which("unshare") and subprocess.run(tried, capture_output=True, check=False).returncode == 0:
        return None
    return "a root folder of its own needs mounts, which are not allowed here"


pytestmark = [pytest.mark.system, pytest.mark.skipif(_reason() is not None, reason=_reason() or "")]


@pytest.fixture(scope="module")
def index() -> Iterator[LoopbackIndex]:
    with serve_index(*stand_ins()) as served:
        yield served


@pytest.fixture(scope="module")
def builder(index: LoopbackIndex, run_folder: Path) -> Iterator[Builder]:
    work = Path(tempfile.mkdtemp(prefix="stc-"))
    work.chmod(0o755)
    try:
        with new_machine() as machine, installed() as made:
            folder = Reader(machine, index, run_folder).folder
            (folder / "storectl-0.1.0-py3-none-any.whl").touch()
            yield Builder(made, folder, work)
    finally:
        shutil.rmtree(work)


IN_THE_IMAGE, CACHED = (
    block.text for block in page(DOCS / "recipes/docker.md").blocks if block.language == "dockerfile"
)


def test_root_builds_and_another_user_runs_without_a_daemon_and_without_writing(builder: Builder) -> None:
    done = builder.run(builder.build(IN_THE_IMAGE))
    assert (done.returncode, done.stdout, done.stderr) == (0, "rich 14.0\n", "")


@pytest.mark.whole
def test_a_cache_mount_is_filled_once_and_the_image_needs_no_storectl(builder: Builder, index: LoopbackIndex) -> None:
    done = builder.run(builder.build(CACHED))
    assert (done.returncode, done.stdout, done.stderr) == (0, "rich 14.0\n", "")
    before = index.file_requests
    builder.build(CACHED)
    assert index.file_requests == before
