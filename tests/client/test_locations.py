"""Where everything is, by the variables of the environment."""

import hashlib
import os
import pwd
import re
import subprocess
import sys
from pathlib import Path

import pytest
from platformdirs.macos import MacOS
from platformdirs.unix import Unix

from storectl_shim._storectl_pack import cache_folder
from storectl_shim.locations import (
    SOCKET_PATH_LIMIT,
    NoHomeError,
    config_folder,
    log_path,
    socket_path,
    socket_paths,
    state_folder,
    store_folder,
)
from support.client_project import LAUNCHER

root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
not_root = pytest.mark.skipif(os.geteuid() == 0, reason="modes do not stop root")

NOBODY = 65534


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """The variables of a user with a home folder and nothing else, which is short enough for a socket."""
    return {"HOME": str(tmp_path)}


def name_of(store: str | Path) -> str:
    return hashlib.sha256(os.fsencode(os.path.realpath(store))).hexdigest()[:12]


@pytest.mark.parametrize("value", [None, "", "relative/folder", "/of/another"])
def test_folders_are_those_of_platformdirs(
    home: dict[str, str], monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    for name in ("XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            home[name] = value
    for name, text in home.items():
        monkeypatch.setenv(name, text)
    monkeypatch.setattr(sys, "platform", "linux")
    theirs, ours = Unix("storectl"), (store_folder, state_folder, config_folder, cache_folder)
    expected = [theirs.user_data_dir, theirs.user_state_dir, theirs.user_config_dir, theirs.user_cache_dir]
    assert [folder(home) for folder in ours] == expected
    monkeypatch.setattr(sys, "platform", "darwin")
    assert store_folder(home) == MacOS("storectl").user_data_dir
    assert [folder(home) for folder in ours[1:]] == expected[1:]  # as programs for terminals do on macOS


@pytest.mark.parametrize("platform", ["linux", "darwin"])
@pytest.mark.parametrize("more", [{}, {"XDG_DATA_HOME": "/data"}, {"XDG_DATA_HOME": "/data", "STORECTL_STORE": "/own"}])
def test_the_launcher_has_the_same_store(
    home: dict[str, str], monkeypatch: pytest.MonkeyPatch, platform: str, more: dict[str, str]
) -> None:
    rules = re.findall(
        r"(?ms)^_storectl_store=.*?$|^if \[ -d /System/Library/CoreServices \].*?^fi$", LAUNCHER.read_text()
    )
    assert len(rules) == 2
    rule = "\n".join(rules).replace("/System/Library/CoreServices", {"linux": "/nowhere", "darwin": "/"}[platform])
    script = f'{rule}\nprintf %s "$_storectl_store"'
    said = subprocess.run(["/bin/sh", "-c", script], check=True, env=home | more, capture_output=True)
    monkeypatch.setattr(sys, "platform", platform)
    assert os.fsdecode(said.stdout) == store_folder(home | more)


def test_log_and_socket_follow_xdg_variables(home: dict[str, str]) -> None:
    base = home["HOME"]
    environ = home | {f"XDG_{name}": f"{base}/{name[:4]}" for name in ("DATA_HOME", "STATE_HOME")}
    name = name_of(f"{base}/DATA/storectl")
    assert log_path(environ) == f"{base}/STAT/storectl/daemon-{name}.log"
    runtime = {**environ, "XDG_RUNTIME_DIR": f"{base}/r"}
    assert socket_path(runtime) in (f"{base}/r/storectl/daemon-{name}.sock", moved(name))


def moved(name: str) -> str:
    """Where the socket is whose path would be too long for the kernel."""
    return f"/tmp/storectl-{os.geteuid()}/daemon-{name}.sock"


@pytest.mark.parametrize("value", ["", "relative/folder"])
def test_an_empty_or_relative_runtime_folder_counts_as_not_set(home: dict[str, str], value: str) -> None:
    assert socket_path({**home, "XDG_RUNTIME_DIR": value}) == socket_path(home)


def test_every_store_has_a_socket_and_a_log_of_its_own_by_its_real_path(home: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    real, link = ({**home, "STORECTL_STORE": str(tmp_path / name)} for name in ("real", "link"))
    assert store_folder(real) == str(tmp_path / "real")
    assert socket_path(real) == socket_path(link) != socket_path(home)
    assert os.path.basename(socket_path(real)) == f"daemon-{name_of(tmp_path / 'real')}.sock"
    assert log_path(real) == log_path(link) != log_path(home)
    assert socket_path({**home, "XDG_DATA_HOME": str(tmp_path)}) != socket_path(home)


def test_a_relative_store_is_made_absolute(
    home: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert store_folder({**home, "STORECTL_STORE": "here"}) == os.path.join(os.getcwd(), "here")


def test_a_socket_path_too_long_for_the_kernel_is_moved() -> None:
    store = {"STORECTL_STORE": "/tmp/s", "HOME": "/tmp"}
    fixed = len(f"/tmp/{''}/storectl/daemon-{name_of('/tmp/s')}.sock")
    fits = {**store, "XDG_RUNTIME_DIR": "/tmp/" + "x" * (SOCKET_PATH_LIMIT - fixed)}
    assert len(socket_path(fits)) == SOCKET_PATH_LIMIT
    too_long = {**store, "XDG_RUNTIME_DIR": fits["XDG_RUNTIME_DIR"] + "x"}
    assert socket_path(too_long) == moved(name_of("/tmp/s"))


def test_the_limit_counts_bytes() -> None:
    environ = {"STORECTL_STORE": "/tmp/s", "HOME": "/tmp", "XDG_RUNTIME_DIR": "/tmp/" + "é" * 45}
    assert socket_path(environ) == moved(name_of("/tmp/s"))


def test_without_home_the_user_database_knows() -> None:
    home = pwd.getpwuid(os.geteuid()).pw_dir
    assert config_folder({}) == os.path.join(home, ".config", "storectl")


def test_without_either_a_store_that_is_named_has_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    environ = {"STORECTL_STORE": str(tmp_path / "store")}
    assert state_folder(environ) == f"{tmp_path}/store/state"
    assert log_path(environ).startswith(f"{tmp_path}/store/state/")
    assert socket_paths(environ)[0] in (
        f"{tmp_path}/store/state/daemon-{(n := name_of(tmp_path / 'store'))}.sock",
        moved(n),
    )


def test_without_anything_the_error_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(NoHomeError, match="no HOME") as caught:
        store_folder({})
    assert "STORECTL_STORE" in caught.value.hint


def unknown(uid: int) -> object:
    raise KeyError(uid)


@not_root
def test_a_home_that_cannot_be_written_leaves_log_and_socket_to_the_store(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o555)
    environ = {"HOME": str(tmp_path / "home"), "STORECTL_STORE": str(tmp_path / "store")}
    assert state_folder(environ) == f"{tmp_path}/store/state"


@root
def test_root_takes_its_own_home_where_sudo_has_kept_that_of_a_user(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    own = pwd.getpwuid(0).pw_dir
    assert store_folder({"HOME": str(home)}).startswith(f"{own}/")
    assert state_folder({"HOME": str(home)}).startswith(f"{own}/")
    assert config_folder({"HOME": str(home)}).startswith(f"{own}/")


@root
def test_folders_of_another_user_are_passed_over(tmp_path: Path) -> None:
    environ = {"HOME": "/tmp", "STORECTL_STORE": str(tmp_path / "store")}
    for name in ("RUNTIME_DIR", "STATE_HOME"):
        folder = tmp_path / name
        (folder / "storectl").mkdir(parents=True)
        os.chown(folder, NOBODY, NOBODY)
        os.chown(folder / "storectl", NOBODY, NOBODY)
        environ[f"XDG_{name}"] = str(folder)
    assert state_folder(environ) == f"{tmp_path}/store/state"
    assert not any("RUNTIME_DIR" in path or "STATE_HOME" in path for path in socket_paths(environ))


def test_a_log_that_cannot_be_written_is_left_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {"HOME": str(tmp_path), "STORECTL_STORE": str(tmp_path / "store")}
    usual = log_path(environ)
    Path(usual).parent.mkdir(parents=True)
    Path(usual).touch()
    monkeypatch.setattr(os, "access", lambda path, mode: path != usual)
    assert log_path(environ) == f"{tmp_path}/store/state/{os.path.basename(usual)}"
