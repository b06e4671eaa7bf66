"""Logins: each for its origin, from addresses and from netrc."""

import logging
from pathlib import Path

import pytest

from storectl_daemon.network.address import Address
from storectl_daemon.network.credentials import Credentials, credentials_of

ANN = "Basic YW5uOnMzY3JldA=="
TOM = "Basic dG9tOm90aGVy"


def test_a_learnt_login_holds_for_its_origin_only() -> None:
    credentials = Credentials()
    credentials.learn(Address("https://ann:s3cret@h.example/simple/"))
    credentials.learn(Address("https://other.example/simple/"))
    assert credentials.authorization(Address("https://h.example/files/a.whl")) == ANN
    assert credentials.authorization(Address("http://h.example/files/a.whl")) is None
    assert credentials.authorization(Address("https://h.example:8443/files/a.whl")) is None
    assert credentials.authorization(Address("https://other.example/files/a.whl")) is None


def test_a_login_in_the_address_itself_goes_first() -> None:
    credentials = Credentials()
    credentials.learn(Address("https://tom:other@h.example/simple/"))
    assert credentials.authorization(Address("https://ann:s3cret@h.example/a")) == ANN


def test_netrc_is_read_where_it_is_named_and_in_the_home(tmp_path: Path) -> None:
    line = "machine h.example login ann password s3cret\ndefault login all password all\n"
    (tmp_path / ".netrc").write_text(line)
    (tmp_path / "named").write_text(line.replace("h.example", "named.example"))
    at_home = credentials_of({}, tmp_path)
    assert at_home.authorization(Address("https://h.example/a")) == ANN
    named = credentials_of({"NETRC": str(tmp_path / "named")}, tmp_path)
    assert named.authorization(Address("https://named.example/a")) == ANN
    assert named.authorization(Address("https://h.example/a")) is None


def test_the_default_entry_of_netrc_goes_to_nobody(tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("default login ann password s3cret\n")
    for host in ("h.example", "default"):
        assert credentials_of({}, tmp_path).authorization(Address(f"https://{host}/a")) is None


def test_a_broken_netrc_is_ignored_without_telling_its_content(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    (tmp_path / ".netrc").write_text("machine h.example login ann passwort s3cret\n")
    assert credentials_of({}, tmp_path).authorization(Address("https://h.example/a")) is None
    assert ".netrc is ignored" in caplog.text
    assert "s3cret" not in caplog.text


def test_of_several_indexes_on_one_host_the_nearest_says_the_login() -> None:
    credentials = Credentials()
    credentials.learn(Address("https://tom:other@h.example/team/simple/"))
    credentials.learn(Address("https://ann:s3cret@h.example/corp/simple/"))
    credentials.learn(Address("https://h.example/public/simple/"))
    assert credentials.authorization(Address("https://h.example/corp/files/a.whl")) == ANN
    assert credentials.authorization(Address("https://h.example/team/simple/a/")) == TOM
    assert credentials.authorization(Address("https://h.example/files/a.whl")) == ANN  # the latest of equals


def test_netrc_completes_a_user_name_and_nobody_else_s(tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine h.example login ann password s3cret\n")
    credentials = credentials_of({}, tmp_path)
    credentials.learn(Address("https://ann@h.example/simple/"))
    assert credentials.authorization(Address("https://h.example/simple/a/")) == ANN
    assert credentials.authorization(Address("https://ann@h.example/b/")) == ANN
    credentials.learn(Address("https://token@h.example/simple/"))
    assert credentials.authorization(Address("https://h.example/simple/a/")) == "Basic dG9rZW46"
