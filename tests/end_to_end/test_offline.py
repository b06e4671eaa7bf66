"""An administrator's commands for a store that no daemon serves: they start none."""

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from storectl.commands.usage_documents import Usage
from storectl_store.collecting.node_roots import NodeRoot, write_root
from storectl_store.digest import EnvironmentId
from storectl_store.entries.layout import StoreLayout
from support.collected import aged, published
from support.json_page import differences
from support.machine import STORECTL
from support.stores import digest, written_store
from support.wheels import make_wheel

ONE, TWO = make_wheel("one"), make_wheel("two", files={"two.txt": "x" * 100_000})
UID = 31_415


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> StoreLayout:
    """A store of a year ago with two environments, one of which a user keeps."""
    layout = StoreLayout(tmp_path_factory.mktemp("site") / "store")
    with written_store(layout.root) as written:
        kept = published(written, ONE)
        published(written, ONE, TWO)
    old = time.time() - 365 * 24 * 3600
    aged([*layout.environments.iterdir(), *layout.environments.glob("*/pyvenv.cfg"), *layout.meta.iterdir()], old)
    write_root(
        layout,
        NodeRoot(
            uid=UID,
            environment=EnvironmentId(kept.name),
            project="thesis",
            seen=int(time.time()),
            digests=frozenset({digest(ONE)}),
        ),
    )
    return layout


def run(home: Path, *arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command of somebody who has nothing."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(home), **variables}
    return subprocess.run(
        [STORECTL, "store", *arguments], env=environ, capture_output=True, text=True, check=False, cwd=home
    )


def counted(home: Path, site: StoreLayout, *options: str) -> Any:
    done = run(home, "du", "--store", site.root, "--json", *options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_store_is_counted_and_collected_and_no_daemon_is_started(site: StoreLayout, tmp_path: Path) -> None:
    usage = counted(tmp_path, site, "--by", "user")
    assert list(differences(usage, Usage)) == []
    assert [share["name"] for share in usage["shares"]] == ["", str(UID)]
    assert [share["name"] for share in counted(tmp_path, site, "--by", "project")["shares"]] == ["", "thesis"]
    by_inodes = counted(tmp_path, site, "--by", "group", "--inodes")["shares"]
    assert by_inodes[0]["own"]["inodes"] >= by_inodes[1]["own"]["inodes"]
    text = run(tmp_path, "du", "--store", site.root, "--by", "user", "--inodes").stdout
    assert "nobody" in text
    assert " MB" not in text.partition("\n\n")[2]
    kept = run(tmp_path, "collect", "--store", site.root, "--keep-days", "400", "--json")
    assert json.loads(kept.stdout)["environments"] == 0
    said, went = (
        json.loads(run(tmp_path, "collect", "--store", site.root, "--json", *dry).stdout) for dry in (["-n"], [])
    )
    assert said["environments"] == went["environments"] == 1
    assert said["bytes"] == went["bytes"] > 100_000
    assert site.generation.exists()
    assert [share["name"] for share in counted(tmp_path, site, "--by", "user")["shares"]] == [str(UID)]
    assert not any(path.name.startswith("storectl") for path in tmp_path.rglob("*"))


def test_what_cannot_be_is_said(site: StoreLayout, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    none = run(tmp_path, "du", "--store", tmp_path / "empty")
    assert none.returncode == 1
    assert none.stderr.startswith("storectl: E_STORE_FORMAT: ")
    own = run(tmp_path, "du", "--by", "group")
    assert own.returncode == 2
    assert "--store" in own.stderr
    both = run(tmp_path, "collect", "--store", site.root, "--project", ".")
    assert both.returncode == 2
    assert "E_USAGE" in both.stderr
    frozen = run(tmp_path, "collect", "--store", site.root, STORECTL_FROZEN="1")
    assert frozen.returncode == 125
    assert frozen.stderr.startswith("storectl: E_FROZEN: ")
    with written_store(site.root):
        busy = run(tmp_path, "collect", "--store", site.root)
    assert busy.stderr.startswith("storectl: E_STORE_BUSY: ")
