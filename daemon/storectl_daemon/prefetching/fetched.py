"""What a repository has that may be made ready: asked of git, and chosen by ``refs``. Blocking."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from storectl_daemon.prefetching.git_calls import Git, GitError
from storectl_daemon.prefetching.refs import (
    MOST_REFS,
    OLDEST_SECONDS,
    REF_FIELDS,
    REF_PREFIXES,
    Candidate,
    candidates,
    fetched_of,
    in_order,
    refs_of,
)
from storectl_daemon.prefetching.settings import Branches
from storectl_store.projects.git_refs import git_folder

_MOST_DATED = 64
_LARGEST_FETCH_HEAD = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """The commits to make ready, in order. ``top`` is the folder of the checkout."""

    git: Git
    top: Path
    commits: Sequence[Candidate]


def fetched_around(project: Path, environ: Mapping[str, str], wanted: Branches) -> Fetched:
    """What the repository around this project has.

    Raises GitError if git does not say: there may be no repository, or no git.
    """
    top, git = top_of_checkout(project), Git.around(project, environ)
    if top is None or git is None:
        raise GitError("there is no git repository, or no git")
    refs = refs_of(git.references(*REF_PREFIXES, fields=REF_FIELDS))
    found = candidates(refs, fetched_of(_fetch_head(project)), wanted)
    newest = git.newest([each.commit for each in found], since=int(time.time()) - OLDEST_SECONDS, most=_MOST_DATED)
    return Fetched(git=git, top=top, commits=in_order(found, newest)[:MOST_REFS])


def top_of_checkout(project: Path) -> Path | None:
    """The folder of the checkout that this folder is in, as git finds it; None outside of a checkout."""
    return next((folder for folder in (project, *project.parents) if _is_top(folder / ".git")), None)


def _is_top(git: Path) -> bool:
    """Whether git takes this for the ``.git`` of a checkout: a file, or a folder that is a repository."""
    return git.is_file() or all((git / name).exists() for name in ("HEAD", "objects", "refs"))


def _fetch_head(project: Path) -> str:
    folder = git_folder(project)
    try:
        with open((folder or project) / "FETCH_HEAD", encoding="utf-8", errors="surrogateescape") as stream:
            return stream.read(_LARGEST_FETCH_HEAD)
    except OSError:
        return ""
