"""Checking out a commit with the ``git`` program: the user's own configuration, keys and credential helpers count.

What was fetched is kept in a bare repository, so that another commit costs little, and a commit that was fetched before
costs nothing. git never asks the user anything here, runs no hooks of the repository, and uses no transport that runs a
command from the address.
"""

import contextlib
import fcntl
import hashlib
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from storectl_daemon.building.failure import BuildFailedError
from storectl_daemon.building.git_login import login_variables
from storectl_daemon.building.log import Log
from storectl_daemon.building.mirror_sums import is_damaged, lock_file, write_sums
from storectl_daemon.building.request import Repository
from storectl_store.selection.origins import without_login

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_SAFE = ("-c", "protocol.ext.allow=never", "-c", "core.hooksPath=/dev/null", "-c", "advice.detachedHead=false")


class Checkout:
    """A commit to check out, by the ``git`` on the command's PATH, with the command's variables."""

    def __init__(self, repository: Repository, *, environ: Mapping[str, str], log: Log) -> None:
        self._repository = repository
        self._address = without_login(repository.url)
        self._mirror = Path(repository.mirror)
        self._environ = _quiet(environ) | login_variables(repository.url, environ)
        self._log = log

    def into(self, folder: Path) -> Path:
        """The commit's files in the new folder, with its submodules. Raises BuildFailedError if it cannot be had."""
        repository = self._repository
        if not _COMMIT.fullmatch(repository.commit) or repository.url.startswith("-"):
            raise BuildFailedError(
                f"{repository.commit[:80]!r} is not a commit", hint="lock again: a lock file names whole commits"
            )
        self._mirror.parent.mkdir(parents=True, exist_ok=True)
        skip = {} if repository.lfs else {"GIT_LFS_SKIP_SMUDGE": "1"}
        with _locked(self._mirror):
            if is_damaged(self._mirror):
                shutil.rmtree(self._mirror)
            self._bring()
            self._git("-C", self._mirror, "worktree", "prune")
            add = ("worktree", "add", "--quiet", "--force", "--detach")
            self._git("-C", self._mirror, *add, folder, repository.commit, **skip)
            write_sums(self._mirror)
        if (folder / ".gitmodules").exists():
            self._git("-C", folder, "submodule", "--quiet", "update", "--init", "--recursive", **skip)
        return folder

    def _bring(self) -> None:
        """Fetch the commit into the mirror, with all tags: backends make versions of them.

        Contents of files are fetched when they are needed.
        """
        mirror, commit = self._mirror, self._repository.commit
        if self._address != self._repository.url:  # earlier versions kept a clone with the login in its configuration
            earlier = hashlib.sha256(self._repository.url.encode()).hexdigest()[:32]
            shutil.rmtree(mirror.with_name(earlier), ignore_errors=True)
        if not mirror.exists():
            stage = mirror.with_name(f"{mirror.name}.new")
            shutil.rmtree(stage, ignore_errors=True)
            self._git("clone", "--quiet", "--bare", "--filter=blob:none", "--", self._address, stage)
            stage.rename(mirror)
        if not self._has_commit():
            fetch = ("fetch", "--quiet", "--force", "--tags", "origin")
            self._git("-C", mirror, *fetch, "+refs/heads/*:refs/heads/*")
        if not self._has_commit():
            # The commit is on no branch, like one of a pull request.
            with contextlib.suppress(BuildFailedError):
                self._git("-C", mirror, "fetch", "--quiet", "origin", commit)
        if not self._has_commit():
            raise BuildFailedError(
                f"{self._address} has no commit {commit}",
                hint="lock again: the commit may have been removed by a forced push",
            )

    def _has_commit(self) -> bool:
        done = subprocess.run(
            ["git", "-C", str(self._mirror), "cat-file", "-e", f"{self._repository.commit}^{{commit}}"],
            env=self._environ, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            check=False,
        )  # fmt: skip
        return done.returncode == 0

    def _git(self, *arguments: str | Path, **variables: str) -> None:
        command = ["git", *_SAFE, *map(str, arguments)]
        try:
            done = subprocess.run(
                command, env=self._environ | variables, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8",
                errors="replace", check=False,
            )  # fmt: skip
        except FileNotFoundError:
            raise BuildFailedError(
                "there is no `git` on PATH", hint="install git: the lock file names a commit"
            ) from None
        self._log.say(" ".join(command), done.stdout, done.stderr)
        if done.returncode:
            raise BuildFailedError(
                f"git says: {self._log.clean(_reason(done.stderr))[:300]}",
                hint="try the same with `git fetch`: storectl uses git as you do, "
                "but nobody can be asked for a password",
            )


def _reason(stderr: str) -> str:
    """The line of git's output that says most. If ssh failed, that is ssh's own line before git's."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    at = next((at for at, line in enumerate(lines) if line.startswith(("fatal:", "error:", "ERROR:"))), len(lines) - 1)
    if at > 0 and lines[at].endswith("Could not read from remote repository."):
        return f"{lines[at - 1]} {lines[at]}"
    return lines[at] if lines else ""


def _quiet(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables for a git that never asks the user anything, and writes English."""
    return (
        dict(environ)
        | {"GIT_TERMINAL_PROMPT": "0", "GCM_INTERACTIVE": "never", "LC_ALL": "C"}
        | ({} if "GIT_SSH_COMMAND" in environ else {"GIT_SSH_COMMAND": "ssh -o BatchMode=yes"})
    )


@contextlib.contextmanager
def _locked(mirror: Path) -> Iterator[None]:
    """Hold the lock of a repository, so that one process at a time works on it."""
    with lock_file(mirror).open("w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
