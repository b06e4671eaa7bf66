"""The service files, as they stand and as they are filled in."""

import os
import plistlib
import shutil
import stat
import subprocess
import sys
import tempfile
from configparser import ConfigParser
from pathlib import Path

import pytest

from storectl.daemon import service_files
from storectl.daemon.service_files import LAUNCHD, SYSTEMD, filled_files, install_folder
from storectl.errors import ServiceFileError
from storectl_shim.locations import log_path, socket_path

ENVIRON = {"HOME": "/home/me", "XDG_RUNTIME_DIR": "/run/user/7"}


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ``storectl-python`` beside an interpreter, in a folder whose name needs quotes."""
    folder = tmp_path / 'it\'s 100% "mine" & $HOME'
    folder.mkdir()
    program = folder / "storectl-python"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    return program


def unit(text: str) -> ConfigParser:
    parser = ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(text)
    return parser


def test_the_socket_is_this_user_s_alone_and_where_commands_look(command: Path) -> None:
    socket = unit(filled_files(SYSTEMD, ENVIRON)["storectl.socket"])["Socket"]
    name = os.path.basename(socket_path(ENVIRON))
    assert socket["ListenStream"] == f"%t/storectl/{name}"  # %t is XDG_RUNTIME_DIR
    assert (socket["SocketMode"], socket["DirectoryMode"]) == ("0600", "0700")


def test_the_service_starts_the_command_line_s_daemon(command: Path) -> None:
    service = unit(filled_files(SYSTEMD, ENVIRON)["storectl.service"])["Service"]
    escaped = str(command).replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    assert service["ExecStart"] == f'"{escaped}" daemon'
    assert service["Type"] == "notify"


@pytest.mark.parametrize("store", ["/home/me/.local/share/storectl", "/data/a b/100% $mine"])
def test_the_service_serves_the_store_that_its_socket_is_named_after(command: Path, store: str) -> None:
    environ = {**ENVIRON, "STORECTL_STORE": store}
    files = filled_files(SYSTEMD, environ)
    escaped = store.replace("%", "%%").replace("$", "$$")
    assert unit(files["storectl.service"])["Service"]["Environment"] == f'"STORECTL_STORE={escaped}"'
    assert files["storectl.socket"].count(f"/{os.path.basename(socket_path(environ))}\n") == 1
    agent = plistlib.loads(filled_files(LAUNCHD, environ)["org.storectl.daemon.plist"].encode())
    assert agent["EnvironmentVariables"] == {"STORECTL_STORE": store}
    assert agent["Sockets"]["Listeners"]["SockPathName"] == socket_path(environ)


def test_the_agent_s_file_is_a_property_list_with_every_path_filled_in(command: Path) -> None:
    (text,) = filled_files(LAUNCHD, ENVIRON).values()
    agent = plistlib.loads(text.encode())
    assert agent["ProgramArguments"] == [str(command), "daemon"]
    listener = agent["Sockets"]["Listeners"]
    assert listener == {"SockPathName": socket_path(ENVIRON), "SockPathMode": 0o600}
    assert agent["StandardErrorPath"] == log_path(ENVIRON)


@pytest.mark.parametrize("manager", [SYSTEMD, LAUNCHD])
def test_no_placeholder_is_left(command: Path, manager: service_files.ServiceManager) -> None:
    for text in filled_files(manager, ENVIRON).values():
        for placeholder in ("@storectl-python@", "@store@", "@socket@", "@socket-name@", "@log@"):
            assert placeholder not in text


def test_they_go_where_the_service_manager_looks() -> None:
    assert install_folder(SYSTEMD, ENVIRON) == Path("/home/me/.config/systemd/user")
    assert install_folder(SYSTEMD, {**ENVIRON, "XDG_CONFIG_HOME": "/conf"}) == Path("/conf/systemd/user")
    assert install_folder(LAUNCHD, ENVIRON) == Path("/home/me/Library/LaunchAgents")


def test_an_installed_storectl_has_them_beside_its_code(
    command: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site-packages" / "storectl"
    for manager in (SYSTEMD, LAUNCHD):
        shutil.copytree(service_files.template_folder(manager), package / "service_files" / manager.name)
    in_checkout = filled_files(SYSTEMD, ENVIRON)
    monkeypatch.setattr(service_files, "__file__", str(package / "daemon" / "service_files.py"))
    assert service_files.template_folder(LAUNCHD) == package / "service_files" / "launchd"
    assert filled_files(SYSTEMD, ENVIRON) == in_checkout


def test_missing_files_and_a_missing_command_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServiceFileError, match="storectl-python"):
        filled_files(SYSTEMD, ENVIRON)
    monkeypatch.setattr(service_files, "__file__", str(tmp_path / "a" / "b" / "c.py"))
    with pytest.raises(ServiceFileError, match="missing"):
        service_files.template_folder(SYSTEMD)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_has_nothing_to_say_about_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "storectl-python"
    program.write_text("#!/bin/sh\n")
    program.chmod(stat.S_IRWXU)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    units = tmp_path / "units"
    units.mkdir()
    for name, text in filled_files(SYSTEMD, ENVIRON).items():
        (units / name).write_text(text)
    with tempfile.TemporaryDirectory(prefix="stu-") as runtime:  # a socket's path is short
        done = subprocess.run(
            ["systemd-analyze", "verify", "--user", *map(str, sorted(units.iterdir()))],
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "XDG_RUNTIME_DIR": runtime},
            capture_output=True,
            text=True,
            check=False,
        )
    said = [line for line in (done.stdout + done.stderr).splitlines() if "storectl" in line]
    assert said == []
    assert done.returncode == 0, done.stderr
