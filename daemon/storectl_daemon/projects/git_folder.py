"""The git folder of a project: what is checked out.

Files are read, and no process is started, except if refs are kept in tables (git's newer format): then ``git`` is
asked. It asks nobody, calls no host and runs nothing of the repository.
"""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from storectl_store.projects.git_refs import Head, branch_name, common_folder, git_folder, read_head, table_list

_PATIENCE_S = 5.0
HARMLESS: Mapping[str, str] = {
    "protocol.allow": "never",
    "core.fsmonitor": "",
    "core.hooksPath": os.devnull,
}
"""Settings under which git runs nothing of a repository, and calls no host."""

HARMLESS_VARIABLES: Mapping[str, str] = {
    "GIT_ALLOW_PROTOCOL": "none",  # unlike protocol.allow it overrides what a repository allows for a single protocol
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
}
"""The same, said by variables: they win over whatever the repository's own settings say."""


def head_of(project: Path, *, environ: Mapping[str, str] = MappingProxyType({})) -> Head:
    """What is checked out around this folder. Empty outside of a checkout, and if nothing can be read.

    ``environ`` are the variables of a command: its PATH leads to ``git``, its HOME to the user's configuration.
    May block.
    """
    git = git_folder(project)
    if git is None:
        return Head()
    return read_head(git) if table_list(common_folder(git)) is None else _asked(project, environ)


def _asked(project: Path, environ: Mapping[str, str]) -> Head:
    """What ``git`` says of this checkout. Before the first commit there is a branch only."""
    both = ask_git(project, ("rev-parse", "HEAD", "--symbolic-full-name", "HEAD"), environ)
    commit, _, ref = (both or "").partition("\n")
    if not commit:
        ref = ask_git(project, ("symbolic-ref", "--quiet", "HEAD"), environ) or ""
    return Head(branch=branch_name(ref), commit=commit or None)


def as_options(settings: Mapping[str, str]) -> list[str]:
    """The settings as options of git, for one call."""
    return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]


def ask_git(folder: Path, arguments: tuple[str, ...], environ: Mapping[str, str]) -> str | None:
    """What ``git`` prints of the checkout around this folder, without the last line's end.

    None if it fails, if there is no ``git``, or if the user's ``safe.directory`` does not trust the checkout.
    """
    answer = git_answer(folder, arguments, environ)
    return None if answer is None else answer.decode(errors="surrogateescape").rstrip("\n")


def git_answer(folder: Path, arguments: tuple[str, ...], environ: Mapping[str, str]) -> bytes | None:
    """The same as it is, byte for byte."""
    kept = {name: value for name, value in environ.items() if not name.startswith("GIT_")} | dict(HARMLESS_VARIABLES)
    command = ["git", *as_options(HARMLESS), "-C", str(folder), *arguments]
    try:
        done = subprocess.run(
            command, env=kept, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            timeout=_PATIENCE_S, check=False, cwd="/",
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
