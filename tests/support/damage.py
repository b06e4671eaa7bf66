"""Damage to the files of a store: single bits that flip and files that go, spread over every kind of file."""

import os
import random
import re
import stat
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CAN_BE_ASKED_AGAIN = frozenset(
    {"pack", "shared link", "interpreter", "index book", "index page", "build", "side manifest", "variables.key"}
)
"""Kinds that nothing names: if one is gone, it is made again when it is wanted, and there is nothing to find."""


@dataclass(frozen=True, kw_only=True)
class Damage:
    """What was done to one path, relative to the store. ``content`` is what stands there now; None for nothing."""

    kind: str
    path: str
    how: str
    content: bytes | None

    def remains(self, store: Path) -> bool:
        """Whether what stands there is still exactly what the damage left."""
        path = store / self.path
        return os.path.lexists(path) and content_of(path) == self.content

    @property
    def has_to_be_found(self) -> bool:
        """A catalogue is built again whatever is found: a bit of a page that nothing uses is nothing to find."""
        if self.kind == "catalogue" or (self.kind in {"VERSION", "lock"} and self.content is None):
            return False  # a daemon leaves without its lock or VERSION, and the next one makes them
        return self.content is not None or self.kind not in CAN_BE_ASKED_AGAIN


def kind_of(path: str) -> str | None:
    """The kind of file that this is; None for what a daemon only uses while it runs."""
    top, _, rest = path.partition("/")
    if top in {"tmp", "trash", "quarantine", "state", "daemon"} or path.endswith(("index.db-shm", ".lock")):
        return None
    if top == "environments":
        return _kind_in_view(path)
    if top == "meta":
        return "side manifest" if path.endswith(".pyc.json") else "manifest"
    if top == "store":
        return "bytecode" if path.endswith(".pyc") else "entry file"
    if top == "shortcuts":
        return "shortcut"
    if "/@storectl/history" in path:
        return "kept inputs" if path.endswith(".gz") else "history"
    if top == "projects":
        return f"record: {path.rpartition('/')[2].partition('.')[0]}"
    if top == "urls":
        return "index page" if rest.startswith("pages/") else "index book"
    if top == "git":
        left_out = "/hooks/" in path or "/worktrees/" in path or path.endswith((".sums", "FETCH_HEAD"))
        return None if left_out else "repository file"
    kinds = {"packs": "pack", "links": "shared link", "interpreters": "interpreter", "builds": "build"}
    return kinds.get(top, "catalogue" if top.startswith("index.db") else top)


def _kind_in_view(path: str) -> str:
    name = path.rpartition("/")[2]
    if name in {"import-map", "environment.json", "pyvenv.cfg"}:
        return f"view: {name}"
    if "_storectl" in name:
        return "view: shim"
    return "view: metadata" if ".dist-info/" in path else "view: other"


def files_by_kind(store: Path) -> dict[str, list[str]]:
    """Every path that can be damaged, links too."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in _paths(store):
        kind = kind_of(path)
        if kind is not None:
            found[kind].append(path)
    return dict(found)


def _paths(store: Path) -> Iterator[str]:
    for parent, folders, names in os.walk(store):
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        for name in sorted([*names, *links]):
            yield os.path.relpath(os.path.join(parent, name), store)


def damage(store: Path, path: str, chance: random.Random) -> Damage:
    """Flip one bit of the file, or of where the link leads; or delete it."""
    place = store / path
    before = content_of(place)
    kind = kind_of(path)
    assert kind is not None
    if not before or chance.random() < 0.3:
        with _opened_up(place.parent):
            place.unlink()
        return Damage(kind=kind, path=path, how="deleted", content=None)
    after = bytearray(before)
    bit = chance.randrange(len(before) * 8)
    after[bit // 8] ^= 1 << bit % 8
    if place.is_symlink() and (not after[bit // 8] or b"\0" in after):
        after = bytearray(before + b"x")
    _write(place, bytes(after))
    return Damage(kind=kind, path=path, how=f"bit {bit}", content=bytes(after))


def content_of(path: Path) -> bytes:
    return os.fsencode(os.readlink(path)) if path.is_symlink() else path.read_bytes()


def _write(path: Path, content: bytes) -> None:
    """In place, so that every name of the file shows it, with the time and the mode that it had: as a failing disk does."""
    if path.is_symlink():
        with _opened_up(path.parent):
            path.unlink()
            path.symlink_to(os.fsdecode(content))
        return
    status = path.stat()
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.write(content)
    path.chmod(stat.S_IMODE(status.st_mode))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


class _opened_up:  # noqa: N801 - reads as a function
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        self._mode = stat.S_IMODE(self._folder.stat().st_mode)
        self._folder.chmod(0o755)

    def __exit__(self, *_: object) -> None:
        self._folder.chmod(self._mode)


def thing_of(path: str) -> tuple[str, str]:
    """The kind and the name of the thing that a finding about this path is of: of an entry the prefix."""
    top, *rest = path.split("/")
    if top == "store":
        return "entry", rest[1]
    if top == "meta":
        return "entry", rest[0][:32]
    if top == "environments":
        return "environment", rest[0]
    if top == "packs":
        return "pack", rest[0]
    if top == "links":
        return "link", rest[0]
    if top == "projects":
        of = "history" if "/@storectl/history" in path else "record"
        return of, "/" + re.sub(r"/@storectl/.*", "", "/".join(rest))
    if top == "shortcuts":
        return "note", re.sub(r"@\d+$", "", path)
    if top in {"interpreters", "builds", "urls", "variables.key"}:
        return "note", path
    if top == "git":
        return "repository", f"git/{rest[0]}"
    if top.startswith("index.db"):
        return "catalogue", "index.db"
    return ("projects", path) if top == "projects.json" else ("store", "")
