"""Requirements files: the files that one is made of, and where storectl remembers the lock of one without hashes.

    <state>/requirements/<key of the path>/<key of the contents>/pylock.toml

A requirements.txt without hashes is no lock file. The first `storectl run` has uv or pip lock it; from then on its
folder is a project with that lock file, as long as the contents are these. Other contents have another lock; so the
earlier one is there again when a branch brings them back.
"""

from __future__ import annotations

import os

from storectl_shim.locations import NoHomeError, state_folder

TYPE_CHECKING = False  # importing typing takes longer than all of this
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

NAME = "requirements.txt"

_INCLUDES = ("--requirement", "-r", "--constraint", "-c")
_EDITABLE = ("--editable", "-e")
_PROJECT_FILES = ("pyproject.toml", "setup.py", "setup.cfg")
_MOST_FILES = 200


def contents_of(path: str) -> dict[str, bytes]:
    """By absolute path: a requirements file, all that it includes, and the files of projects in folders that it names.

    The file itself comes first. What is not there, or cannot be read, is empty.
    """
    found: dict[str, bytes] = {}
    waiting = [path]
    while waiting and len(found) < _MOST_FILES:
        each = waiting.pop()
        if each not in found:
            found[each] = content_of(each)
            waiting += _named_in(each, found[each], os.path.dirname(path))
    return found


def projects_in(path: str) -> list[str]:
    """The files of the projects in folders that a requirements file names, itself or in what it includes."""
    return [each for each in contents_of(path) if os.path.basename(each) in _PROJECT_FILES]


def content_of(path: str) -> bytes:
    """The bytes of a file; none if it cannot be read."""
    try:
        if not os.path.isfile(path):
            return b""  # To open a FIFO would block.
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def has_hashes(path: str) -> bool:
    """Whether a requirements file, or one that it includes, has hashes: then it is a lock file."""
    return any(b"--hash" in content for content in contents_of(path).values())


def key_of_contents(path: str) -> str:
    """The name of all that a requirements file says now; and the Python that is pinned beside it."""
    pin = os.path.join(os.path.dirname(path), ".python-version")
    return _key([*contents_of(path).items(), (pin, content_of(pin))])


def remembered_requirements(path: str, environ: Mapping[str, str]) -> str:
    """The folder for the lock of this requirements file, as it is now. NoHomeError if nothing says where."""
    state = os.path.realpath(state_folder(environ))
    return os.path.join(state, "requirements", _key([(path, b"")]), key_of_contents(path))


def remembered_lock(folder: str, environ: Mapping[str, str]) -> str | None:
    """The lock file that storectl has made of the folder's requirements.txt, as that is now; None if it has not."""
    path = os.path.join(folder, NAME)
    if not os.path.isfile(path) or has_hashes(path):
        return None
    try:
        lock_file = os.path.join(remembered_requirements(path, environ), "pylock.toml")
    except NoHomeError:
        return None
    return lock_file if os.path.isfile(lock_file) else None


def _named_in(file: str, content: bytes, folder: str) -> Iterator[str]:
    """The files that the lines of a requirements file name. Projects are relative to ``folder``, as for pip there."""
    if os.path.basename(file) in _PROJECT_FILES:
        return
    for line in content.splitlines():
        text = os.fsdecode(line.strip().partition(b" #")[0]).strip()
        option = next((each for each in (*_INCLUDES, *_EDITABLE) if text.startswith(each)), "")
        named = text[len(option) :].strip(" \t=")
        if "://" in named or not (option or named.startswith((".", "/"))):
            continue
        if option in _INCLUDES:
            yield os.path.normpath(os.path.join(os.path.dirname(file), named))
        else:
            project = os.path.join(folder, named.partition("[")[0])
            yield from (os.path.normpath(os.path.join(project, name)) for name in _PROJECT_FILES)


def _key(contents: Iterable[tuple[str, bytes]]) -> str:
    import hashlib  # 3 ms that few projects pay

    digests = (os.fsencode(path) + b"\0" + hashlib.sha256(content).digest() for path, content in contents)
    return hashlib.sha256(b"\0".join(digests)).hexdigest()[:16]
