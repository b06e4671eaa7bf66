"""Roots of a node store: what each user keeps alive.

Each is a file ``<store>/roots/<uid>/<environment id>``. Format 1:

    storectl-root 1
    project <name>
    seen <seconds since the epoch>
    digest sha256:<64 hex digits>       a line for each entry, in order

A root keeps the environment, if this store has it, and the entries, which an environment in a store of the user's own
may show. The name of the project is the user's choice, and never a path. A program that starts writes nothing here: a
root is renewed when the environment is made or asked for again, and counts for 90 days.

Only the store's account writes these files, of what users have said. So a reader follows no link, reads no more than a
root can have, and refuses everything that ``write_root`` would not have written.
"""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from storectl_store.digest import Digest, EnvironmentId, is_environment_id, parse_digest
from storectl_store.disk.durability import disk_errors, fsync_folder
from storectl_store.disk.whole_files import PRIVATE, replace_file
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.trusted_path import OVERFLOW_UID
from storectl_store.errors import StoreFormatError

KEPT_UNSEEN = 90 * 24 * 3600.0
"""Seconds for which a root counts that is not renewed."""

RENEWED_AFTER = 24 * 3600.0
"""Seconds after which it is worth to write a root again only because it was seen."""

MOST_ENTRIES = 12_000
"""Entries of one root. Their digests are as many as a request of 1 MiB can hold."""

NO_PROJECT = "-"
"""The name for a root of no project."""

_HEADER = "storectl-root 1"
_LONGEST = 1 << 20  # bytes
_LONGEST_NAME = 100

_MOST_UID = 2**32 - 2  # 2**32 - 1 is "no user"
_UID = re.compile(r"0|[1-9][0-9]{0,9}")
_SEEN = re.compile(r"0|[1-9][0-9]{0,10}")
_PRIVATE_FOLDER = 0o700


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRoot:
    """What a user keeps alive for one environment. ``seen`` is a time in whole seconds of the system clock.

    Raises ValueError for what cannot be a root.
    """

    uid: int
    environment: EnvironmentId
    project: str
    seen: int
    digests: frozenset[Digest]

    def __post_init__(self) -> None:
        if not is_uid(self.uid):
            raise ValueError(f"{self.uid} is no uid of a user")
        if not is_environment_id(self.environment):
            raise ValueError(f"{self.environment[:80]!r} is no id of an environment")
        if not is_project_name(self.project):
            raise ValueError(f"{self.project[:80]!r} is no name of a project")
        if not _SEEN.fullmatch(str(self.seen)):
            raise ValueError(f"{self.seen} is no time")
        if len(self.digests) > MOST_ENTRIES:
            raise ValueError(f"a root keeps at most {MOST_ENTRIES} entries, not {len(self.digests)}")
        if any(parse_digest(digest) != digest for digest in self.digests):
            raise ValueError("a digest is not in lower case")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRoots:
    """All roots of a node store, by uid and environment. Nobody knows what the ``unreadable`` files keep."""

    roots: tuple[NodeRoot, ...] = ()
    unreadable: tuple[Path, ...] = ()


def is_uid(number: int) -> bool:
    """Whether a user can have this uid: that of everybody whom a user namespace does not know is nobody's."""
    return 0 <= number <= _MOST_UID and number != OVERFLOW_UID


def is_project_name(text: str) -> bool:
    """Whether a user may call a project this: at most 100 printable characters, and nothing that looks like a path."""
    return (
        0 < len(text) <= _LONGEST_NAME
        and text.isprintable()
        and text.strip() == text
        and "/" not in text
        and not text.startswith((".", "~"))
    )


def write_root(layout: StoreLayout, root: NodeRoot) -> None:
    """Write the root, in place of an earlier one. It is durable afterwards, and only the store's account may read it.

    Raises StoreError if the disk refuses.
    """
    with disk_errors(f"write a root of uid {root.uid}"):
        folder = layout.node_roots_of(root.uid)
        for each in (layout.roots, folder):
            _make_private_folder(each)
        path = layout.node_root(root.uid, root.environment)
        replace_file(path, encode_root(root), mode=PRIVATE, synced=True)


def renew_root(layout: StoreLayout, root: NodeRoot) -> bool:
    """Write the root unless there is one that keeps the same and was seen within a day. Returns whether it was written.

    Raises StoreError if the disk refuses.
    """
    with suppress(StoreFormatError):
        known = read_root(layout, root.uid, root.environment)
        if (
            known is not None
            and (known.project, known.digests) == (root.project, root.digests)
            and 0 <= root.seen - known.seen < RENEWED_AFTER
        ):
            return False
    write_root(layout, root)
    return True


def remove_root(layout: StoreLayout, uid: int, environment: EnvironmentId) -> bool:
    """Remove the root. Returns whether there was one. Raises StoreError if the disk refuses."""
    path = layout.node_root(uid, environment)
    with disk_errors(f"remove a root of uid {uid}"):
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        fsync_folder(path.parent)
        return True


