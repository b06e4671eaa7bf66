"""The groups a project has without asking, for those who ask for one group more."""

import tomllib
from collections.abc import Iterable

from storectl_daemon.options import Options
from storectl_store.selection.lock_file import LockFile
from storectl_store.selection.project_file import project_file_of
from storectl_store.selection.target import Interpreter, Target


def target_of(options: Options, interpreter: Interpreter, lock_file: LockFile) -> Target:
    """The options on one interpreter. The groups of a target replace the default ones; those of options add to them."""
    groups = options.groups or frozenset()
    if not options.default_groups:
        return Target(interpreter=interpreter, extras=options.extras, groups=groups)
    if groups:
        return Target(interpreter=interpreter, extras=options.extras, groups=groups.union(default_groups(lock_file)))
    return Target(interpreter=interpreter, extras=options.extras)


def default_groups(lock_file: LockFile) -> Iterable[str]:
    """The default groups, where uv (``[tool.uv] default-groups``, else ``dev``) and PEP 751 say what they are."""
    if lock_file.kind == "pylock":
        return _pylock_groups(lock_file.content)
    if lock_file.kind != "uv":
        return ()
    project = project_file_of(lock_file)
    if project.default_groups == "all":
        return project.groups
    return project.groups & {"dev"} if project.default_groups is None else project.default_groups


def _pylock_groups(content: bytes) -> list[str]:
    """Nothing for a broken file: selecting from it says what is wrong, and where."""
    try:
        groups = tomllib.loads(content.decode()).get("default-groups", [])
    except (ValueError, RecursionError):
        return []
    return [group for group in groups if isinstance(group, str)] if isinstance(groups, list) else []
