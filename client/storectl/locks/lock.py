"""`storectl lock`: which tool locks a project, and its command line. storectl itself never resolves anything.

The first of these that the folder has decides: a lock file, in the order in which one is chosen to run from (a
``requirements.txt`` only with a ``requirements.in``);
``Pipfile``; ``[tool.poetry]``, ``[tool.pdm]`` or ``[tool.uv]`` in ``pyproject.toml``; any other ``pyproject.toml``, for
which the first of uv and pip that is installed is taken; ``requirements.in``.
"""

import os
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from storectl.errors import ClientError, UsageError
from storectl.locks.script_block import has_block
from storectl_shim.project_record import lock_files_in

_COMPILE = ("uv", "pip", "compile", "--generate-hashes", "--universal", "requirements.in", "-o", "requirements.txt")
_COMMANDS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "uv.lock": (("uv", "lock"),),
    "poetry.lock": (("poetry", "lock"),),
    "pdm.lock": (("pdm", "lock"),),
    "Pipfile.lock": (("pipenv", "lock"),),
    "requirements.txt": (
        _COMPILE,
        ("pip-compile", "--generate-hashes", "requirements.in", "-o", "requirements.txt"),
    ),
}
"""By the lock file: the command lines that make it, the preferred one first."""

_PYLOCK: Mapping[str, tuple[str, ...]] = {
    "uv": ("uv", "export", "--quiet", "--format", "pylock.toml", "-o", "pylock.toml"),
    "pdm": ("pdm", "lock"),
    "pip": ("pip", "lock", "-e", "."),
    "pipenv": ("pipenv", "lock"),
    "poetry": ("poetry", "export", "--format", "pylock.toml", "--output", "pylock.toml"),
}
_OF_TOOL: Mapping[str, str] = {
    "uv": "uv.lock", "poetry": "poetry.lock", "pdm": "pdm.lock", "pipenv": "Pipfile.lock", "pip": "pylock.toml",
}  # fmt: skip


class NoLockerError(ClientError):
    """No tool is installed that could lock the project; ``facts['folder']``."""

    default_code = "E_NO_LOCKER"
    exit_code = 127


@dataclass(frozen=True, slots=True, kw_only=True)
class Locking:
    """A command line, the folder it runs in, and the reason for it: a sentence for the user.

    ``words`` is the command line with the tool's name in place of its path, and without what the user adds.
    """

    command: tuple[str, ...]
    folder: Path
    why: str
    words: tuple[str, ...]

    @property
    def compiles(self) -> bool:
        """Whether it makes a ``requirements.txt`` of a ``requirements.in``."""
        return "requirements.in" in self.words

    @property
    def shown(self) -> str:
        """The command line as a user would type it."""
        return as_typed(self.command)


def as_typed(command: Sequence[str]) -> str:
    """A command line as a user would type it: the program's name without its folder."""
    return " ".join([os.path.basename(command[0]), *command[1:]])


def locking_of(place: Path, *, tool: str | None, arguments: Sequence[str], environ: Mapping[str, str]) -> Locking:
    """How to lock the project in this folder, or this script; NoLockerError if no tool can."""
    if place.is_file():
        if not has_block(str(place)):
            raise UsageError(f"{place} has no script block (PEP 723)", hint="name the folder of its project")
        return script_locking(place, arguments, environ)
    if not place.is_dir():
        raise UsageError(
            f"{place} is no folder", hint="name the folder of a project, or a script with a block of its own"
        )
    candidates = list(_of_named_tool(tool, place)) if tool else list(_candidates(place))
    for command, why in candidates:
        program = find_program(command[0], environ)
        if program is not None:
            return Locking(command=(program, *command[1:], *arguments), folder=place, why=why, words=command)
    if not candidates:
        raise NoLockerError(
            f"there is nothing to lock in {place}",
            hint="it takes a pyproject.toml, a Pipfile or a requirements.in",
            folder=str(place),
        )
    wanted = " or ".join(dict.fromkeys(command[0] for command, _ in candidates))
    raise NoLockerError(
        f"{place} is locked by {wanted}, which is not installed",
        hint=f"install {wanted}, or name another tool with --with",
        folder=str(place),
    )


