"""Where everything is, by the variables of the environment."""

import hashlib
import os
import pwd
import sys
from pathlib import Path

import pytest

from storectl_shim.locations import SOCKET_PATH_LIMIT, log_path, socket_path, state_folder, store_folder

HOME = {"HOME": "/home/me"}

linux = pytest.mark.skipif(sys.platform == "darwin", reason="macOS has its own place for data")


@linux
def test_the_defaults_are_below_home() -> None:
    assert store_folder(HOME) == "/home/me/.local/share/storectl"
    assert state_folder(HOME) == "/home/me/.local/state/storectl"
    assert socket_path(HOME) == "/home/me/.local/state/storectl/daemon.sock"
    assert log_path(HOME) == "/home/me/.local/state/storectl/daemon.log"


def test_macos_keeps_data_in_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert store_folder(HOME) == "/home/me/Library/Application Support/storectl"
    assert store_folder({**HOME, "XDG_DATA_HOME": "/data"}) == "/data/storectl"


def test_xdg_variables_are_followed() -> None:
    environ = {**HOME, "XDG_DATA_HOME": "/data", "XDG_STATE_HOME": "/state", "XDG_RUNTIME_DIR": "/run/user/7"}
    assert store_folder(environ) == "/data/storectl"
    assert state_folder(environ) == "/state/storectl"
    assert socket_path(environ) == "/run/user/7/storectl/daemon.sock"
    assert log_path(environ) == "/state/storectl/daemon.log"


@linux
@pytest.mark.parametrize("value", ["", "relative/folder"])
def test_empty_and_relative_xdg_variables_count_as_not_set(value: str) -> None:
    environ = {**HOME, "XDG_DATA_HOME": value, "XDG_STATE_HOME": value, "XDG_RUNTIME_DIR": value}
    assert [f(environ) for f in (store_folder, state_folder, socket_path)] == [
        f(HOME) for f in (store_folder, state_folder, socket_path)
    ]


def test_a_store_of_one_s_own_has_a_socket_and_a_log_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    real, link = ({**HOME, "STORECTL_STORE": str(tmp_path / name)} for name in ("real", "link"))
    name = hashlib.sha256(os.fsencode(os.path.realpath(tmp_path / "real"))).hexdigest()[:12]
    assert store_folder(real) == str(tmp_path / "real")
    assert socket_path(real) == socket_path(link) == f"/home/me/.local/state/storectl/daemon-{name}.sock"
    assert log_path(real) == f"/home/me/.local/state/storectl/daemon-{name}.log"


def test_a_relative_store_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert store_folder({**HOME, "STORECTL_STORE": "here"}) == os.path.join(os.getcwd(), "here")


def test_a_socket_path_too_long_for_the_kernel_is_moved() -> None:
    fixed = len("/storectl/daemon.sock")
    fits = {**HOME, "XDG_RUNTIME_DIR": "/" + "x" * (SOCKET_PATH_LIMIT - fixed - 1)}
    assert len(socket_path(fits)) == SOCKET_PATH_LIMIT
    too_long = {**HOME, "XDG_RUNTIME_DIR": fits["XDG_RUNTIME_DIR"] + "x"}
    assert socket_path(too_long) == f"/tmp/storectl-{os.getuid()}/daemon.sock"


def test_the_limit_counts_bytes() -> None:
    environ = {**HOME, "XDG_RUNTIME_DIR": "/" + "é" * 60}
    assert socket_path(environ).startswith("/tmp/storectl-")


def test_without_home_the_user_database_knows() -> None:
    home = pwd.getpwuid(os.getuid()).pw_dir
    assert state_folder({}) == os.path.join(home, ".local", "state", "storectl")
