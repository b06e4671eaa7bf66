"""The keyring program: asked where the configuration says so, only after a refusal, never twice for one answer."""

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from storectl_daemon.errors import FetchError
from storectl_daemon.indexes.config_layer import asks_keyring
from storectl_daemon.network.address import Address, Login
from storectl_daemon.network.credentials import Credentials, credentials_of
from storectl_daemon.network.exchange import FetchLimits
from storectl_daemon.network.fetch import Fetcher, Page
from storectl_daemon.network.keyring_program import FORGOTTEN_AFTER, KeyringProgram
from support.index import LoopbackIndex, serve_index
from support.private_index import FakeKeyring, basic, require_login
from support.wheels import make_wheel

ANY = make_wheel("sample", "1.0")
LIMITS = FetchLimits(pause=0.001, tries=2)
ANN = basic("ann", "s3cret")


@pytest.fixture
def keyring(tmp_path: Path) -> FakeKeyring:
    return FakeKeyring(tmp_path)


def environ(keyring: FakeKeyring) -> dict[str, str]:
    return {"PATH": os.pathsep.join([str(keyring.bin), "/usr/bin", "/bin"])}


def read(credentials: Credentials, *urls: str) -> list[Page]:
    async def main() -> list[Page]:
        async with Fetcher(credentials=credentials, limits=LIMITS) as fetcher:
            return [await fetcher.read(Address(url), {}) for url in urls]

    return asyncio.run(main())


def ask(work: Callable[[], Coroutine[Any, Any, Login | None]]) -> Login | None:
    return asyncio.run(work())


def address(index: LoopbackIndex, user: str = "ann") -> str:
    return index.url.replace("//", f"//{user}@")


def test_the_password_of_a_named_user_is_asked_for_by_the_address_of_the_index(
    tmp_path: Path, keyring: FakeKeyring
) -> None:
    credentials = credentials_of(environ(keyring), tmp_path, ask_keyring=True)
    with serve_index(ANY) as index:
        seen = require_login(index, ANN)
        keyring.knows("get", index.url, "ann", answer="s3cret\n")
        credentials.learn(Address(address(index)))
        pages = read(credentials, f"{index.url}sample/", f"{index.url}sample/")
    assert [page.status for page in pages] == [200, 200]
    assert seen == [basic("ann", ""), ANN, ANN]
    assert keyring.asked == [f"get {index.url} ann"]


def test_the_host_is_asked_for_where_the_address_has_none(tmp_path: Path, keyring: FakeKeyring) -> None:
    credentials = credentials_of(environ(keyring), tmp_path, ask_keyring=True)
    with serve_index(ANY) as index:
        require_login(index, ANN)
        host = index.root.partition("//")[2]
        keyring.knows("get", host, "ann", answer="s3cret\n")
        credentials.learn(Address(address(index)))
        assert read(credentials, f"{index.url}sample/")[0].status == 200
    assert keyring.asked == [f"get {index.url} ann", f"get {host} ann"]


def test_without_a_user_the_keyring_says_both(tmp_path: Path, keyring: FakeKeyring) -> None:
    credentials = credentials_of(environ(keyring), tmp_path, ask_keyring=True)
    with serve_index(ANY) as index:
        seen = require_login(index, ANN)
        keyring.knows("--mode", "creds", "get", index.url, answer="ann\ns3cret\n")
        credentials.learn(Address(index.url))
        assert read(credentials, f"{index.url}sample/")[0].status == 200
    assert seen == [None, ANN]


def test_files_of_the_index_are_fetched_with_its_login(tmp_path: Path, keyring: FakeKeyring) -> None:
    credentials = credentials_of(environ(keyring), tmp_path, ask_keyring=True)
    with serve_index(ANY) as index:
        seen = require_login(index, ANN)
        keyring.knows("get", index.url, "ann", answer="s3cret\n")
        read_all = [f"{index.url}sample/", f"{index.root}/files/{ANY.filename}"]
        credentials.learn(Address(address(index)))
        assert [page.status for page in read(credentials, *read_all)] == [200, 200]
    assert seen[-1] == ANN
    assert len(keyring.asked) == 1