def script_locking(script: Path, arguments: Sequence[str], environ: Mapping[str, str]) -> Locking:
    """How to lock this script, which has a block of its own, or is to have one; NoLockerError without uv."""
    program = find_program("uv", environ)
    if program is None:
        raise NoLockerError(f"{script} is locked by uv, which is not installed", hint="install uv", folder=str(script))
    words = ("uv", "lock", "--script", str(script.resolve()))
    why = "a script with a block of its own"
    command = (program, *words[1:], *arguments)
    return Locking(command=command, folder=script.resolve().parent, why=why, words=words)


def keeping_versions(locking: Locking) -> tuple[str, ...]:
    """The command line that locks anew, but keeps versions that still fit. uv and Poetry do so anyway, Pipenv never."""
    return (*locking.command, "--update-reuse") if locking.words == ("pdm", "lock") else locking.command


def _of_named_tool(tool: str, folder: Path) -> Iterator[tuple[tuple[str, ...], str]]:
    if tool not in _OF_TOOL:
        raise UsageError(f"--with {tool}: no tool that is known here", hint=f"known are {', '.join(_OF_TOOL)}")
    if tool == "pip":
        yield _PYLOCK["pip"], "asked for"
    elif tool == "uv" and not (folder / "pyproject.toml").exists() and (folder / "requirements.in").exists():
        yield _COMPILE, "asked for"
    else:
        yield _COMMANDS[_OF_TOOL[tool]][0], "asked for"


def _candidates(folder: Path) -> Iterator[tuple[tuple[str, ...], str]]:
    """Command lines that could lock the folder, with reasons, the best first; all make the same kind of lock file."""
    names = [*lock_files_in(str(folder)), "requirements.txt"]
    for name in names:
        if name == "requirements.txt" and not ((folder / name).exists() and (folder / "requirements.in").exists()):
            continue
        if name == "pylock.toml":
            yield _PYLOCK[_maker_of(folder / name)], f"it made {name}"
        else:
            yield from ((command, f"there is a {name}") for command in _COMMANDS[name])
        return
    if (folder / "Pipfile").exists():
        yield _COMMANDS["Pipfile.lock"][0], "there is a Pipfile"
    elif (folder / "pyproject.toml").exists():
        yield from _of_project(folder / "pyproject.toml")
    elif (folder / "requirements.in").exists():
        yield from ((command, "there is a requirements.in") for command in _COMMANDS["requirements.txt"])


def _of_project(file: Path) -> Iterator[tuple[tuple[str, ...], str]]:
    tools, backend = _tables(file, "tool"), str(_tables(file, "build-system").get("build-backend", ""))
    for tool in ("poetry", "pdm", "uv"):
        if tool in tools or backend.startswith((f"{tool}.", f"{tool}_")):
            yield _COMMANDS[_OF_TOOL[tool]][0], f"pyproject.toml speaks of {tool}"
            return
    yield _COMMANDS["uv.lock"][0], "pyproject.toml names no tool"
    yield _PYLOCK["pip"], "pyproject.toml names no tool"


def _maker_of(pylock: Path) -> str:
    """The tool that a ``pylock.toml`` says it was made by; uv if it names none that is known here."""
    maker = str(_tables(pylock).get("created-by", "")).lower()
    word = re.match(r"[a-z]*", maker)
    return word[0] if word and word[0] in _PYLOCK else "uv"


def _tables(file: Path, key: str | None = None) -> dict[str, object]:
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} cannot be read: {error}", hint="correct it first") from error
    value = document.get(key, {}) if key else document
    return value if isinstance(value, dict) else {}


def find_program(program: str, environ: Mapping[str, str]) -> str | None:
    """The path of the program: on PATH, or beside storectl's own interpreter."""
    beside = os.path.dirname(sys.executable)
    return shutil.which(program, path=os.pathsep.join([environ.get("PATH", os.defpath), beside]))
