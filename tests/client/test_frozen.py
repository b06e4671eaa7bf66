"""Whether nothing may be made: what the variable says, and what is found out without it."""

import os
from pathlib import Path

import pytest

from storectl.errors import FrozenError
from storectl.frozen import check_not_frozen, is_frozen, why_frozen


@pytest.mark.parametrize(("said", "frozen"), [("1", True), ("true", True), ("ON", True), ("0", False), ("no", False)])
def test_the_variable_says_it(tmp_path: Path, said: str, *, frozen: bool) -> None:
    environ = {"HOME": str(tmp_path), "STORECTL_FROZEN": said}
    assert is_frozen(environ) is frozen
    if frozen:
        with pytest.raises(FrozenError, match="cannot sing: STORECTL_FROZEN is set") as caught:
            check_not_frozen("sing", environ)
        assert caught.value.exit_code == 125
    else:
        check_not_frozen("sing", environ)


def test_a_store_that_can_be_written_or_made_is_not_frozen(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path / "run")}
    assert why_frozen(environ) is None
    (tmp_path / ".local/share/storectl").mkdir(parents=True)
    assert why_frozen(environ) is None


def test_a_store_that_cannot_be_written_is_frozen_unless_a_socket_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    store.mkdir()
    (tmp_path / "run").mkdir()
    environ = {"HOME": str(tmp_path), "STORECTL_STORE": str(store), "XDG_RUNTIME_DIR": str(tmp_path / "run")}
    may = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).startswith(str(store)) and may(path, mode))
    assert why_frozen(environ) == f"the store {store} cannot be written here"
    socket = tmp_path / "socket"
    (store / "daemon").write_text(f"{socket}\nstorectl-daemon 1\nprocess 1\nidentity \n")
    assert is_frozen(environ)
    socket.touch()
    assert not is_frozen(environ)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_store_of_another_user_is_another_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    os.chown(tmp_path, 54321, 54321)
    assert why_frozen({"HOME": "/", "STORECTL_STORE": str(tmp_path)}) is None
