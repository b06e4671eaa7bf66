"""Addresses: what belongs together, and what of them may be shown."""

from pathlib import Path

import pytest

from storectl_daemon.errors import FetchError
from storectl_daemon.network.exchange import redirect_target
from storectl_daemon.network.origins import is_web, login_of, origin_of, path_of_file_url, redacted, without_login


def test_an_origin_knows_the_default_ports() -> None:
    assert origin_of("https://Index.example/simple") == origin_of("https://index.example:443/files?x=1")
    assert origin_of("https://index.example") != origin_of("http://index.example")
    assert origin_of("https://index.example") != origin_of("https://index.example:8443")


def test_a_shown_address_holds_no_login_query_or_fragment() -> None:
    assert (
        redacted("https://ann:s3cret@h.example:8443/a/b.whl?token=1#sha256=0")
        == "https://***@h.example:8443/a/b.whl?***"
    )
    assert redacted("https://token@h.example/a") == "https://***@h.example/a"
    assert redacted("file:///a/b.whl") == "file:///a/b.whl"
    assert "s3cret" not in redacted("https://ann:s3cret@[broken/a")


def test_a_login_is_decoded_and_its_password_not_in_the_repr() -> None:
    login = login_of("https://ann%40corp:s3%2Fcret@h.example/simple")
    assert login is not None
    assert (login.user, login.password) == ("ann@corp", "s3/cret")
    assert "s3/cret" not in repr(login)
    assert without_login("https://ann:s3cret@h.example/simple#x") == "https://h.example/simple"


@pytest.mark.parametrize("url", ["https://[broken/a", "https://h.example:port/a"])
def test_an_address_that_cannot_be_read_is_an_error_for_people(url: str) -> None:
    with pytest.raises(FetchError):
        origin_of(url)


def test_only_https_and_http_with_a_host_are_of_the_web() -> None:
    assert is_web("https://h.example/")
    assert not is_web("https:///path")
    assert not is_web("ftp://h.example/")


def test_file_addresses_are_local_and_absolute() -> None:
    assert path_of_file_url("file:///a%20b/c.whl") == Path("/a b/c.whl")
    assert path_of_file_url("file://localhost/a") == Path("/a")
    for url in ("file://other/a", "file:a/b"):
        with pytest.raises(FetchError):
            path_of_file_url(url)


def test_a_redirect_may_go_up_to_https_but_never_down() -> None:
    assert redirect_target("http://h.example/a", "https://h.example/a") == "https://h.example/a"
    assert redirect_target("https://h.example/a/b", "../c#x") == "https://h.example/c"
    assert redirect_target("https://h.example/a", "//x:y@other.example/c") == "https://other.example/c"
    with pytest.raises(FetchError, match="from https to http"):
        redirect_target("https://h.example/a", "http://h.example/a")


@pytest.mark.parametrize("location", [None, "", "file:///etc/passwd", "https://[broken", "data:,x"])
def test_a_redirect_to_nowhere_usable_is_refused(location: str | None) -> None:
    with pytest.raises(FetchError):
        redirect_target("https://h.example/a", location)
