"""What any error tells, whatever it is given to tell."""

import pickle

import pytest

from storectl_store.errors import LockFileError, ProblemError, SelectionError, without_logins


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:secret@host.invalid/x", "https://****@host.invalid/x"),
        ("https://secret@host.invalid/x", "https://****@host.invalid/x"),
        ("'https://me:sec", "'https://****"),
        ("git+https://me:sec@ret@host.invalid/x and http://a:b@c", "git+https://****@host.invalid/x and http://****@c"),
        ("`--hash=ftp://me:sec…` is ftp", "`--hash=ftp://****…` is ftp"),
        ("not a name: 'me:secret@host.invalid'", "not a name: '****@host.invalid'"),
        ("https://host.invalid:8080/x", "https://host.invalid:8080/x"),
        ("https://host.invalid:8080", "https://host.invalid:8080"),
        ("ssh://git@host.invalid/x and git@host.invalid:x", "ssh://git@host.invalid/x and git@host.invalid:x"),
        ("http://[::1]:80/ and http://[fe80::1]/", "http://[::1]:80/ and http://[fe80::1]/"),
        ("/home/me/uv.lock:12:3: `a`: `b` is missing", "/home/me/uv.lock:12:3: `a`: `b` is missing"),
        ("alpha @ https://host.invalid/a-1.0.whl", "alpha @ https://host.invalid/a-1.0.whl"),
        ("//me:secret@host.invalid/secret@host.invalid/", "//****@host.invalid/****@host.invalid/"),
        ("//a:secret@x.invalid //b:secret-2@x.invalid/secret-2/secret", "//****@x.invalid //****@x.invalid/****/****"),
        ("git+ssh://somebody@host.invalid/somebody/x", "git+ssh://****@host.invalid/somebody/x"),
    ],
)
def test_the_logins_of_addresses_are_left_out(text: str, shown: str) -> None:
    assert without_logins(text) == shown
    assert str(ProblemError(text, hint=text)) == f"E_PROBLEM: {shown} (hint: {shown})"


def test_a_selection_error_is_one_line_however_much_it_quotes() -> None:
    error = LockFileError("uv.lock:1: " + "x\n\x1b" * 1000, hint="y" * 10_000, path="uv.lock")
    assert len(str(error)) < 1300
    assert str(error).isprintable()
    assert error.message.startswith("uv.lock:1: x")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.facts, type(again)) == (str(error), error.facts, LockFileError)


@pytest.mark.parametrize(
    "text",
    [
        "x" * 10**6,
        "a:" * 10**6,
        "//a:b" * 10**6,
        "/" * 10**6,
        "//" + "a@" * 10**6,
        "".join(f"//me:{n:06}a@" for n in range(10**5)),
    ],
)
def test_no_text_is_too_long_to_be_told(text: str) -> None:
    """What took the square of its length would never end here."""
    assert len(ProblemError(text).message) <= ProblemError.longest


def test_cutting_a_message_off_tells_no_half_of_a_password() -> None:
    assert "sec" not in str(SelectionError("x" * 580 + " https://me:secret@host.invalid/"))
