"""Calls of git that only read, in a repository that may have been made to do harm.

What was fetched is a stranger's, and so may be the repository's own configuration. So git is called with variables of
its own, and only with commands that run nothing that a configuration names:

    git for-each-ref      the branches, what they follow, and the commit of each
    git rev-list          of some commits the newest
    git cat-file --batch  commits, folders and files, by their object names

Nothing of it connects to anything. In a partial clone git would fetch a missing object by itself, from whatever remote
and by whatever program the configuration names; no protocol is allowed here, so git gives up instead.
``safe.directory`` counts as for the user: git refuses another user's repository.
"""

import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from storectl_daemon.projects.git_folder import HARMLESS, HARMLESS_VARIABLES, as_options

DEADLINE_SECONDS = 10.0
"""How long one call may take, whatever the repository is like."""

_LARGEST_ANSWER = 16 << 20
_LARGEST_COMMIT = 1 << 20
_LONGEST_HEADER = 200
_OBJECT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_TREE = re.compile(rb"tree ([0-9a-f]+)\n")
_COMMITTER = re.compile(rb"^committer .*> (\d{1,15}) [+-]\d{4}$", re.MULTILINE)
_CONFIGURED = {**HARMLESS, "core.pager": "cat", "safe.bareRepository": "explicit"}
_SAFE = {**HARMLESS_VARIABLES, "GIT_NO_REPLACE_OBJECTS": "1", "GIT_PROTOCOL_FROM_USER": "0", "LC_ALL": "C"}
_OF_THE_USER = ("HOME", "PATH", "XDG_CONFIG_HOME")

ObjectType = Literal["commit", "tree", "blob"]


class GitError(Exception):
    """Git does not give what was asked for. There is nothing to mend: it is told in the log, and nowhere else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """A commit: the object name of its folder, and its time in seconds."""

    tree: str
    at: int


def is_object_name(text: str) -> bool:
    """Whether this is a full object name, of SHA-1 or SHA-256."""
    return _OBJECT.fullmatch(text) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Git:
    """Git in the checkout around ``folder``. ``program`` is an absolute path."""

    program: str
    folder: Path
    environ: Mapping[str, str]

    @classmethod
    def around(cls, folder: Path, environ: Mapping[str, str]) -> "Git | None":
        """Git as the user of these variables has it; None if there is none on PATH."""
        places = [place for place in environ.get("PATH", "").split(os.pathsep) if os.path.isabs(place)]
        program = shutil.which("git", path=os.pathsep.join(places))
        own = {name: environ[name] for name in _OF_THE_USER if name in environ}
        return cls(program=program, folder=folder, environ=own | _SAFE) if program else None

    def references(self, *below: str, fields: Sequence[str]) -> list[list[str]]:
        """These fields of every ref below these prefixes, such as ``refs/heads``. Raises GitError."""
        form = "%00".join(f"%({field})" for field in fields)
        answer = self._answer("for-each-ref", f"--format={form}", *below)
        return [line.split("\0") for line in answer.decode("utf-8", "surrogateescape").splitlines()]

    def newest(self, commits: Sequence[str], *, since: int, most: int) -> list[str]:
        """At most so many of these commits, those not older than ``since`` (seconds), the newest first.

        What is no commit, or not there, is left out. Raises GitError.
        """
        names = "".join(f"{commit}\n" for commit in commits if is_object_name(commit))
        if not names:
            return []
        options = ("--no-walk=sorted", "--ignore-missing", f"--max-age={since}", f"--max-count={most}", "--stdin")
        answer = self._answer("rev-list", *options, given=names.encode())
        return [line for line in answer.decode("ascii", "replace").splitlines() if is_object_name(line)]

    @contextmanager
    def objects(self) -> Iterator["Objects"]:
        """The objects of the repository, until the block ends."""
        with self._started("cat-file", "--batch") as process:
            yield Objects(process)

    def _answer(self, *arguments: str, given: bytes = b"") -> bytes:
        with self._started(*arguments) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            threading.Thread(target=_write_all, args=(process.stdin, given), daemon=True).start()
            answer = process.stdout.read(_LARGEST_ANSWER + 1)
            if len(answer) > _LARGEST_ANSWER:
                raise GitError(f"git {arguments[0]} says more than {_LARGEST_ANSWER} bytes")
            if process.wait() != 0:
                raise GitError(f"git {arguments[0]} failed with exit code {process.returncode}")
            return answer

    @contextmanager
    def _started(self, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
        """Git, which is ended with the block, or when its time is over."""
        command = [self.program, "--no-pager", *as_options(_CONFIGURED), "-C", os.fspath(self.folder), *arguments]
        try:
            process = subprocess.Popen(
                command, env=dict(self.environ), cwd="/", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        except (OSError, ValueError) as error:
            raise GitError(f"git cannot be run: {error}") from error
        clock = threading.Timer(DEADLINE_SECONDS, _end, [process])
        clock.daemon = True
        clock.start()
        try:
            yield process
        except OSError as error:
            raise GitError(f"git {arguments[0]} ended: {error.strerror}") from error
        finally:
            clock.cancel()
            _end(process)
            for pipe in (process.stdin, process.stdout):
                with suppress(OSError):
                    assert pipe is not None
                    pipe.close()
            process.wait()


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End git with all that it has started."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _write_all(stream: IO[bytes], content: bytes) -> None:
    with suppress(OSError, ValueError):
        stream.write(content)
        stream.close()


class Objects:
    """The objects of one repository, read by one process. For one thread."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._questions, self._answers = process.stdin, process.stdout

    def commit(self, name: str) -> Commit:
        """The commit with this object name. Raises GitError if there is none, or if git ends."""
        content = self.read(name, "commit", most=_LARGEST_COMMIT)
        head = content.partition(b"\n\n")[0]
        tree, committer = _TREE.match(head), _COMMITTER.search(head)
        if tree is None or committer is None:
            raise GitError(f"{name} is a commit that cannot be read")
        return Commit(tree=tree[1].decode(), at=int(committer[1]))

    def read(self, name: str, kind: ObjectType, *, most: int) -> bytes:
        """The content of an object.

        Raises GitError if it is not there, of another type or larger than ``most`` bytes. Nothing can be read after
        that: the rest of what git says is of no interest.
        """
        if not is_object_name(name):
            raise GitError(f"{name[:80]!r} is no object name")
        self._questions.write(f"{name}\n".encode())
        self._questions.flush()
        header = self._answers.readline(_LONGEST_HEADER)
        words = header.decode("ascii", "replace").split()
        if len(words) != 3 or words[0] != name or not words[2].isdigit():
            raise GitError(f"{name} is not there" if words else f"git ended over {name}")
        if words[1] != kind or int(words[2]) > most:
            raise GitError(f"{name} is a {words[1]} of {words[2]} bytes, not a {kind} of at most {most}")
        content = self._answers.read(int(words[2]) + 1)
        if len(content) != int(words[2]) + 1:
            raise GitError(f"git ended within {name}")
        return content[:-1]