@pytest.mark.parametrize("login", ["", "ann:wrong@"])
def test_it_is_not_asked_unless_configured_nor_for_a_whole_login(
    tmp_path: Path, keyring: FakeKeyring, login: str
) -> None:
    credentials = credentials_of(environ(keyring), tmp_path, ask_keyring=bool(login))
    with serve_index(ANY) as index:
        require_login(index, ANN)
        credentials.learn(Address(index.url.replace("//", f"//{login}")))
        with pytest.raises(FetchError, match="401"):
            read(credentials, f"{index.url}sample/")
    assert keyring.asked == []


def test_it_is_not_asked_where_nobody_refuses(tmp_path: Path, keyring: FakeKeyring) -> None:
    credentials = credentials_of(environ(keyring), tmp_path, ask_keyring=True)
    with serve_index(ANY) as index:
        credentials.learn(Address(address(index)))
        assert read(credentials, f"{index.url}sample/")[0].status == 200
    assert keyring.asked == []


def test_an_expired_token_is_asked_for_anew(tmp_path: Path, keyring: FakeKeyring) -> None:
    now = [0.0]
    program = KeyringProgram(environ(keyring), clock=lambda: now[0])
    credentials = Credentials(keyring=program, ask_keyring=True)
    with serve_index(ANY) as index:
        credentials.learn(Address(address(index)))
        keyring.knows("get", index.url, "ann", answer="first\n")
        require_login(index, basic("ann", "first"))
        read(credentials, f"{index.url}sample/")
        now[0] += 2 * FORGOTTEN_AFTER
        keyring.knows("get", index.url, "ann", answer="second\n")
        seen = require_login(index, basic("ann", "second"))
        read(credentials, f"{index.url}sample/")
    assert seen == [basic("ann", "first"), basic("ann", "second")]


def test_what_it_does_not_have_is_asked_again_only_after_a_while(keyring: FakeKeyring) -> None:
    now = [0.0]
    program = KeyringProgram(environ(keyring), clock=lambda: now[0])

    async def login() -> Login | None:
        return await program.login(["h.example"], "ann")

    assert [ask(login), ask(login)] == [None, None]
    assert len(keyring.asked) == 1
    keyring.knows("get", "h.example", "ann", answer="s3cret\n")
    now[0] += FORGOTTEN_AFTER
    assert ask(login) == Login(user="ann", password="s3cret")
    now[0] += 100 * FORGOTTEN_AFTER
    ask(login)
    assert len(keyring.asked) == 2


def test_a_program_that_waits_for_somebody_is_given_up(keyring: FakeKeyring, caplog: pytest.LogCaptureFixture) -> None:
    keyring.write("exec sleep 600\n")
    program = KeyringProgram(environ(keyring), deadline=0.1)
    assert ask(lambda: program.login(["h.example"], "ann")) is None
    assert "did not answer" in caplog.text


@pytest.mark.parametrize("script", ["printf '\\377\\376'", "exit 1", "echo; exit 2", ""])
def test_a_program_that_does_not_work_is_no_login(
    keyring: FakeKeyring, caplog: pytest.LogCaptureFixture, script: str
) -> None:
    keyring.write(script)
    program = KeyringProgram(environ(keyring))
    assert ask(lambda: program.login(["h.example"], "ann")) is None
    assert ask(lambda: program.login(["h.example"], None)) is None


def test_a_program_that_is_not_there_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    program = KeyringProgram({"PATH": str(tmp_path)})
    assert ask(lambda: program.login(["h.example"], "ann")) is None
    assert "no keyring program on PATH" in caplog.text


def test_no_password_is_ever_logged(tmp_path: Path, keyring: FakeKeyring, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    credentials = credentials_of(environ(keyring), tmp_path, ask_keyring=True)
    with serve_index(ANY) as index:
        require_login(index, basic("ann", "another"))
        keyring.knows("get", index.url, "ann", answer="s3cret\n")
        credentials.learn(Address(address(index)))
        with pytest.raises(FetchError, match="401") as caught:
            read(credentials, f"{index.url}sample/")
    assert "s3cret" not in caplog.text + str(caught.value)


@pytest.mark.parametrize(
    ("provider", "asks"),
    [("subprocess", True), ("auto", True), ("import", True), ("disabled", False), ("", None), (None, None)],
)
def test_the_providers_of_pip_and_uv_are_known(provider: str | None, *, asks: bool | None) -> None:
    assert asks_keyring(provider) is asks
