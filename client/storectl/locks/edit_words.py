"""What `storectl add`, `remove` and `upgrade` are called by the tool that locks the project, without its sync.

Options have uv's names and meaning. Whatever else is given is the tool's own, and is passed on as it is. No tool writes
a ``requirements.in``: that is edited here, and compiled by the tool.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from storectl.errors import UsageError
from storectl.locks.lock import Locking, NoLockerError
from storectl.locks.locked_versions import Versions, normalised

Verb = Literal["add", "remove", "upgrade"]
Words = tuple[str, ...]


_UNSYNCED = frozenset({"--no-sync", "--frozen", "--dry-run", "--frozen-lockfile", "--no-lock"})
"""Options of the tools with which there is no new environment to make."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """An edit. ``arguments`` are requirements or names, and options of the tool, in the given order.

    ``directory`` is where the tool runs, ``project`` the folder that it is told to take for the project's. The other
    fields are options of ``uv add``; ``files`` are requirements files, ``script`` is one with a block of its own.
    ``frozen`` is UV_FROZEN.
    """

    verb: Verb
    directory: str
    project: str | None = None
    arguments: Words = ()
    dev: bool = False
    group: str | None = None
    optional: str | None = None
    extras: Words = ()
    editable: bool = False
    files: Words = ()
    script: str | None = None
    frozen: bool = False

    @property
    def is_unsynced(self) -> bool:
        """Whether the tool has been told already to make no environment."""
        return self.frozen or not _UNSYNCED.isdisjoint(self.arguments)

    @property
    def start(self) -> str:
        """The absolute folder where the search for the project starts."""
        return os.path.abspath(os.path.join(self.directory, self.project or ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """The command lines to run, one after the other, in which folder, and the contents of files to write before.

    ``why`` is a sentence about the choice of the tool.
    """

    commands: tuple[Words, ...]
    folder: Path
    why: str = ""
    files: Mapping[Path, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tool:
    """A tool's own words; an option that it has not is None. ``each`` stands before each name to upgrade."""

    add: Words
    remove: Words
    upgrade: Words
    upgrade_all: Words
    each: Words = ()
    dev: Words = ("--dev",)
    group: Words = ("--group",)
    optional: Words | None = None
    extra: Words | None = None
    file: Words | None = None


_TOOLS: Mapping[str, _Tool] = {
    "uv": _Tool(
        add=("add", "--no-sync"),
        remove=("remove", "--no-sync"),
        upgrade=("lock",),
        upgrade_all=("lock", "--upgrade"),
        each=("--upgrade-package",),
        optional=("--optional",),
        extra=("--extra",),
        file=("-r",),
    ),
    "poetry": _Tool(
        add=("add", "--lock"),
        remove=("remove", "--lock"),
        upgrade=("update", "--lock"),
        upgrade_all=("update", "--lock"),
        dev=("--group", "dev"),
        optional=("--optional",),
        extra=("--extras",),
    ),
    "pdm": _Tool(
        add=("add", "--no-sync"),
        remove=("remove", "--no-sync"),
        upgrade=("update", "--no-sync"),
        upgrade_all=("update", "--no-sync"),
        group=("--dev", "--group"),
        optional=("--group",),
    ),
    "pipenv": _Tool(
        add=("upgrade",),
        remove=("uninstall",),
        upgrade=("upgrade",),
        upgrade_all=("lock",),
        group=("--categories",),
        file=("-r",),
    ),
}

_ALONE = frozenset(
    {"--offline", "--quiet", "-q", "--verbose", "-v", "--pre", "--no-cache", "-n", "--dry-run", "--no-progress"}
)
"""Options without a value that may stand before a name. After any other the next argument is taken for its value."""


def edit_of(asked: Asked, locking: Locking, locked: Versions) -> Edit:
    """How the tool that would lock the project does the edit. UsageError or NoLockerError if it cannot.

    ``locked`` are the versions in the lock file.
    """
    name = locking.words[0]
    if asked.verb == "upgrade" and (missing := {*map(normalised, split(asked.arguments)[0])} - locked.keys()):
        raise UsageError(f"not locked: {', '.join(sorted(missing))}", hint="storectl add adds it to the project")
    if locking.compiles:
        return _compiled(asked, locking)
    if name not in _TOOLS:
        return _locked_again(asked, locking)
    command = (locking.command[0], *_placed(asked, name, list(_words(asked, _TOOLS[name], name))))
    commands = (command, locking.command) if "export" in locking.words else (command,)
    is_told = name != "pipenv" or asked.project is None
    return Edit(commands=commands, folder=Path(asked.directory if is_told else asked.start), why=locking.why)


def edit_of_requirements(asked: Asked, source: Path) -> Edit:
    """The edit of a plain ``requirements.txt``, which is locked anew then. UsageError for options: no tool has them."""
    names, options = split(asked.arguments)
    if options or (asked.verb == "upgrade" and names):
        raise UsageError(
            f"{source} is locked as a whole, without options ({(options or names)[0]})",
            hint="storectl upgrade alone locks the newest versions",
        )
    files = {} if asked.verb == "upgrade" else {source: _edited(asked, source, names)}
    return Edit(commands=(), folder=source.parent, files=files)


