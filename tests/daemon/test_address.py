"""Addresses: what belongs together, and what of them may be shown."""

import copy
import json
import logging
import pickle
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storectl_daemon.errors import FetchError
from storectl_daemon.indexes.config_layer import Layer, Source
from storectl_daemon.indexes.configuration import IndexSettings
from storectl_daemon.network.address import Address, Origin
from storectl_daemon.network.exchange import broken, redirect_target
from storectl_daemon.network.proxies import Proxies
from storectl_daemon.serving.api.problems import problem_bytes


def origin(url: str) -> Origin:
    return Address(url).origin


def test_an_origin_knows_the_default_ports() -> None:
    assert origin("https://Index.example/simple") == origin("https://index.example:443/files?x=1")
    assert origin("https://index.example") != origin("http://index.example")
    assert origin("https://index.example") != origin("https://index.example:8443")


def test_a_shown_address_holds_no_login_query_or_fragment() -> None:
    address = Address("https://ann:s3cret@h.example:8443/a/b.whl?token=1#sha256=0")
    assert str(address) == "https://***@h.example:8443/a/b.whl?***"
    assert repr(address) == "Address('https://***@h.example:8443/a/b.whl?***')"
    assert str(Address("https://token@h.example/a")) == "https://***@h.example/a"
    assert str(Address("file:///a/b.whl")) == "file:///a/b.whl"
    assert "s3cret" not in f"{Address('https://ann:s3cret@[broken/a')}"


@given(
    password=st.text(min_size=1).map(lambda text: quote(f"s3cret{text}", safe="")),
    rest=st.sampled_from(["h.example/simple", "[broken/a", "h.example:port/a", "h.example/a?b=c#d", "/a", ""]),
    scheme=st.sampled_from(["https://", "http://", "ftp://", "file://", "//", ""]),
)
def test_nothing_that_is_shown_holds_the_password(password: str, rest: str, scheme: str) -> None:
    address = Address(f"{scheme}ann:{password}@{rest}")
    holders = [
        address,
        Source(address=address),
        Layer(default=address, logins=(address,), proxy=address, named={"corp": Source(address=address)}),
        IndexSettings(indexes=(address,), find_links=(address,), proxy=address),
        Proxies(by_scheme=(("https", address),)),
    ]
    problem = broken(address, f"cannot be had, as {address} says").problem
    record = logging.LogRecord("storectl", logging.WARNING, __file__, 1, "%s of %r", (address, holders), None)
    as_json = problem_bytes(400, code=problem.code, detail=problem.message, hint=problem.hint)
    shown = [
        f"{holders} {address} {address!s:>9} {problem!r}",
        str(problem),
        as_json.decode(),
        json.dumps(problem.facts),
    ]
    try:
        _ = address.origin, address.login, address.path
    except FetchError as error:
        shown.append(f"{error} {error.facts} {error.__cause__}")
    if scheme:  # without one there is no login, but a path
        assert not [text for text in (*shown, record.getMessage()) if password in text]
    assert address.with_login() == f"{scheme}ann:{password}@{rest}"
    assert pickle.loads(pickle.dumps(address)) == copy.deepcopy(address) == address


def test_an_address_is_not_written_as_json_by_mistake() -> None:
    with pytest.raises(TypeError):
        json.dumps({"url": Address("https://ann:s3cret@h.example/")})


def test_a_login_is_decoded_and_its_password_not_in_the_repr() -> None:
    address = Address("https://ann%40corp:s3%2Fcret@h.example/simple#x")
    login = address.login
    assert login is not None
    assert (login.user, login.password) == ("ann@corp", "s3/cret")
    assert "s3/cret" not in repr(login)
    assert address.without_login() == "https://h.example/simple"
    assert Address("https://tom@h.example/simple#x").logged_in(login.user, login.password) == address


@pytest.mark.parametrize("url", ["https://[broken/a", "https://h.example:port/a"])
def test_an_address_that_cannot_be_read_is_an_error_for_people(url: str) -> None:
    with pytest.raises(FetchError):
        origin(url)


def test_only_https_and_http_with_a_host_are_of_the_web() -> None:
    assert Address("https://h.example/").is_web
    assert not Address("https:///path").is_web
    assert not Address("ftp://h.example/").is_web


def test_file_addresses_are_local_and_absolute() -> None:
    assert Address("file:///a%20b/c.whl").path == Path("/a b/c.whl")
    assert Address("file://localhost/a").path == Path("/a")
    for url in ("file://other/a", "file:a/b"):
        with pytest.raises(FetchError):
            _ = Address(url).path


def redirected(url: str, location: str | None) -> str:
    return redirect_target(Address(url), location).with_login()


def test_a_redirect_may_go_up_to_https_but_never_down() -> None:
    assert redirected("http://h.example/a", "https://h.example/a") == "https://h.example/a"
    assert redirected("https://h.example/a/b", "../c#x") == "https://h.example/c"
    assert redirected("https://h.example/a", "//x:y@other.example/c") == "https://other.example/c"
    with pytest.raises(FetchError, match="from https to http"):
        redirected("https://h.example/a", "http://h.example/a")


@pytest.mark.parametrize("location", [None, "", "file:///etc/passwd", "https://[broken", "data:,x"])
def test_a_redirect_to_nowhere_usable_is_refused(location: str | None) -> None:
    with pytest.raises(FetchError):
        redirected("https://h.example/a", location)
