"""Checkouts: a revision of a repository is cloned once, and activated with its own lock file.

    <state>/checkouts/<name>-<32 hex>/     one commit; the digits are of the sha256 of address and commit
    <state>/checkouts/revisions/<32 hex>   the last commit of a branch or tag, for ``offline``

A checkout is never there in part: it is cloned beside its place, and then renamed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from storectl_shim.activation import accompany, activate, path_lines, view_of
from storectl_shim.activation_errors import ActivationError
from storectl_shim.locations import state_folder

TYPE_CHECKING = False  # importing typing takes longer than all of this
if TYPE_CHECKING:
    from collections.abc import Iterable

    from storectl_shim.environment import Environment

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def from_git(
    url: str,
    rev: str,
    *,
    extras: Iterable[str] = (),
    groups: Iterable[str] = (),
    default_groups: bool = True,
    subdirectory: str | None = None,
    on_conflict: str = "error",
    offline: bool = False,
) -> Environment:
    """Activate a project at a revision of a git repository. Its own code is importable too; it must have a lock file.

    ``rev`` is a commit, tag or branch; ``subdirectory`` is the project's folder in the repository. A commit that was
    cloned before needs no network. ActivationError E_GIT if git cannot get it; all else is as for ``activate``.
    """
    checkout = check_out(url, rev, offline=offline)
    project = os.path.realpath(os.path.join(checkout, subdirectory or ""))
    if not (project + os.sep).startswith(checkout + os.sep) or not os.path.isdir(project):
        raise ActivationError(
            f"{_shown(url)} at {rev} has no folder {subdirectory}", code="E_GIT", hint="check `subdirectory`"
        )
    made = activate(
        project=project,
        extras=extras,
        groups=groups,
        default_groups=default_groups,
        on_conflict=on_conflict,
        offline=offline,
    )
    view = view_of(made)
    accompany(view, None if _is_in_environment(view, project) else project)
    return made


def check_out(url: str, rev: str, *, offline: bool) -> str:
    """The folder of this commit, cloned if it is not there yet; absolute, without symbolic links."""
    for text in (url, rev):
        if not text or text.startswith("-"):
            raise ActivationError(
                f"{text!r} is no address or revision", code="E_GIT", hint="a branch, a tag or a commit"
            )
    folder = os.path.join(os.path.realpath(state_folder(os.environ)), "checkouts")
    known = rev if _COMMIT.fullmatch(rev) else _remembered(folder, url, rev) if offline else None
    if known is not None and os.path.isdir(place := _place(folder, url, known)):
        return place
    if offline:
        raise ActivationError(
            f"{_shown(url)} at {rev} is not checked out", code="E_OFFLINE", hint="once without `offline`"
        )
    os.makedirs(os.path.join(folder, "revisions"), mode=0o700, exist_ok=True)
    temporary = tempfile.mkdtemp(dir=folder, prefix=".")
    try:
        return _clone(url, rev, folder, os.path.join(temporary, "clone"))
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _clone(url: str, rev: str, folder: str, clone: str) -> str:
    _git("clone", "--quiet", "--no-checkout", "--", url, clone, subject=f"{_shown(url)} cannot be cloned", url=url)
    commit = _commit_of(rev, clone, url)
    place = _place(folder, url, commit)
    if not os.path.isdir(place):
        subject = f"{_shown(url)} at {rev} cannot be checked out"
        _git("-C", clone, "checkout", "--quiet", "--detach", commit, subject=subject, url=url)
        _git("-C", clone, "submodule", "--quiet", "update", "--init", "--recursive", subject=subject, url=url)
        try:
            os.rename(clone, place)
        except OSError:
            if not os.path.isdir(place):  # else another process was quicker, and its clone is the same
                raise
    with open(_revision_file(folder, url, rev), "w", encoding="ascii") as file:
        file.write(commit)
    return place


def _commit_of(rev: str, clone: str, url: str) -> str:
    """The commit that a revision means. A remote branch comes before a local name that is the same."""
    for name in (f"refs/remotes/origin/{rev}", f"refs/tags/{rev}", rev):
        done = _run("-C", clone, "rev-parse", "--quiet", "--verify", "--end-of-options", f"{name}^{{commit}}")
        if done.returncode == 0:
            return done.stdout.split()[-1]
    raise ActivationError(
        f"{_shown(url)} has no revision {rev}", code="E_GIT", hint="give a branch, a tag or a commit of it", rev=rev
    )


def _git(*arguments: str, subject: str, url: str) -> None:
    done = _run(*arguments)
    if done.returncode != 0:
        lines = [line for line in done.stderr.replace(url, _shown(url)).splitlines() if line.strip()]
        said = lines[-1].strip() if lines else f"exit code {done.returncode}"
        raise ActivationError(
            f"{subject}: {said}", code="E_GIT", hint="check the address, and that git can read it without asking"
        )


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if name not in ("GIT_DIR", "GIT_WORK_TREE")}
    environ.update(GIT_TERMINAL_PROMPT="0", LC_ALL="C")
    try:
        return subprocess.run(
            ["git", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            env=environ,
            check=False,
        )
    except FileNotFoundError:
        raise ActivationError("there is no git on PATH", code="E_GIT", hint="install git") from None


def _is_in_environment(view: str, project: str) -> bool:
    """Whether the environment has the project: a ``.pth`` file leads into it, or metadata say it comes from there."""
    if any((line + os.sep).startswith(project + os.sep) for line in path_lines(view)):
        return True
    return any(_direct_url(os.path.join(view, name)) == Path(project).as_uri() for name in os.listdir(view))


def _direct_url(dist_info: str) -> str | None:
    """Where a distribution was installed from (PEP 610); None if it came from an index."""
    try:
        with open(os.path.join(dist_info, "direct_url.json"), encoding="utf-8") as file:
            return str(json.load(file)["url"]).rstrip("/")
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _place(folder: str, url: str, commit: str) -> str:
    name = re.sub(r"[^A-Za-z0-9_.-]", "", url.rstrip("/").rpartition("/")[2]).lstrip(".") or "repository"
    return os.path.join(folder, f"{name.split('.git')[0][:60]}-{_key(url, commit)}")


def _remembered(folder: str, url: str, rev: str) -> str | None:
    try:
        with open(_revision_file(folder, url, rev), encoding="ascii") as file:
            return file.read()
    except (OSError, UnicodeDecodeError):
        return None


def _revision_file(folder: str, url: str, rev: str) -> str:
    return os.path.join(folder, "revisions", _key(url, rev))


def _key(url: str, rev: str) -> str:
    return hashlib.sha256(f"{url}\0{rev}".encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _shown(url: str) -> str:
    """The address without its login."""
    return re.sub(r"(://)[^/@]*@", r"\1", url)
