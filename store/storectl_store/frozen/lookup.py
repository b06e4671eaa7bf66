"""Look an environment up: read the lock file, select, compute the environment's id, find it in a store.

    lock file --select--> pins --in a store?--> digests --id--> environments/<id> of the first store that has it

It is what a warm would make, if everything for that is in a store already. Nothing is fetched, built, written, locked
or run, and no database is opened. Two things are known to a daemon only: which file an index gives for a pin without a
sha256, and what a source becomes. Of the first kind, the files that stores have are taken (``pins``); the second is not
looked up.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storectl_store.digest import Digest, EnvironmentId
from storectl_store.entries.layer_settings import read_layer_settings
from storectl_store.entries.layers import KeptStore, open_layer
from storectl_store.entries.read_only import ReadOnlyStore
from storectl_store.entries.trusted_path import is_kept
from storectl_store.environments.environment_record import EnvironmentRecord, read_environment
from storectl_store.environments.identity import environment_id
from storectl_store.errors import LayerError, NotWarmedError, StoreError, TargetError
from storectl_store.frozen.pins import Closure, closure_of
from storectl_store.frozen.shelf import Shelf
from storectl_store.interpreters.book import InterpreterBook
from storectl_store.projects.ownership import check_local
from storectl_store.projects.version_files import look_around
from storectl_store.selection.asked import target_of
from storectl_store.selection.lock_file import LockFile
from storectl_store.selection.origins import direct_urls
from storectl_store.selection.reading import read_lock_file
from storectl_store.selection.requires_python import requires_python_of
from storectl_store.selection.select import select
from storectl_store.selection.target import Interpreter
from storectl_store.selection.uv.groups import AskedGroups

_MOST_NAMES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """An environment that is asked for. ``project`` is an absolute folder without symbolic links.

    ``options`` are those of a command, by the names of ``storectl_shim.project_record.options_key``; ``environ`` are
    its variables.
    """

    project: Path
    lock_file: Path
    options: Mapping[str, Any]
    environ: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A published environment that has all of its entries.

    ``stale`` says in one line that the project has changed since the lock file was made; None if it has not.
    """

    path: Path
    record: EnvironmentRecord
    stale: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedStores:
    """The stores that there are, the own one first, and why layers that the settings name are not among them."""

    stores: tuple[ReadOnlyStore, ...]
    problems: tuple[LayerError, ...]


def open_stores(own: Path, environ: Mapping[str, str]) -> OpenedStores:
    """Open the own store and the layers that ``environ`` leads to.

    Raises StoreFormatError if the own store is of another version.
    """
    settings = read_layer_settings(environ)
    found: list[ReadOnlyStore] = [ReadOnlyStore.open(own)] if own.is_dir() else []
    problems = list(settings.problems)
    for each in settings.layers:
        try:
            found.append(open_layer(each).store)
        except LayerError as error:
            problems.append(error)
    return OpenedStores(stores=tuple(found), problems=tuple(problems))


def find_environment(stores: Sequence[ReadOnlyStore], question: Question) -> Found:
    """The environment, from the first store that has it.

    Raises NotWarmedError if none has it, and a SelectionError if the lock file gives no environment at all.
    """
    lock_file = _read(question.lock_file, question)
    interpreter = _interpreter(stores, lock_file, question)
    shelf = Shelf(stores)
    closure = _closure(shelf, lock_file, interpreter, question)
    check_local(lock_file.included, closure.local_projects, question.environ)
    pins = closure.pins
    identity = environment_id([pin.wheel.digest for pin in pins], interpreter, direct_urls(pins))
    found = next(_published(stores, identity), None)
    if found is None:
        missing = [f"{pin.name} {pin.version}" for pin in pins if not shelf.has(pin.wheel.digest)]
        raise _not_warmed(question, identity, missing)
    path, record = found
    _check_entries(shelf, path, record)
    return Found(path=path, record=record, stale=closure.stale)


def _read(path: Path, question: Question) -> LockFile:
    further = map(Path, question.options.get("further_lock_files", ()))
    return read_lock_file(path, further, variables=question.environ)


def _interpreter(stores: Sequence[ReadOnlyStore], lock_file: LockFile, question: Question) -> Interpreter:
    """The interpreter that a warm would choose, of those that a store knows."""
    options, environ = question.options, question.environ
    start = Path(options.get("member") or question.project)
    around = look_around(start, environ, for_project=lock_file.kind == "requirements")
    folders = [store.layout.interpreters for store in stores if _is_trusted(store, store.layout.interpreters)]
    if not folders:
        raise NotWarmedError("there is neither a store here nor a layer", path=str(question.project))
    book = InterpreterBook(folders[0], others=folders[1:], asks=False)
    required = requires_python_of(lock_file, AskedGroups.by(options)) or around.requires_python
    try:
        return book.choose(options.get("python"), requires_python=required, pinned=around.pinned, environ=environ)
    except TargetError as error:
        raise NotWarmedError(
            f"no interpreter that a store knows fits {question.project}: {error.message}", path=str(question.project)
        ) from error


def _is_trusted(store: ReadOnlyStore, folder: Path) -> bool:
    """Whether only those who keep the store can have written the folder."""
    if not isinstance(store, KeptStore):
        return True
    with suppress(OSError):
        return is_kept(os.lstat(folder), store.owners)
    return False


def _closure(shelf: Shelf, lock_file: LockFile, interpreter: Interpreter, question: Question) -> Closure:
    selection = select(lock_file, target_of(question.options, interpreter))
    closure = closure_of(shelf, selection, interpreter)
    overlay = question.options.get("overlay")
    if overlay is None:
        return closure
    on_top = select(read_lock_file(Path(overlay), variables=question.environ), target_of({}, interpreter))
    return closure.below(closure_of(shelf, on_top, interpreter))


def _published(stores: Sequence[ReadOnlyStore], identity: EnvironmentId) -> Iterator[tuple[Path, EnvironmentRecord]]:
    """What stores have published under this id: folders and records. One that cannot be read is passed by."""
    for store in stores:
        folder = store.environment(identity)
        if folder is not None:
            try:
                yield folder, read_environment(folder)
            except StoreError:
                continue


def _check_entries(shelf: Shelf, path: Path, record: EnvironmentRecord) -> None:
    """Raise NotWarmedError if an entry of the environment has been collected since it was published."""
    gone: list[Digest] = [digest for digest in record.digests if not shelf.has(digest)]
    if gone:
        raise NotWarmedError(
            f"{len(gone)} of {len(record.digests)} wheels of {path} are in no store any more",
            path=str(path),
            missing=gone,
        )


def _not_warmed(question: Question, identity: EnvironmentId, missing: Sequence[str]) -> NotWarmedError:
    listed = ", ".join(missing[:_MOST_NAMES]) + (f" and {len(missing) - _MOST_NAMES} more" if missing[5:] else "")
    why = f"no store has {listed}" if missing else "no store has the environment of these options"
    return NotWarmedError(
        f"{question.project} is not warmed: {why}", path=str(question.project), id=identity, missing=list(missing)
    )
