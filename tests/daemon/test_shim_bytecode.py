"""The shim's bytecode: compiled once for an interpreter, and never taken when it is damaged."""

import asyncio
import sqlite3
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from storectl_daemon.compiling.shim_bytecode import ShimBytecode
from storectl_store.entries.catalogue import Catalogue
from storectl_store.entries.store import Store
from storectl_store.environments.identity import shim_digest
from storectl_store.errors import EnvironmentBuildError
from storectl_store.selection.target import Interpreter
from support.environments import ask_interpreter


@pytest.fixture(scope="module")
def python() -> Interpreter:
    return ask_interpreter(sys.executable)


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return Store.open(tmp_path / "store").catalogue


def files_of(catalogue: Catalogue, interpreter: Interpreter) -> dict[str, bytes]:
    return asyncio.run(ShimBytecode(catalogue).of(interpreter))


def unable(interpreter: Interpreter) -> Interpreter:
    """The same interpreter, as it would be if it were not there: to compile with it is an error."""
    return replace(interpreter, executable="/nowhere/python")


def test_every_level_of_optimization_has_its_file(catalogue: Catalogue, python: Interpreter) -> None:
    tag = python.cache_tag
    names = [f"{tag}{level}.pyc" for level in ("", ".opt-1", ".opt-2")]
    folders = {"_storectl": "site-packages/", "_storectl_map": "", "_storectl_pack": "", "_storectl_amend": ""}
    expected = {f"{folder}__pycache__/{module}.{name}" for module, folder in folders.items() for name in names}
    assert files_of(catalogue, python).keys() == expected


def test_what_was_compiled_once_is_there_after_a_restart(catalogue: Catalogue, python: Interpreter) -> None:
    files = files_of(catalogue, python)
    assert files_of(catalogue, unable(python)) == files


def test_an_interpreter_takes_no_bytecode_of_another(catalogue: Catalogue, python: Interpreter) -> None:
    files_of(catalogue, python)
    with pytest.raises(EnvironmentBuildError):
        files_of(catalogue, replace(unable(python), identity="another"))


@pytest.mark.parametrize("place", [0, 33, -1])
def test_damaged_bytecode_is_compiled_again(catalogue: Catalogue, python: Interpreter, place: int) -> None:
    files, kind = files_of(catalogue, python), f"shim 2 {python.identity}"
    data = bytearray(catalogue.get_many(kind, [shim_digest()])[shim_digest()])
    data[place] ^= 1
    catalogue.put(kind, {shim_digest(): bytes(data)})
    assert files_of(catalogue, python) == files
    assert files_of(catalogue, unable(python)) == files


def test_without_a_catalogue_it_is_compiled(
    catalogue: Catalogue, python: Interpreter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(catalogue, "_run", broken)
    assert len(files_of(catalogue, python)) == 12
