"""A private index as people have it: TLS by an authority of its own, logins from variables, files and the keyring."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.certificates import make_certificate, needs_openssl
from support.daemon import Daemon, new_daemon
from support.index import LoopbackIndex, serve_index
from support.lock_files import requirements_text
from support.private_index import FakeKeyring, basic, require_login, validate_pages
from support.project import write_project
from support.wheels import WheelBytes, fresh_wheel

ANN = basic("ann", "s3cret")
ALONE = {"PIP_CONFIG_FILE": os.devnull}  # this machine may have an authority of its own
pytestmark = needs_openssl


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    return make_certificate(tmp_path / "authority")


@pytest.fixture(scope="module")
def started() -> Iterator[Daemon]:
    with new_daemon() as daemon:
        daemon.start()
        yield daemon


@pytest.fixture
def daemon(started: Daemon, tmp_path: Path) -> Daemon:
    """The daemon of the module, asked by a command with a home and variables of its own."""
    (tmp_path / "home").mkdir()
    started.variables = {"HOME": str(tmp_path / "home")} | ALONE
    return started


@pytest.fixture
def alpha() -> WheelBytes:
    """A wheel that the store has from no other test."""
    return fresh_wheel("alpha")


@pytest.fixture
def index(authority: Path, alpha: WheelBytes) -> Iterator[LoopbackIndex]:
    with serve_index(alpha, certificate=authority) as served:
        yield served


def requirements(folder: Path, *wheels: WheelBytes) -> Path:
    """A project that says what it needs, and not where it comes from."""
    folder.mkdir()
    (folder / "requirements.txt").write_text(requirements_text(wheels))
    return folder


def restart(daemon: Daemon) -> None:
    daemon.request("POST", "/v1/shutdown")
    daemon.processes[-1].wait(60)
    daemon.start()


def test_a_lock_file_with_addresses_asks_nothing_and_has_the_logins_of_its_project(
    daemon: Daemon, index: LoopbackIndex, alpha: WheelBytes, authority: Path, tmp_path: Path
) -> None:
    project = write_project(tmp_path / "project", index, [alpha])
    with (project / "pyproject.toml").open("a") as file:
        file.write(f'[[tool.uv.index]]\nname = "corp"\nurl = "{index.url}"\nexplicit = true\n')
        file.write('[tool.uv.sources]\nalpha = { index = "corp" }\n')
    seen = require_login(index, ANN)
    login = {"UV_INDEX_CORP_USERNAME": "ann", "UV_INDEX_CORP_PASSWORD": "s3cret"}
    daemon.variables |= {"SSL_CERT_FILE": str(authority)} | login
    daemon.ready(project)
    assert seen == [ANN]
    assert index.requests == {f"/files/{alpha.filename}": 1}
    assert "s3cret" not in daemon.log


def test_the_keyring_says_the_password_of_an_index_and_the_second_project_needs_nothing(
    daemon: Daemon, index: LoopbackIndex, alpha: WheelBytes, authority: Path, tmp_path: Path
) -> None:
    keyring = FakeKeyring(tmp_path)
    keyring.knows("get", index.url, "ann", answer="s3cret\n")
    seen = require_login(index, ANN)
    env = {
        "PATH": os.pathsep.join([str(keyring.bin), os.environ["PATH"]]),
        "PIP_INDEX_URL": index.url.replace("//", "//ann@"),
        "PIP_KEYRING_PROVIDER": "subprocess",
        "REQUESTS_CA_BUNDLE": str(authority),
    }
    daemon.variables |= env
    daemon.ready(requirements(tmp_path / "one", alpha))
    assert seen == [basic("ann", ""), ANN, ANN]  # the page, twice, and the file
    assert keyring.asked == [f"get {index.url} ann"]
    restart(daemon)
    daemon.ready(requirements(tmp_path / "two", alpha))
    assert len(seen) == 3
    assert "s3cret" not in daemon.log


def test_a_page_that_the_last_daemon_read_is_only_confirmed(
    daemon: Daemon, index: LoopbackIndex, alpha: WheelBytes, authority: Path, tmp_path: Path
) -> None:
    newer = fresh_wheel("alpha", "2.0")
    index.add(newer)
    asked = validate_pages(index, ETag='"one"')
    env = {"PIP_INDEX_URL": index.url, "PIP_CERT": str(authority)}
    daemon.variables |= env
    daemon.ready(requirements(tmp_path / "one", alpha))
    restart(daemon)
    daemon.ready(requirements(tmp_path / "two", newer))
    assert asked == [{}, {"If-None-Match": '"one"'}]
    assert index.file_requests == 2


def test_without_its_authority_the_index_is_not_trusted(
    daemon: Daemon, index: LoopbackIndex, alpha: WheelBytes, tmp_path: Path
) -> None:
    daemon.variables |= {"PIP_INDEX_URL": index.url}
    problem = daemon.failed(requirements(tmp_path / "one", alpha))
    assert "not trusted" in problem["detail"]


SOURCE = '[tool.poetry]\nname = "demo"\n[[tool.poetry.source]]\nname = "corp-main"\nurl = "{url}"\n'


def test_a_source_of_poetry_has_the_login_and_the_authority_that_poetry_knows(
    daemon: Daemon, index: LoopbackIndex, alpha: WheelBytes, authority: Path, tmp_path: Path
) -> None:
    project = write_project(tmp_path / "project", index, [alpha], "poetry.lock")
    (project / "pyproject.toml").write_text(SOURCE.format(url=index.url))
    own = tmp_path / "home/.config/pypoetry"
    own.mkdir(parents=True)
    (own / "auth.toml").write_text('[http-basic.corp-main]\nusername = "ann"\npassword = "s3cret"\n')
    (own / "config.toml").write_text(f'[certificates.corp-main]\ncert = "{authority}"\n')
    seen = require_login(index, ANN)
    daemon.ready(project)
    assert set(seen) == {ANN}
    assert "s3cret" not in daemon.log