def read_root(layout: StoreLayout, uid: int, environment: EnvironmentId) -> NodeRoot | None:
    """The root; None if there is none. Raises StoreFormatError if it cannot be one, StoreError if it cannot be read."""
    path = layout.node_root(uid, environment)
    with disk_errors(f"read a root of uid {uid}"):
        try:
            return decode_root(_read(path), uid, environment)
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise StoreFormatError(
                f"{path} is no root that this version of storectl can read: {error}",
                hint="delete it: the user's next warm writes it again",
                path=str(path),
            ) from error


def roots_of(layout: StoreLayout, uid: int) -> NodeRoots:
    """The roots of one user. Raises StoreError if they cannot be listed, or one of them cannot be read."""
    roots, unreadable = [], []
    with disk_errors(f"read the roots of uid {uid}"):
        for path in _files(layout.node_roots_of(uid)):
            root = None
            with suppress(StoreFormatError):
                root = read_root(layout, uid, path.name) if is_environment_id(path.name) else None
            if root is not None:
                roots.append(root)
            elif os.path.lexists(path):
                unreadable.append(path)
    return NodeRoots(roots=tuple(roots), unreadable=tuple(unreadable))


def read_roots(layout: StoreLayout) -> NodeRoots:
    """The roots of all users. A pin, which is a file in the same folder, is none.

    Raises StoreError if they cannot be listed, or one of them cannot be read: then nothing may be deleted.
    """
    roots: list[NodeRoot] = []
    unreadable: list[Path] = []
    with disk_errors(f"read the roots in {layout.roots}"):
        for folder in _folders(layout.roots):
            uid = _uid_of(folder.name)
            if uid is None:
                unreadable.append(folder)
                continue
            found = roots_of(layout, uid)
            roots += found.roots
            unreadable += found.unreadable
    return NodeRoots(roots=tuple(roots), unreadable=tuple(unreadable))


def encode_root(root: NodeRoot) -> bytes:
    """The bytes of the file."""
    lines = [_HEADER, f"project {root.project}", f"seen {root.seen}"]
    lines += [f"digest {digest}" for digest in sorted(root.digests)]
    return "\n".join([*lines, ""]).encode()


def decode_root(content: bytes, uid: int, environment: EnvironmentId) -> NodeRoot:
    """The root with these bytes. Raises ValueError if ``encode_root`` does not make them of any root."""
    header, *lines = content.decode().split("\n")
    if header != _HEADER:
        raise ValueError(f"it does not begin with {_HEADER!r}")
    if len(lines) < 3 or lines[-1]:  # project, seen, and nothing after the last newline
        raise ValueError("it ends too early")
    project, seen, *digests = lines[:-1]
    if not _SEEN.fullmatch(_value(seen, "seen")):
        raise ValueError("it does not say when it was seen")
    root = NodeRoot(
        uid=uid,
        environment=environment,
        project=_value(project, "project"),
        seen=int(_value(seen, "seen")),
        digests=frozenset(parse_digest(_value(line, "digest")) for line in digests),
    )
    if encode_root(root) != content:
        raise ValueError("its digests are not in order")
    return root


def is_expired(root: NodeRoot, now: float) -> bool:
    """Whether the root keeps nothing any more, at this time of the system clock."""
    return root.seen + KEPT_UNSEEN <= now


def _value(line: str, key: str) -> str:
    word, space, value = line.partition(" ")
    if word != key or not space:
        raise ValueError(f"{line[:80]!r} stands where {key!r} should")
    return value


def _read(path: Path) -> bytes:
    """The bytes of a regular file of no more than a root can have. Raises ValueError if it is none."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a FIFO does not make the reader wait
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if path.is_symlink():
            raise ValueError("it is a link") from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError("it is no file")
    with open(descriptor, "rb") as stream:
        content = stream.read(_LONGEST + 1)
    if len(content) > _LONGEST:
        raise ValueError(f"it has more than {_LONGEST} bytes")
    return content


def _make_private_folder(folder: Path) -> None:
    """Make the folder, durably, if it is missing, with mode 0700 whatever the umask."""
    try:
        folder.mkdir(_PRIVATE_FOLDER)
    except FileExistsError:
        return
    folder.chmod(_PRIVATE_FOLDER)
    fsync_folder(folder.parent)


def _files(folder: Path) -> list[Path]:
    """What is in the folder, in order, without files that are being written."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith(".tmp-"))
    except FileNotFoundError:
        return []


def _folders(folder: Path) -> Iterator[Path]:
    """The folders in this folder, in order; links are none."""
    with suppress(FileNotFoundError), os.scandir(folder) as found:
        yield from sorted(Path(each) for each in found if each.is_dir(follow_symlinks=False))


def _uid_of(name: str) -> int | None:
    """The uid that the name of a folder says; None if it is another name than a uid's."""
    return int(name) if _UID.fullmatch(name) and is_uid(int(name)) else None