def _placed(asked: Asked, name: str, words: list[str]) -> list[str]:
    """The words with the script or the project that they are about."""
    if asked.script is not None:
        return [words[0], "--script", asked.script, *(word for word in words[1:] if word != "--no-sync")]
    if asked.project is not None and name != "pipenv":
        return [words[0], "--project", asked.project, *words[1:]]
    return words


def _words(asked: Asked, tool: _Tool, name: str) -> Iterator[str]:
    if asked.verb == "upgrade":
        names, options = split(asked.arguments)
        yield from tool.upgrade if names else tool.upgrade_all
        yield from (word for each in names for word in (*tool.each, each))
        yield from options
        return
    own = tool.add if asked.verb == "add" else tool.remove
    # uv takes neither two of --no-sync nor one beside --frozen.
    yield from own[:1] if name == "uv" and asked.is_unsynced else own
    yield from tool.dev if asked.dev else ()
    yield from _with_value(name, "--group", tool.group, asked.group)
    yield from _with_value(name, "--optional", tool.optional, asked.optional)
    for extra in asked.extras:
        yield from _with_value(name, "--extra", tool.extra, extra)
    for file in asked.files:
        yield from (*tool.file, file) if tool.file else requirements_in(Path(file))
    yield from ("--editable",) if asked.editable else ()
    yield from asked.arguments


def _with_value(program: str, option: str, words: Words | None, value: str | None) -> Words:
    if value is None:
        return ()
    if words is None:
        raise UsageError(f"{program} has nothing like {option} {value}", hint=f"see {program} --help")
    return (*words, value)


def split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The names or requirements among the arguments, and the options with their values."""
    names: list[str] = []
    options: list[str] = []
    is_value = False
    for argument in arguments:
        if argument.startswith("-"):
            options.append(argument)
            is_value = "=" not in argument and argument not in _ALONE
        else:
            (options if is_value else names).append(argument)
            is_value = False
    return names, options


def _locked_again(asked: Asked, locking: Locking) -> Edit:
    """With pip, which only locks: everything can be upgraded, and nothing else done."""
    names, options = split(asked.arguments)
    if asked.verb != "upgrade" or names:
        raise NoLockerError(
            f"{locking.words[0]} locks {locking.folder}, and edits no project",
            hint="change pyproject.toml, then run storectl lock; or install uv",
            folder=str(locking.folder),
        )
    return Edit(commands=((*locking.command, *options),), folder=locking.folder, why=locking.why)


def _compiled(asked: Asked, locking: Locking) -> Edit:
    """With pip-compile or uv: from a ``requirements.in``."""
    names, options = split(asked.arguments)
    source = locking.folder / "requirements.in"
    if asked.verb == "upgrade":
        upgraded = [word for name in names for word in ("--upgrade-package", name)] or ["--upgrade"]
        command = (*locking.command, "--quiet", *upgraded, *options)
        return Edit(commands=(command,), folder=locking.folder, why=locking.why)
    files = {source: _edited(asked, source, names)}
    command = (*locking.command, "--quiet", *options)
    return Edit(commands=(command,), folder=locking.folder, why=locking.why, files=files)


def _edited(asked: Asked, source: Path, names: Sequence[str]) -> str:
    """The text of the requirements file after the edit."""
    if asked.dev or asked.group or asked.optional:
        raise UsageError(f"{source} has no groups and no extras", hint="name the requirements alone")
    wanted = [*(line for file in asked.files for line in requirements_in(Path(file))), *names]
    marked = [f"-e {text}" if asked.editable else text for text in wanted]
    text = source.read_text(encoding="utf-8")
    return _with(text, marked) if asked.verb == "add" else _without(text, marked, source.name)


def requirements_in(file: Path) -> list[str]:
    """The requirements of a plain requirements file, one by one. UsageError for one that has options."""
    try:
        lines = _logical_lines(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} cannot be read: {error}", hint="name a requirements file") from error
    plain = [line.partition(" #")[0].strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if options := [line for line in plain if line.startswith("-") or "--hash" in line]:
        raise UsageError(f"{file} has options ({options[0][:60]})", hint="name its requirements one by one")
    return plain


def _logical_lines(text: str) -> list[str]:
    return re.split(r"(?<!\\)\n", text)


def _name_of(line: str) -> str:
    match = re.match(r"\s*(?:-e\s+)?([A-Za-z0-9][\w.-]*)\s*(?:\[|[<>=!~;@]|#|$)", line)
    return normalised(match[1]) if match else line.strip()


def _with(text: str, requirements: Sequence[str]) -> str:
    """The file with these requirements: each in place of the one of its name, or else at the end."""
    lines = _logical_lines(text.rstrip("\n")) if text.strip() else []
    for requirement in requirements:
        same = [number for number, line in enumerate(lines) if _name_of(line) == _name_of(requirement)]
        if same:
            lines[same[0]] = requirement
        else:
            lines.append(requirement)
    return "\n".join([*lines, ""])


def _without(text: str, names: Sequence[str], file: str) -> str:
    lines = _logical_lines(text)
    gone = {_name_of(name) for name in names}
    if missing := gone - {_name_of(line) for line in lines}:
        raise UsageError(
            f"{file} has no {', '.join(sorted(missing))}",
            hint="it has what is asked for, nothing else",
        )
    return "\n".join(line for line in lines if _name_of(line) not in gone)
