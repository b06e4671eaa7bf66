"""What a lock file locks, as names and versions: to tell in one line what an edit has changed."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Versions = Mapping[str, frozenset[str]]
"""By normalised project name. A lock file may have several versions of a project, for different Pythons."""

_THE_PROJECT = ({"virtual": "."}, {"editable": "."})
"""What ``uv.lock`` has as the source of the project that it belongs to."""

_PINNED = re.compile(r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==(?P<version>[^\s;\\]+)", re.MULTILINE)


def locked_versions(lock_file: Path | None) -> Versions:
    """The versions that the lock file holds; none if it is not there or cannot be read."""
    if lock_file is None:
        return {}
    try:
        text = lock_file.read_text(encoding="utf-8-sig")
        found = list(_pairs(lock_file.name, text))
    except (OSError, ValueError, AttributeError, TypeError, KeyError):
        return {}
    return {name: frozenset(v for n, v in found if n == name) for name in sorted({name for name, _ in found})}


def _pairs(name: str, text: str) -> Iterator[tuple[str, str]]:
    if name.endswith(".txt"):
        for match in _PINNED.finditer(text):
            yield normalised(match["name"]), match["version"]
    elif name == "Pipfile.lock":
        sections: dict[str, dict[str, dict[str, Any]]] = json.loads(text)
        for section, locked in sections.items():
            for project, facts in locked.items() if section != "_meta" else ():
                yield normalised(project), str(facts.get("version", "")).removeprefix("==")
    else:
        document = tomllib.loads(text)
        for package in [*document.get("package", []), *document.get("packages", [])]:
            if package.get("source") in _THE_PROJECT:
                continue
            yield normalised(package["name"]), str(package.get("version", ""))


def normalised(name: str) -> str:
    """The project name as lock files have it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def changes(before: Versions, after: Versions) -> str:
    """Such as ``alpha 1.0 -> 2.0; added beta 1.0; removed gamma 2.0``; empty if there is no change."""
    changed = [
        f"{name} {_text(before[name])} -> {_text(after[name])}"
        for name in before
        if name in after and before[name] != after[name]
    ]
    added = [f"{name} {_text(after[name])}".rstrip() for name in after if name not in before]
    removed = [f"{name} {_text(before[name])}".rstrip() for name in before if name not in after]
    parts = [
        ", ".join(changed),
        *(f"{word} {', '.join(names)}" for word, names in (("added", added), ("removed", removed)) if names),
    ]
    return "; ".join(filter(None, parts))


def _text(versions: frozenset[str]) -> str:
    return " and ".join(sorted(versions))
