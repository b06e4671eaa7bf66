"""Tools: commands of packages that belong to no project, each with a lock file of its own that is kept.

    <state>/tools/<key>/tool    the name that the user asked for, shown in lists; the rest as in ``remembered``

The folder is a project like any other. Its record says that nothing has changed, so that a second run asks neither a
resolver nor the daemon. ``--refresh`` locks anew.
"""

from __future__ import annotations

import os

from storectl.errors import UsageError
from storectl.locks.remembered import (
    LETTERS_AND_DIGITS,
    NAME_LETTERS,
    Locking,
    has_its_python,
    lock_file_in,
    lock_once,
    remembered_folder,
)
from storectl.locks.requirement_words import absolute_requirements, check_requirements

TYPE_CHECKING = False  # typing and collections.abc take longer to import than all of a run
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from storectl.daemon.chosen_python import ChosenPython
    from storectl.locks.requirements import Wanted


class Tool:
    """A command and the requirements that bring it. Not to be changed; no dataclass, for the reason in ``options``.

    ``python`` is a version or a path, None for the first on PATH. ``constraints`` limit the versions of what other
    requirements bring, and bring nothing themselves.
    """

    __slots__ = ("command", "constraints", "python", "requirements")

    def __init__(
        self, *, command: str, requirements: tuple[str, ...], python: str | None, constraints: tuple[str, ...] = ()
    ) -> None:
        self.command = command
        self.requirements = requirements
        self.python = python
        self.constraints = constraints

    def folder(self, environ: Mapping[str, str]) -> str:
        """The folder that its lock file is in, or will be; there are no symbolic links in its path."""
        parts = [f"requirement {text}" for text in sorted(self.requirements)]
        parts += [f"constraint {text}" for text in sorted(self.constraints)]
        parts += [f"python {self.python}"] if self.python is not None else []
        return remembered_folder("tools", parts, environ)


def tool_of(text: str, *, source: str | None, more: Sequence[str], python: str | None) -> Tool:
    """The tool that ``black``, ``black@25.1.0`` or ``black[d]`` means; UsageError for anything else.

    ``source`` is the project that has the command, if it is not the one of that name.
    """
    head, at, version = text.partition("@")
    name, bracket, extras = head.partition("[")
    if not _is_name(name) or (bracket and extras.find("]") != len(extras) - 1) or (at and not _is_version(version)):
        raise UsageError(
            f"{text!r} is not the name of a tool", hint="for example black, black@25.1.0, or --from PROJECT COMMAND"
        )
    own = source or (f"{head}=={version}" if version not in ("", "latest") else head)
    return Tool(command=name, requirements=absolute_requirements([own, *more]), python=python)


def _is_name(text: str) -> bool:
    return bool(text) and {text[0], text[-1]} <= LETTERS_AND_DIGITS and NAME_LETTERS.issuperset(text)


def _is_version(text: str) -> bool:
    return bool(text) and "/" not in text and not any(map(str.isspace, text))


def lock_tool(tool: Tool, environ: Mapping[str, str], how: Locking, *, choose: Callable[[], ChosenPython]) -> str:
    """The folder with the tool's lock file, made now if it is not there; RequirementsError if that fails.

    ``choose`` finds the interpreter that the tool is locked for and then always runs under. If that interpreter is
    gone, or cannot be executed any more, the tool is locked anew.
    """
    described = ", ".join([*tool.requirements, *(f"with {line}" for line in tool.constraints)])

    def wanted() -> Wanted:
        from storectl.locks.requirements import Wanted  # noqa: PLC0415 - for the first run only

        check_requirements(tool.requirements)
        python = choose()
        return Wanted(
            requirements=tool.requirements,
            python=python,
            constraints=tool.constraints,
            notes={"tool": f"{tool.command} ({described})\n", **python.pin},
        )

    folder = tool.folder(environ)
    lock_once(folder, wanted, environ, how, what=tool.command)
    return folder


def known_tools(state: str) -> Iterator[tuple[str, str]]:
    """Every tool that was locked: the name that the user asked for, and its folder."""
    root = os.path.join(state, "tools")
    for name in sorted(os.listdir(root)) if os.path.isdir(root) else ():
        folder = os.path.join(root, name)
        if os.path.isfile(note := os.path.join(folder, "tool")) and lock_file_in(folder) and has_its_python(folder):
            with open(note, encoding="utf-8") as file:
                yield file.read().strip(), folder


def remove_tool(folder: str) -> None:
    """Remove a tool's lock file; its wheels stay in the store."""
    import shutil  # noqa: PLC0415 - a run has no use for it

    shutil.rmtree(folder)
