"""The extras and groups that a lock file knows, by a quick look at it.

To read a lock file of some hundred packages whole takes longer than a completion may: only the tables that name them
are parsed.
"""

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from typing import Any

Names = tuple[set[str], set[str]]
"""Extras and groups."""

_LOCAL = re.compile(r'^source = \{ (?:editable|virtual|directory) = "([^"]*)"', re.MULTILINE)


def locked_names(project: str, lock_file: str, member: str | None) -> Names:
    """What the lock file knows for the project in this folder, or for the member of its workspace in another folder.

    Raises OSError or ValueError if it cannot be read.
    """
    name = os.path.basename(lock_file)
    text = _text(lock_file)
    if name == "uv.lock":
        return _of_uv(text, os.path.relpath(member or project, project))
    return _READERS[name](text, project) if name in _READERS else (set(), set())


def local_packages(lock_file: str) -> set[str]:
    """The names of the packages of a ``uv.lock`` that are made from local folders."""
    blocks = _text(lock_file).split("\n[[package]]\n")[1:]
    return {str(tomllib.loads(block)["name"]) for block in blocks if _LOCAL.search(block)}


def locked_packages(lock_file: str) -> set[str]:
    """The names of the packages of a lock file in TOML."""
    return {*re.findall(r'^name = "(.+)"', _text(lock_file), re.MULTILINE)}


def _of_uv(text: str, location: str) -> Names:
    """Of the package at this location; if there is none, of all that are made from local folders."""
    head, *blocks = text.split("\n[[package]]\n")
    local = [(found[1], block) for block in blocks if (found := _LOCAL.search(block))]
    roots = [block for place, block in local if place == location] or [block for _, block in local]
    extras: set[str] = set()
    groups = _keys(tomllib.loads(head), "manifest", "dependency-groups") if location == "." else set()
    for package in (tomllib.loads(block).get("package", {}) for block in roots):
        extras |= _keys(package, "optional-dependencies") | {*package.get("metadata", {}).get("provides-extras", ())}
        groups |= _keys(package, "dev-dependencies") | _keys(package, "metadata", "requires-dev")
    return extras, groups


def _of_poetry(text: str, _: str) -> Names:
    table = re.search(r"^\[extras\]\n((?:.+\n)*)", text, re.MULTILINE)
    extras = {*re.findall(r'^"?([\w.-]+)"? =', table[1], re.MULTILINE)} if table else set()
    lists = re.findall(r"^groups = \[(.*)\]", text, re.MULTILINE)
    return extras, {*re.findall(r'"([^"]+)"', "".join(lists))} - {"main"}


def _of_pdm(text: str, project: str) -> Names:
    """PDM counts extras among the groups: the project file tells them apart."""
    named = {*tomllib.loads(_head(text, "package"))["metadata"].get("groups", ())} - {"default"}
    with open(os.path.join(project, "pyproject.toml"), "rb") as file:
        extras = named & _keys(tomllib.load(file), "project", "optional-dependencies")
    return extras, named - extras


def _of_pylock(text: str, _: str) -> Names:
    top = tomllib.loads(_head(text, "packages"))
    return {*top.get("extras", ())}, {*top.get("dependency-groups", ())}


def _of_pipenv(text: str, _: str) -> Names:
    import json  # noqa: PLC0415 - for this kind of lock file only

    return set(), {*json.loads(text)} - {"_meta", "default"}


_READERS: Mapping[str, Callable[[str, str], Names]] = {
    "poetry.lock": _of_poetry,
    "pdm.lock": _of_pdm,
    "pylock.toml": _of_pylock,
    "Pipfile.lock": _of_pipenv,
}


def _text(lock_file: str) -> str:
    with open(lock_file, encoding="utf-8", errors="replace") as file:
        return file.read()


def _head(text: str, tables: str) -> str:
    """What stands before the first of these tables."""
    return text.partition(f"\n[[{tables}]]\n")[0]


def _keys(table: Mapping[str, Any], *path: str) -> set[str]:
    """The keys of a table in a table; none if it is not there."""
    for key in path:
        table = table.get(key, {})
    return set(table)
