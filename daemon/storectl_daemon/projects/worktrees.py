"""The worktrees of the repositories in which projects are: which came, which went.

A worktree has a git folder of its own, ``worktrees/<name>`` in the folder that all of a repository share. It comes with
``git worktree add`` and goes with ``git worktree remove``; ``git worktree move`` makes it name another folder.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from storectl_daemon.jobs.options import DEFAULT_OPTIONS, Options, moved_options
from storectl_daemon.process.lifecycle import Background
from storectl_daemon.projects.book import Project
from storectl_store.projects.git_refs import (
    checkout_folder,
    common_folder,
    git_folder,
    is_being_added,
    worktree_of,
    worktrees_folder,
)

_JUST_NOW_S = 60.0
"""A worktree is new if it is not older than this when its repository is first looked at."""

_LOOK_S = 0.01
_LONGEST_CHECKOUT_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """The repository around a project. ``git`` is the git folder of its checkout, ``common`` is shared by all."""

    git: Path
    common: Path
    worktrees: Path
    """The folder in which worktrees come and go; it may not exist."""

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folders whose notifications concern the project. ``worktrees`` is watched only while it exists."""
        return self.git, self.common, self.worktrees


def repository_of(project: Path) -> Repository | None:
    """The repository around a project; None if there is none."""
    git = git_folder(project)
    if git is None:
        return None
    common = common_folder(git)
    return Repository(git=git, common=common, worktrees=worktrees_folder(common))


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """``added`` are the git folders of new or moved worktrees, ``removed`` the projects in worktrees that are gone."""

    added: tuple[Path, ...] = ()
    removed: tuple[Path, ...] = ()


@dataclass(slots=True)
class Worktrees:
    """What was seen at the last look. ``changes`` may block; call it from one thread at a time."""

    _folders: dict[Path, Mapping[Path, Path | None]] = field(default_factory=dict)
    """By common folder: the git folder of each worktree, and the worktree that it names."""
    _projects: dict[Path, Path] = field(default_factory=dict)
    """Projects in worktrees, with the git folder of each."""

    def changes(self, projects: Iterable[Path]) -> Changes:
        """What has changed, in the repositories of these registered projects, since they were last looked at.

        At the first look at a repository, worktrees that were made a while ago are nothing new.
        """
        commons = self._looked_at(projects)
        removed = tuple(
            project
            for project, git in self._projects.items()
            if git.parent.parent in commons and _is_gone(project, git)
        )
        for project in removed:
            del self._projects[project]
        added = tuple(git for common in commons for git in self._added(common))
        return Changes(added=added, removed=removed)

    def _looked_at(self, projects: Iterable[Path]) -> set[Path]:
        """The common folders of the repositories of these projects. A project whose worktree is gone still has one."""
        commons = set()
        for project in projects:
            repository = repository_of(project)
            if repository is not None:
                commons.add(repository.common)
                if repository.git.parent == repository.worktrees:
                    self._projects[project] = repository.git
            if project in self._projects:
                commons.add(self._projects[project].parent.parent)
        return commons

    def _added(self, common: Path) -> list[Path]:
        before, now = self._folders.pop(common, None), _named_worktrees(common)
        if now is None:
            return []
        self._folders[common] = now
        if before is None:
            return [git for git in now if _is_new(git)]
        return [git for git, folder in now.items() if git not in before or before[git] != folder]


def _named_worktrees(common: Path) -> Mapping[Path, Path | None] | None:
    """The git folder of each worktree, and the worktree that it names; None if the repository cannot be read."""
    folder = worktrees_folder(common)
    try:
        found = [Path(child.path) for child in os.scandir(folder)]
    except OSError:
        return {} if _is_missing(folder) and _is_there(common) else None
    return {git: worktree_of(git) for git in found}


def _is_gone(project: Path, git: Path) -> bool:
    """Whether git has removed, or moved, the worktree in which the project was.

    On doubt it has not. The repository may be on a disk that is not mounted, and its worktrees with it.
    """
    common = git.parent.parent
    if not _is_missing(project) or not _is_there(common):
        return False
    named = worktree_of(git)
    moved = named is not None and not project.is_relative_to(named)
    return (moved or _is_missing(git)) and _is_missing(project) and _is_there(common)


def _is_there(common: Path) -> bool:
    """Whether the repository with this common folder is there, and that is sure."""
    try:
        os.stat(common / "HEAD")
    except OSError:
        return False
    return True


def _is_missing(path: Path) -> bool:
    """Whether there is nothing at this path, and that is sure."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _is_new(git: Path) -> bool:
    try:
        return time.time() - os.stat(git / "gitdir").st_mtime < _JUST_NOW_S
    except OSError:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """A folder in a new worktree, and the registered project that is in the same place of another checkout.

    ``options`` are those with which the project is used, as they are in the new worktree.
    """

    folder: Path
    project: Project
    options: Options


def neighbours(git: Path, projects: Iterable[Project]) -> list[Neighbour] | None:
    """What there is to register in the worktree with this git folder. None if it is not checked out yet. May block.

    If projects are in the same place of several checkouts, the one that was warmed last counts.
    """
    worktree = worktree_of(git)
    if worktree is None or is_being_added(git):
        return None if git.is_dir() else []
    if git_folder(worktree) != git:  # what names a folder must be named by it
        return []
    common = common_folder(git)
    found = {}
    for project in sorted(projects, key=_last_warm):
        repository = repository_of(project.path)
        if repository is not None and repository.common == common and repository.git != git:
            neighbour = _neighbour(project, worktree)
            found[neighbour.folder] = neighbour
    return list(found.values())


def _neighbour(project: Project, worktree: Path) -> Neighbour:
    checkout = checkout_folder(project.path) or project.path
    options = project.main.options if project.main else DEFAULT_OPTIONS
    return Neighbour(
        folder=worktree / project.path.relative_to(checkout),
        project=project,
        options=moved_options(options, checkout, worktree),
    )


def _last_warm(project: Project) -> float:
    return max((recorded.last_used for recorded in project.environments), default=0.0)


class FollowedWorktrees:
    """Registers what is in new worktrees, and forgets what was in removed ones. Call it on the event loop."""

    def __init__(
        self,
        *,
        projects: Iterable[Project],
        register: Callable[[Neighbour], Awaitable[None]],
        forget: Callable[[Path], Coroutine[Any, Any, None]],
    ) -> None:
        self._projects = projects
        self._register = register
        self._forget = forget
        self._coming: set[Path] = set()
        self._tasks = Background()

    def follow(self, changes: Changes) -> None:
        """Begin to do what the changes ask for."""
        for git in changes.added:
            if git not in self._coming:
                self._coming.add(git)
                self._tasks.start(f"following the worktree {git.name}", self._follow(git))
        for project in changes.removed:
            self._tasks.start(f"forgetting {project}", self._forget(project))

    async def stop(self) -> None:
        """Cancel what is under way."""
        await self._tasks.stop()

    async def _follow(self, git: Path) -> None:
        try:
            for neighbour in await self._checked_out(git):
                await self._register(neighbour)
        finally:
            self._coming.discard(git)

    async def _checked_out(self, git: Path) -> list[Neighbour]:
        """What there is to register, once the worktree is checked out."""
        loop = asyncio.get_running_loop()
        end = loop.time() + _LONGEST_CHECKOUT_S
        while (found := await asyncio.to_thread(neighbours, git, list(self._projects))) is None:
            if loop.time() > end:
                return []
            await asyncio.sleep(_LOOK_S)
        return found
