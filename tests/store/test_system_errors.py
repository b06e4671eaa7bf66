"""What the system refuses is told by its own name, whatever was made of it on the way."""

import errno
import os
import sqlite3
from pathlib import Path

import pytest

from storectl_store.disk.durability import disk_errors
from storectl_store.errors import StoreError, StoreFullError
from storectl_store.system_errors import raise_if_limited, refusal_of


@pytest.mark.parametrize(
    ("number", "name", "hint"),
    [
        (errno.ENOSPC, "ENOSPC", "free some space"),
        (errno.EDQUOT, "EDQUOT", "free some space"),
        (errno.EIO, "EIO", "the disk"),
        (errno.EROFS, "EROFS", "read-only"),
        (errno.EMFILE, "EMFILE", "ulimit -n"),
        (errno.ENFILE, "ENFILE", "too many open files"),
        (errno.ENOMEM, "ENOMEM", "memory"),
    ],
)
def test_each_refusal_has_its_number_and_its_own_hint(number: int, name: str, hint: str) -> None:
    with pytest.raises(StoreFullError) as caught, disk_errors("do it"):
        raise OSError(number, os.strerror(number), "/some/file")
    assert caught.value.code == "E_DISK"
    assert f"({name})" in caught.value.message
    assert hint in (caught.value.hint or "")
    assert ("free some space" in (caught.value.hint or "")) == (name in {"ENOSPC", "EDQUOT"})


def test_other_errors_are_no_refusals() -> None:
    assert refusal_of(PermissionError(errno.EACCES, "Permission denied"), "do it") is None
    assert refusal_of(ValueError("x"), "do it") is None
    with pytest.raises(StoreError) as caught, disk_errors("do it"):
        raise PermissionError(errno.EACCES, "Permission denied")
    assert (caught.value.code, "(EACCES)" in caught.value.message) == ("E_STORE", True)


def test_a_refusal_is_found_below_what_was_made_of_it() -> None:
    group = ExceptionGroup("all attempts failed", [ConnectionError("no socket")])
    group.__cause__ = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    refusal = refusal_of(group, "connect")
    assert refusal is not None
    assert refusal.message == "cannot connect: Too many open files (EMFILE)"


def test_a_database_that_cannot_write_says_why(tmp_path: Path) -> None:
    path = tmp_path / "index.db"
    sqlite3.connect(path).execute("CREATE TABLE t (x)").connection.close()
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    with pytest.raises(sqlite3.OperationalError) as caught:
        database.execute("INSERT INTO t VALUES (1)")
    database.close()
    refusal = refusal_of(caught.value, "write")
    assert refusal is not None
    assert "(EROFS)" in refusal.message


def test_a_limit_of_the_process_is_told_and_no_other_error_is() -> None:
    raise_if_limited(PermissionError(errno.EACCES, "Permission denied", "/etc/pip.conf"), "read /etc/pip.conf")
    with pytest.raises(StoreFullError, match=r"cannot read /etc/pip.conf: .*\(EMFILE\)") as caught:
        raise_if_limited(OSError(errno.EMFILE, "Too many open files", "/etc/pip.conf"), "read /etc/pip.conf")
    assert "ulimit -n" in (caught.value.hint or "")
