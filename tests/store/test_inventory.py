"""The inventory: what is there, what it names, how old it is; and what is done if it cannot be told."""

import errno
import io
import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from storectl_store.collecting.inventory import read_inventory
from storectl_store.digest import EnvironmentId
from storectl_store.errors import StoreError
from support.collected import aged, published
from support.stores import WrittenStore, digest
from support.wheels import make_wheel

ONE, TWO, THREE = (make_wheel(name) for name in ("one", "two", "three"))


def identity(folder: Path) -> EnvironmentId:
    return EnvironmentId(folder.name)


def rewritten(folder: Path, content: bytes) -> None:
    folder.chmod(0o755)
    path = folder / "environment.json"
    path.chmod(0o644)
    path.write_bytes(content)


def lose(path: Path) -> None:
    path.parent.chmod(0o755)
    path.unlink()


def test_it_has_every_environment_with_what_it_names_and_every_entry(written: WrittenStore) -> None:
    first, second = published(written, ONE, TWO), published(written, TWO)
    written.commit(THREE)
    found = read_inventory(written.store)
    assert {each.id: each.digests for each in found.environments.values()} == {
        identity(first): frozenset({digest(ONE), digest(TWO)}),
        identity(second): frozenset({digest(TWO)}),
    }
    assert found.entries.keys() == {digest(ONE), digest(TWO), digest(THREE)}
    assert found.unreadable == ()
    assert {each.id for each in found.showing(digest(TWO))} == {first.name, second.name}
    assert found.back_references()[digest(ONE)] == [first.name]


def test_the_last_use_is_when_a_python_read_its_configuration_or_what_the_caller_saw(written: WrittenStore) -> None:
    folder = published(written, ONE)
    aged([folder], 1000)
    os.utime(folder / "pyvenv.cfg", (5000, 900))
    (found,) = read_inventory(written.store).environments.values()
    assert (found.published, found.last_used) == (1000, 5000)
    (found,) = read_inventory(written.store, used={identity(folder): 7000}).environments.values()
    assert found.last_used == 7000


def test_an_environment_was_used_when_it_was_published_even_if_no_access_time_says_so(written: WrittenStore) -> None:
    folder = published(written, ONE)
    aged([folder / "pyvenv.cfg"], 10)
    aged([folder], 1000)
    (found,) = read_inventory(written.store).environments.values()
    assert found.last_used == 1000


def test_an_entry_is_as_old_as_its_manifest(written: WrittenStore) -> None:
    written.commit(ONE)
    aged([written.store.layout.manifest(digest(ONE))], 1000)
    assert read_inventory(written.store).entries == {digest(ONE): 1000}


def test_bytecode_and_what_is_being_made_are_no_entries_and_no_environments(written: WrittenStore) -> None:
    layout = written.store.layout
    layout.bytecode_manifest(digest(ONE), "cpython-312").write_text("{}")
    (layout.environments / ".tmp-abc").mkdir()
    (layout.environments / "notes.txt").write_text("of a person")
    (layout.environments / "empty").mkdir()
    found = read_inventory(written.store)
    assert (found.environments, found.entries, found.copies) == ({}, {}, frozenset())


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 99}', None])
def test_a_record_that_is_lost_or_broken_says_nothing(written: WrittenStore, content: bytes | None) -> None:
    folder, other = published(written, ONE), published(written, TWO)
    if content is None:
        lose(folder / "environment.json")
    else:
        rewritten(folder, content)
    found = read_inventory(written.store)
    assert found.unreadable == (folder.name,)
    assert found.environments[identity(other)].digests == frozenset({digest(TWO)})


def test_the_record_of_another_environment_says_nothing(written: WrittenStore) -> None:
    folder, other = published(written, ONE), published(written, TWO)
    rewritten(folder, (other / "environment.json").read_bytes())
    assert read_inventory(written.store).unreadable == (folder.name,)


def test_an_environment_without_its_configuration_still_names_its_entries(written: WrittenStore) -> None:
    folder = published(written, ONE)
    lose(folder / "pyvenv.cfg")
    (found,) = read_inventory(written.store).environments.values()
    assert found.digests == frozenset({digest(ONE)})
    assert found.last_used == found.published


def test_a_copy_that_a_person_made_names_entries_and_is_no_environment(written: WrittenStore) -> None:
    folder = published(written, ONE)
    shutil.copytree(folder, folder.with_name("before-the-course"), symlinks=True)
    found = read_inventory(written.store)
    assert found.environments.keys() == {folder.name}
    assert found.copies == {digest(ONE)}


def test_what_goes_while_it_is_looked_at_is_left_out(written: WrittenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, other = published(written, ONE), published(written, TWO)

    def vanish(path: Path) -> bytes:
        if path.parent == folder:
            folder.rename(written.store.layout.trash / folder.name)
        with path.open("rb") as stream:
            return stream.read()

    folder.chmod(0o700)
    monkeypatch.setattr(Path, "read_bytes", vanish)
    assert read_inventory(written.store).environments.keys() == {other.name}


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ESTALE])
def test_what_cannot_be_looked_at_is_an_error(
    written: WrittenStore, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    published(written, ONE)

    def fail(path: Path) -> bytes:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(StoreError, match="cannot look at what is in the store"):
        read_inventory(written.store)


@pytest.mark.parametrize("call", ["scandir", "stat"])
def test_a_folder_that_cannot_be_listed_is_an_error(
    written: WrittenStore, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    published(written, ONE)

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(StoreError):
        read_inventory(written.store)


def test_each_read_that_fails_is_an_error(written: WrittenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for wheels in ((ONE, TWO), (TWO,)):
        published(written, *wheels)
    whole = read_inventory(written.store)
    for last in itertools.count(1):
        calls = itertools.count(1)
        with monkeypatch.context() as patched:
            for module, name in ((os, "scandir"), (os, "stat"), (io, "open")):
                patched.setattr(module, name, failing(getattr(module, name), calls, last))
            try:
                found = read_inventory(written.store)
            except StoreError:
                continue
        assert next(calls) <= last  # it asked for nothing that failed
        assert found == whole
        break
    assert last > 8


def failing(call: Callable[..., Any], calls: Iterator[int], last: int) -> Callable[..., Any]:
    def called(*arguments: Any, **options: Any) -> Any:
        if next(calls) == last:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return call(*arguments, **options)

    return called


def test_the_names_of_a_record_are_digests_or_it_says_nothing(written: WrittenStore) -> None:
    folder = published(written, ONE)
    value = json.loads((folder / "environment.json").read_bytes())
    rewritten(folder, json.dumps({**value, "digests": ["sha256:1234"]}).encode())
    assert read_inventory(written.store).unreadable == (folder.name,)
