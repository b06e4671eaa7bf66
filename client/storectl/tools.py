"""Tools: commands of packages that belong to no project, each with a remembered lock file of its own.

    <state>/tools/<key>/pyproject.toml    what was asked for
    <state>/tools/<key>/uv.lock           what uv made of it, or pylock.toml by pip
    <state>/tools/<key>/tool              the name it was asked for by, for lists

The folder is a project like any other: its record says that nothing has changed, so a second run asks neither a resolver
nor the daemon. ``--refresh`` locks anew.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from storectl.errors import ClientError, UsageError
from storectl.locking import find_program

_REQUIREMENT = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)(?P<extras>\[[^\]]*\])?(?:@(?P<version>[^/\s]+))?"
)
_VERSION = re.compile(r"\d+\.\d+")
_CONSTRAINTS = "constraints.txt"


class ToolError(ClientError):
    """A tool cannot be locked; ``facts['requirements']``."""

    default_code = "E_TOOL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A command and the requirements that bring it. ``python`` is a version such as 3.12, None for storectl's own.

    ``constraints`` are requirements that hold where something else brings the project.
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

    @property
    def requires_python(self) -> str:
        """One feature version, so that what is locked is what that Python can run."""
        return f"=={self.python or '{}.{}'.format(*sys.version_info)}.*"


def tool_of(text: str, *, source: str | None, more: Sequence[str], python: str | None) -> Tool:
    """``black``, ``black@25.1.0``, ``black[d]``, or another project's command with ``source``; UsageError for others."""
    match = _REQUIREMENT.fullmatch(text)
    if match is None:
        raise UsageError(
            f"{text!r} is not the name of a tool", hint="for example black, black@25.1.0, or --from PROJECT COMMAND"
        )
    if python is not None and not _VERSION.fullmatch(python):
        raise UsageError(f"--python {python}: a tool takes a version such as 3.12")
    version = match["version"]
    own = source or f"{match['name']}{match['extras'] or ''}{f'=={version}' if version and version != 'latest' else ''}"
    return Tool(command=match["name"], requirements=(own, *more), python=python)


def tool_folder(state: str, tool: Tool) -> Path:
    """Where the tool's lock file is, or will be."""
    return Path(state) / "tools" / tool.key


def lock_tool(state: str, tool: Tool, environ: Mapping[str, str], *, refresh: bool = False) -> Path:
    """The folder with the tool's lock file, made now where it is not there; ToolError where that fails."""
    folder = tool_folder(state, tool)
    if _is_locked(folder) and not refresh:
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-") as stage:
        _write_project(Path(stage), tool)
        _run_locker(Path(stage), tool, environ)
        _put(Path(stage), folder)
    return folder


def known_tools(state: str) -> Iterator[tuple[str, Path]]:
    """Every tool that was locked, by the name it was asked for, with its folder."""
    root = Path(state) / "tools"
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        if _is_locked(folder):
            yield (folder / "tool").read_text(encoding="utf-8").strip(), folder


def remove_tool(folder: Path) -> None:
    """Forget a tool; its entries stay in the store."""
    shutil.rmtree(folder)


def _is_locked(folder: Path) -> bool:
    return (folder / "tool").is_file() and any((folder / name).is_file() for name in ("uv.lock", "pylock.toml"))


def _write_project(folder: Path, tool: Tool) -> None:
    dependencies = json.dumps(list(tool.requirements))
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "tool"\nversion = "0"\nrequires-python = "{tool.requires_python}"\n'
        f"dependencies = {dependencies}\n[tool.uv]\npackage = false\n"
        f"constraint-dependencies = {json.dumps(list(tool.constraints))}\n",
        encoding="utf-8",
    )
    (folder / _CONSTRAINTS).write_text("".join(f"{line}\n" for line in tool.constraints), encoding="utf-8")
    described = ", ".join([*tool.requirements, *(f"with {line}" for line in tool.constraints)])
    (folder / "tool").write_text(f"{tool.command} ({described})\n", encoding="utf-8")


def _run_locker(folder: Path, tool: Tool, environ: Mapping[str, str]) -> None:
    """Uv where it is there, else pip; both say what they do on stderr, where a person can see it."""
    uv, pip = find_program("uv", environ), find_program("pip", environ)
    if uv is not None:
        command = [uv, "lock", "--quiet"]
    elif pip is not None:
        command = [pip, "lock", "--quiet", *tool.requirements, "-c", _CONSTRAINTS, "-o", "pylock.toml"]
    else:
        raise ToolError("neither uv nor pip is there to lock a tool", hint="install uv", requirements=tool.requirements)
    own = {name: value for name, value in environ.items() if name not in ("VIRTUAL_ENV", "UV_PROJECT")}
    done = subprocess.run(command, cwd=folder, env=own, stdout=sys.stderr, check=False)
    if done.returncode:
        raise ToolError(
            f"{os.path.basename(command[0])} cannot lock {', '.join(tool.requirements)}",
            hint="what it says is above",
            requirements=tool.requirements,
        )


def _put(stage: Path, folder: Path) -> None:
    """Move the files one by one over what is there: the lock file last, as it is what is looked for."""
    folder.mkdir(exist_ok=True)
    for name in ("pyproject.toml", "pylock.toml", "uv.lock", "tool"):
        if (stage / name).exists():
            (stage / name).replace(folder / name)
