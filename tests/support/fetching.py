"""A repository that others push to, a clone of it with a project, and a daemon that sees what ``git fetch`` brings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from storectl_store.entries.layout import StoreLayout
from storectl_store.projects.prefetched import Prefetched, read_prefetched
from support.daemon import Daemon, until
from support.index import LoopbackIndex
from support.project import git, write_project
from support.wheels import WheelBytes

Files = Mapping[str, str | bytes]


class Upstream:
    """The repository that others push to. Each branch begins at ``main``."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        git(folder, "init", "-q", *options)

    def commit(self, files: Files = {}, message: str = "change") -> str:  # noqa: B006 - it is only read
        """A commit of these files beside what is there; its object name."""
        for name, content in files.items():
            file = self.folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.unlink(missing_ok=True)
            file.write_bytes(content.encode() if isinstance(content, str) else content)
        git(self.folder, "add", "-A")
        git(self.folder, "commit", "-qm", message)
        return git(self.folder, "rev-parse", "HEAD").strip()

    def branch(self, name: str, files: Files = {}) -> str:  # noqa: B006 - it is only read
        """A new branch with a commit of these files; ``main`` is checked out again."""
        git(self.folder, "checkout", "-qb", name, "main")
        found = self.commit(files)
        git(self.folder, "checkout", "-q", "main")
        return found

    def project_branch(
        self, name: str, index: LoopbackIndex, wheels: Sequence[WheelBytes], kind: str = "uv.lock"
    ) -> str:
        """A new branch whose lock file locks these wheels."""
        git(self.folder, "checkout", "-qb", name, "main")
        write_project(self.folder, index, wheels, kind)
        found = self.commit()
        git(self.folder, "checkout", "-q", "main")
        return found


class Clone:
    """A clone whose project the daemon watches."""

    def __init__(self, daemon: Daemon, upstream: Upstream, folder: Path, *options: str) -> None:
        self.daemon, self.upstream, self.folder = daemon, upstream, folder
        git(upstream.folder, "clone", "-q", *options, upstream.folder.as_uri(), str(folder))

    @property
    def prefetched(self) -> tuple[Prefetched, ...]:
        return read_prefetched(StoreLayout(self.daemon.store), self.folder)

    def watched(self) -> dict[str, Any]:
        """The environment of the project, which is watched now."""
        environment = self.daemon.ready(self.folder)
        until(lambda: bool(self.daemon.state(self.folder)["watched"]))
        return environment

    def fetch(self, *arguments: str) -> None:
        git(self.folder, "fetch", "-q", *arguments)

    def made_ready(self, commit: str) -> Prefetched:
        """What was made ready of this commit, once it is."""
        until(lambda: any(made.commit == commit for made in self.prefetched), told=lambda: self.daemon.log)
        return next(made for made in self.prefetched if made.commit == commit)

    def switched(self, branch: str) -> dict[str, Any]:
        """The environment after ``git switch``."""
        git(self.folder, "checkout", "-q", branch)
        return self.daemon.ready(self.folder)
