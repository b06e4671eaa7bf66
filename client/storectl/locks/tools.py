"""Tools: commands of packages that belong to no project, each with a lock file of its own that is kept.

    <state>/tools/<key>/tool    the name that the user asked for, shown in lists; the rest as in ``remembered``

The folder is a project like any other. Its record says that nothing has changed, so that a second run asks neither a
resolver nor the daemon. ``--refresh`` locks anew.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from storectl.daemon.chosen_python import ChosenPython
from storectl.errors import UsageError
from storectl.locks.remembered import Locking, has_its_python, lock_file_in, lock_once
from storectl.locks.requirement_words import absolute_requirements, check_requirements
from storectl.locks.requirements import Wanted

_REQUIREMENT = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)(?P<extras>\[[^\]]*\])?(?:@(?P<version>[^/\s]+))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A command and the requirements that bring it. ``python`` is a version or a path, None for the first on PATH.

    ``constraints`` limit the versions of what other requirements bring, and bring nothing themselves.
    """

    command: str
    requirements: tuple[str, ...]
    python: str | None
    constraints: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The name of its folder."""
        constraints = [sorted(self.constraints)] if self.constraints else []
        text = json.dumps([sorted(self.requirements), self.python, *constraints])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def tool_of(text: str, *, source: str | None, more: Sequence[str], python: str | None) -> Tool:
    """The tool that ``black``, ``black@25.1.0`` or ``black[d]`` means; UsageError for anything else.

    ``source`` is the project that has the command, if it is not the one of that name.
    """
    match = _REQUIREMENT.fullmatch(text)
    if match is None:
        raise UsageError(
            f"{text!r} is not the name of a tool", hint="for example black, black@25.1.0, or --from PROJECT COMMAND"
        )
    version = match["version"]
    own = source or f"{match['name']}{match['extras'] or ''}{f'=={version}' if version and version != 'latest' else ''}"
    return Tool(command=match["name"], requirements=absolute_requirements([own, *more]), python=python)


def tool_folder(state: str, tool: Tool) -> Path:
    """The folder that the tool's lock file is in, or will be."""
    return Path(state) / "tools" / tool.key


def lock_tool(
    state: str, tool: Tool, environ: Mapping[str, str], how: Locking, *, choose: Callable[[], ChosenPython]
) -> Path:
    """The folder with the tool's lock file, made now if it is not there; RequirementsError if that fails.

    ``choose`` finds the interpreter that the tool is locked for and then always runs under. If that interpreter is
    gone, or cannot be executed any more, the tool is locked anew.
    """
    described = ", ".join([*tool.requirements, *(f"with {line}" for line in tool.constraints)])

    def wanted() -> Wanted:
        check_requirements(tool.requirements)
        python = choose()
        return Wanted(
            requirements=tool.requirements,
            python=python,
            constraints=tool.constraints,
            notes={"tool": f"{tool.command} ({described})\n", **python.pin},
        )

    folder = tool_folder(state, tool)
    lock_once(str(folder), wanted, environ, how, what=tool.command)
    return folder


def known_tools(state: str) -> Iterator[tuple[str, Path]]:
    """Every tool that was locked: the name that the user asked for, and its folder."""
    root = Path(state) / "tools"
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        if _is_locked(folder):
            yield (folder / "tool").read_text(encoding="utf-8").strip(), folder


def remove_tool(folder: Path) -> None:
    """Remove a tool's lock file; its wheels stay in the store."""
    shutil.rmtree(folder)


def _is_locked(folder: Path) -> bool:
    return (folder / "tool").is_file() and lock_file_in(str(folder)) is not None and has_its_python(str(folder))
