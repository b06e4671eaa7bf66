"""What git says of a checkout, read from its files: its git folder, its branch, its commit, its tags.

<checkout>/.git                         a folder; or a file ``gitdir: <folder>`` in a worktree or submodule
<git folder>/HEAD                       ``ref: refs/heads/main``, or a commit
<git folder>/commondir                  in a worktree: the folder that holds refs/ and packed-refs
<git folder>/index.lock                 is there while git changes the checkout
<common folder>/worktrees/<name>/       the git folder of a worktree; its file ``gitdir`` has the path of the worktree's
                                        ``.git``, its file ``locked`` says ``initializing`` until it is checked out
<common folder>/reftable/tables.list    the list of tables, if refs are kept in git's newer format
"""

import os
import re
import stat
import time
from dataclasses import dataclass
from pathlib import Path

_SMALL_BYTES = 4096
_MOST_PACKED_BYTES = 64 << 20
_REF = re.compile(r"ref: (refs/[^\0\n]+)\n?")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_YOUNG_S = 2.0
_MOST_STEPS = 5
"""How many refs may name one another; git follows as many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GitState:
    """``text`` changes with the commit or the tags, whichever were asked for.

    ``files`` and ``listed`` are the files and the folders that it was read from.
    """

    text: str = ""
    files: tuple[Path, ...] = ()
    listed: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What is checked out. ``branch`` is without ``refs/heads/``, and None if HEAD is no branch's.

    ``commit`` is None if there is none yet, or if nothing can be read.
    """

    branch: str | None = None
    commit: str | None = None


def checkout_folder(project: Path) -> Path | None:
    """The folder at or above this one that has a ``.git``; None if there is none, or if it may not be looked at."""
    found = _dot_git(project)
    return None if found is None else found[0].parent


def git_folder(project: Path) -> Path | None:
    """The folder with this checkout's HEAD: ``.git``, or what the file ``.git`` of a worktree or submodule names.

    None if there is none, or if it may not be looked at.
    """
    found = _dot_git(project)
    if found is None:
        return None
    git, is_folder = found
    return git if is_folder else _named_git_folder(git)


def _dot_git(project: Path) -> tuple[Path, bool] | None:
    """The ``.git`` of the checkout around this folder, and whether it is a folder."""
    folder = os.fspath(project)
    while True:
        git = os.path.join(folder, ".git")
        try:
            mode = os.stat(git).st_mode
        except (OSError, ValueError):
            mode = 0
        if stat.S_ISDIR(mode) or stat.S_ISREG(mode):
            return Path(git), stat.S_ISDIR(mode)
        parent = os.path.dirname(folder)
        if parent == folder:
            return None
        folder = parent


def _named_git_folder(file: Path) -> Path | None:
    word, _, target = _small_text(file).strip().partition("gitdir: ")
    folder = os.path.realpath(file.parent / target) if not word and target and "\0" not in target else ""
    return Path(folder) if folder and os.path.isdir(folder) else None


def index_lock(project: Path) -> Path | None:
    """The file that exists while git changes the checkout around this folder; None outside of a checkout."""
    folder = git_folder(project)
    return None if folder is None else folder / "index.lock"


def common_folder(git: Path) -> Path:
    """The folder that a git folder shares with the worktrees of its repository: that of refs, objects and packs."""
    named = "" if git.name == ".git" else _small_text(git / "commondir").strip()
    return Path(os.path.realpath(git / named)) if named else git


def worktrees_folder(common: Path) -> Path:
    """The folder with the git folders of all worktrees; it exists once there is a worktree."""
    return common / "worktrees"


def worktree_of(git: Path) -> Path | None:
    """The checkout of which this is the git folder, if it is that of a worktree; None if git does not say."""
    dot_git = _small_text(git / "gitdir").strip()
    return Path(os.path.realpath(git / dot_git)).parent if dot_git else None


def is_being_added(git: Path) -> bool:
    """Whether ``git worktree add`` has not yet checked out the worktree with this git folder."""
    if _small_text(git / "locked").strip() == "initializing" or (git / "index.lock").exists():
        return True
    return not (git / "commondir").exists() or (not (git / "index").exists() and _is_young(git / "gitdir"))


def _is_young(file: Path) -> bool:
    """Whether the file was written within two seconds: a worktree without an index may get one, or never."""
    try:
        return time.time() - os.stat(file).st_mtime < _YOUNG_S
    except OSError:
        return False


def table_list(common: Path) -> Path | None:
    """The file that changes with every ref, if refs are kept in tables (git's newer format); otherwise None."""
    tables = common / "reftable" / "tables.list"
    return tables if tables.exists() else None


def read_head(git: Path) -> Head:
    """What the files of a git folder say is checked out. Says nothing if refs are kept in tables."""
    common = common_folder(git)
    ref = _head_ref(git)
    if ref is None:
        return Head(commit=_commit_in(_small_text(git / "HEAD")))
    for _ in range(_MOST_STEPS):
        content = _small_text(common / ref)
        named = _REF.fullmatch(content)
        if named is None:
            commit = _commit_in(content or _packed(common / "packed-refs").get(ref, ""))
            return Head(branch=branch_name(ref), commit=commit)
        ref = named[1]
    return Head()


def branch_name(ref: str) -> str | None:
    """The name of the branch that this full ref is; None if it is no branch."""
    return ref.removeprefix("refs/heads/") if ref.startswith("refs/heads/") else None


def _head_ref(git: Path) -> str | None:
    """The ref that HEAD names; None if it names a commit, or if refs are kept in tables."""
    file = git / "HEAD"
    if os.path.islink(file):  # as git did long ago
        target = os.readlink(file)
        return target if target.startswith("refs/") else None
    found = _REF.fullmatch(_small_text(file))
    return found[1] if found and found[1] != "refs/heads/.invalid" else None


def _commit_in(text: str) -> str | None:
    return text.strip() if _COMMIT.fullmatch(text.strip()) else None


def git_state(project: Path, *, commit: bool, tags: bool) -> GitState:
    """The state of the checkout around this folder; empty outside of a checkout."""
    folder = git_folder(project) if commit or tags else None
    if folder is None:
        return GitState()
    common = common_folder(folder)
    packed, tables = common / "packed-refs", table_list(common)
    files: list[Path] = [packed]
    listed: list[Path] = []
    parts: list[str] = []
    if tables is not None:  # any change of a ref is a change
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
