"""Layers of another account: two real users, of whom one keeps the store that the other uses."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.accounts import Account, Installed, new_account, reason_to_skip
from support.index import LoopbackIndex
from support.layers import started, write_config
from support.project import write_project
from support.wheels import WheelBytes, make_wheel

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(reason_to_skip() is not None, reason=reason_to_skip() or ""),
]

MODULES = {f"alpha/m{number}.py": f"VALUE = {number}\n" for number in range(3)}
ALPHA = make_wheel("alpha", files={"alpha/__init__.py": "from alpha import m0, m1, m2\n", **MODULES})
BETA = make_wheel("beta", files={"beta.py": "VALUE = 'b'\n", "beta-1.0.data/scripts/binary": "\x7fnot python\n"})
GAMMA = make_wheel("gamma", files={"gamma.py": "VALUE = 'c'\n"})
SHOW = "import os, alpha, beta; print(alpha.m2.VALUE, beta.VALUE, os.geteuid(), alpha.__cached__)"


@pytest.fixture
def keeper(made: Installed) -> Iterator[Account]:
    with new_account(made) as account:
        yield account


@pytest.fixture
def user(made: Installed) -> Iterator[Account]:
    with new_account(made) as account:
        yield account


def project_of(account: Account, folder: Path, index: LoopbackIndex, *wheels: WheelBytes) -> Path:
    write_project(folder, index, wheels)
    account.give(folder)
    return folder


@pytest.fixture
def layer(keeper: Account, place: Path, index: LoopbackIndex) -> Path:
    """A store of the keeper that all accounts can read, with alpha, beta and an environment of both."""
    store = place / "srv"
    store.mkdir(mode=0o755)
    keeper.give(store)
    folder = project_of(keeper, place / "kept", index, ALPHA, BETA)
    started(keeper.storectl, env={"STORECTL_STORE": str(store)})
    keeper.ok("warm", "--shared", cwd=folder, env={"STORECTL_STORE": str(store)})
    keeper.storectl("daemon", "stop", cwd=folder, env={"STORECTL_STORE": str(store)})
    return store


def configured(account: Account, layer: Path, *further: str) -> None:
    write_config(account.home / ".config" / "storectl", layer, further=further)
    account.give(account.home / ".config")
    started(account.storectl)


def inodes(folder: Path) -> int:
    return sum(1 for _ in folder.rglob("*"))


def entries(account: Account) -> list[str]:
    store = account.home / ".local/share/storectl/store"
    return sorted(os.listdir(store)) if store.is_dir() else []


def test_another_account_uses_a_layer_by_its_files_alone(
    keeper: Account, user: Account, layer: Path, place: Path, index: LoopbackIndex
) -> None:
    configured(user, layer, f'owner = "{keeper.name}"')
    folder = project_of(user, place / "used", index, ALPHA, BETA)
    before, fetched = inodes(layer), index.file_requests
    shown = user.ok("run", "-c", SHOW, cwd=folder)
    assert shown.startswith(f"2 b {user.uid} {layer}/environments/")
    assert index.file_requests == fetched
    assert entries(user) == []
    assert not list((user.home / ".local/share/storectl/environments").glob("[0-9a-f]*"))
    assert user.ok("run", "-c", SHOW, cwd=folder) == shown
    assert inodes(layer) == before


def test_a_view_into_another_account_s_store_has_copies_and_links_and_no_hard_links(
    keeper: Account, user: Account, layer: Path, place: Path, index: LoopbackIndex
) -> None:
    configured(user, layer, f'owner = "{keeper.uid}"')
    folder = project_of(user, place / "used", index, ALPHA, BETA, GAMMA)
    fetched = index.file_requests
    code = "import alpha, beta, gamma, importlib.metadata as m; print(gamma.VALUE, m.version('alpha'))"
    assert user.ok("run", "-c", code, cwd=folder) == "c 1.0\n"
    assert index.file_requests == fetched + 1
    assert entries(user) == ["gamma"]
    (view,) = (user.home / ".local/share/storectl/environments").glob("[0-9a-f]*")
    own = [path for path in (view, *view.rglob("*")) if path.lstat().st_uid != user.uid]
    assert own == []
    binary = view / "bin" / "binary"
    assert not binary.is_symlink()
    assert binary.read_bytes() == b"\x7fnot python\n"
    user.ok("store", "verify")


def test_bytecode_that_a_layer_lacks_is_compiled_once_by_each_user(
    keeper: Account, user: Account, layer: Path, place: Path, index: LoopbackIndex
) -> None:
    for cached in layer.glob("store/*/*/site-packages/**/*.pyc"):
        cached.unlink()
    configured(user, layer, f'owner = "{keeper.name}"')
    folder = project_of(user, place / "used", index, ALPHA, BETA)
    with_bytecode = {"PYTHONDONTWRITEBYTECODE": ""}
    assert user.ok("run", "-c", SHOW, cwd=folder, env=with_bytecode).startswith("2 b ")
    kept = sorted(path.name.partition(".")[0] for path in (user.home / ".cache/storectl/bytecode").rglob("*.pyc"))
    assert kept == ["__init__", "beta", "m0", "m1", "m2"]
    loaded = user.ok("run", "-v", "-c", SHOW, cwd=folder, env=with_bytecode)
    assert loaded.startswith("2 b ")
    assert not list(layer.glob("store/*/*/site-packages/**/*.pyc"))


@pytest.mark.parametrize("hostile", ["owner", "group", "link"])
def test_a_hostile_layer_is_never_used_and_the_program_is_right(
    hostile: str, keeper: Account, user: Account, layer: Path, place: Path, index: LoopbackIndex
) -> None:
    root, told = layer, ""
    if hostile == "owner":  # the settings do not name whose it is
        told = f"belongs to user {keeper.uid}"
    if hostile == "group":
        place.chmod(0o775)
        told = f"others may write in {place}"
    if hostile == "link":
        root = place / "link"
        root.symlink_to(layer)
        told = "a symbolic link is in its path"
    configured(user, root, *([] if hostile == "owner" else [f'owner = "{keeper.name}"']))
    folder = project_of(user, user.home / "used", index, ALPHA, BETA)
    done = user.storectl("warm", cwd=folder)
    assert done.returncode == 0
    assert [told in line for line in done.stderr.splitlines() if "E_LAYER" in line] == [True]
    assert entries(user) == ["alpha", "beta"]
    assert str(root) not in user.ok("run", "-c", SHOW, cwd=folder)
