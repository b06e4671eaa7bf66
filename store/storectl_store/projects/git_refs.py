"""What git says of a checkout, read from its files: its git folder, its commit, its tags.

<checkout>/.git           a folder; or a file ``gitdir: <folder>`` in a worktree or submodule
<git folder>/HEAD         ``ref: refs/heads/main``, or a commit
<git folder>/commondir    in a worktree: the folder that holds refs/ and packed-refs
<git folder>/index.lock   is there while git changes the checkout
"""

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

_SMALL_BYTES = 4096
_MOST_PACKED_BYTES = 64 << 20
_OBJECT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_REF = re.compile(r"ref: (refs/[^\0\n]+)\n?")


@dataclass(frozen=True, slots=True, kw_only=True)
class GitState:
    """``text`` changes with the commit or the tags, whichever were asked for.

    ``files`` and ``listed`` are the files and the folders that it was read from.
    """

    text: str = ""
    files: tuple[Path, ...] = ()
    listed: tuple[Path, ...] = ()


def git_folder(project: Path) -> Path | None:
    """The folder with this checkout's HEAD: ``.git``, or what the file ``.git`` of a worktree or submodule names.

    None if there is none, or if it may not be looked at.
    """
    folder = os.fspath(project)
    while True:
        git = os.path.join(folder, ".git")
        try:
            mode = os.stat(git).st_mode
        except (OSError, ValueError):
            mode = 0
        if stat.S_ISDIR(mode):
            return Path(git)
        if stat.S_ISREG(mode):
            return _named_git_folder(Path(git))
        parent = os.path.dirname(folder)
        if parent == folder:
            return None
        folder = parent


def _named_git_folder(file: Path) -> Path | None:
    word, _, target = _small_text(file).strip().partition("gitdir: ")
    folder = file.parent / target
    return folder if not word and target and os.path.isdir(folder) else None


def index_lock(project: Path) -> Path | None:
    """The file that exists while git changes the checkout around this folder; None outside of a checkout."""
    folder = git_folder(project)
    return None if folder is None else folder / "index.lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class GitHead:
    """What a checkout is at. ``branch`` is None if HEAD is at no branch, ``commit`` before the first commit.

    ``hidden``: git keeps its refs in another format, which only git reads (reftable); then both are None.
    """

    branch: str | None = None
    commit: str | None = None
    hidden: bool = False


def git_head(project: Path) -> GitHead | None:
    """What the checkout around this folder is at; None outside of a checkout."""
    folder = git_folder(project)
    if folder is None:
        return None
    head = _small_text(folder / "HEAD")
    found = _REF.fullmatch(head)
    if found is None:
        return GitHead(commit=_object_name(head))
    if found[1] == "refs/heads/.invalid":
        return GitHead(hidden=True)
    common = folder / (_small_text(folder / "commondir").strip() or ".")
    value = _small_text(common / found[1]) or _packed(common / "packed-refs").get(found[1], "")
    return GitHead(branch=found[1].removeprefix("refs/heads/"), commit=_object_name(value))


def _object_name(text: str) -> str | None:
    """The object name that a ref has; None if it has none."""
    return text.strip() if _OBJECT.fullmatch(text.strip()) else None


def git_state(project: Path, *, commit: bool, tags: bool) -> GitState:
    """The state of the checkout around this folder; empty outside of a checkout."""
    folder = git_folder(project) if commit or tags else None
    if folder is None:
        return GitState()
    common = folder / (_small_text(folder / "commondir").strip() or ".")
    packed, tables = common / "packed-refs", common / "reftable" / "tables.list"
    files: list[Path] = [packed]
    listed: list[Path] = []
    parts: list[str] = []
    if tables.exists():  # refs in git's newer format: any change of one is a change
        files, parts = [tables], [_small_text(tables)]
    if commit:
        head = _small_text(folder / "HEAD")
        files.append(folder / "HEAD")
        if found := _REF.fullmatch(head):
            files.append(common / found[1])
            head = _small_text(common / found[1]) or _packed(packed).get(found[1], "")
        parts.append(f"commit {head.strip()}")
    if tags:
        named, listed = _loose_tags(common / "refs" / "tags")
        files += [common / name for name in named]
        known = {name: value for name, value in _packed(packed).items() if name.startswith("refs/tags/")}
        known |= {name: _small_text(common / name).strip() for name in named}
        parts += [f"tag {name} {value}" for name, value in sorted(known.items())]
    return GitState(text="\n".join(parts), files=tuple(files), listed=tuple(listed))


def _loose_tags(folder: Path) -> tuple[list[str], list[Path]]:
    """The names of tags that have a file of their own (``refs/tags/…``), and the folders that were searched."""
    names, folders = [], [folder]
    for parent, inner, files in os.walk(folder):
        folders += [Path(parent, name) for name in inner]
        names += [f"refs/tags/{Path(parent, name).relative_to(folder).as_posix()}" for name in files]
    return names, folders


def _packed(file: Path) -> dict[str, str]:
    """Object names by ref, from the lines ``<object> <ref>`` of ``packed-refs``.

    Empty if it is too large or cannot be read.
    """
    try:
        if file.stat().st_size > _MOST_PACKED_BYTES:
            return {}
        lines = file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return {}
    pairs = (line.partition(" ") for line in lines if line[:1] not in ("#", "^"))
    return {name: value for value, _, name in pairs}


def _small_text(file: Path) -> str:
    """The first 4096 characters of a file as text; empty if it cannot be read."""
    try:
        with open(file, encoding="utf-8", errors="surrogateescape") as stream:
            return stream.read(_SMALL_BYTES)
    except (OSError, ValueError):
        return ""
