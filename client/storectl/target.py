"""What NAME means in `storectl run NAME`: a script, a command of the environment, or one on PATH."""

from __future__ import annotations

import os
import stat

from storectl.errors import TargetNotExecutableError, TargetNotFoundError, UsageError

TYPE_CHECKING = False  # typing and collections.abc take longer to import than all of `run`
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SCRIPT_SUFFIXES = (".py", ".pyw", ".pyz")

_RUN_PYTHON = (b"python", b"pypy", b"uv run", b"storectl")
"""What the first line of an executable Python script names."""


def names_script(name: str) -> bool:
    """Whether the name is a script's: a path with a slash, or a file here with a suffix of scripts.

    A name with such a suffix, but no file here, may be a command of the environment: ``rst2html.py``.
    """
    return ("/" in name and not is_program(name)) or (name.endswith(SCRIPT_SUFFIXES) and os.path.exists(name))


def is_program(name: str) -> bool:
    """Whether the name is the path of an executable that is no Python script: it is executed, as by uv."""
    if "/" not in name or name.endswith(SCRIPT_SUFFIXES) or not (os.path.isfile(name) and os.access(name, os.X_OK)):
        return False
    try:
        with open(name, "rb") as file:
            head = file.read(256)
    except OSError:
        return True
    if head.startswith(b"#!"):
        return not any(word in head.partition(b"\n")[0] for word in _RUN_PYTHON)
    return b"\0" in head and not head.startswith(b"PK")


def script_folder(name: str) -> str:
    """The folder where the search for a script's project starts: that of the file it links to, or a folder itself."""
    real = os.path.realpath(name)
    return real if os.path.isdir(real) else os.path.dirname(real)


def check_script(name: str) -> None:
    """TargetNotFoundError if there is no such script; its hint lists files with similar names."""
    if os.path.exists(name):
        return
    hint = _near_script(name) or "the path is relative to the current folder"
    if "://" in name:
        hint = f"a script is not fetched: download it first, for example with curl -O {name}"
    raise TargetNotFoundError(f"no such script: {name}", hint=hint)


def command_line(
    name: str,
    arguments: tuple[str, ...],
    interpreter_options: tuple[str, ...],
    interpreter: str,
    environ: Mapping[str, str],
    *,
    script: bool = False,
) -> list[str]:
    """The program's whole command line, its executable first. The environment is the one of this interpreter.

    If ``script`` is true or ``names_script`` says so, the name is a script's, and the path of another executable is
    that executable. Else it is a command of the environment, if it has one of that name; else a file of the current
    folder, or a folder there with ``__main__.py`` (often a project's package); else a command on PATH.
    TargetNotFoundError or TargetNotExecutableError if it is none of them.
    """
    dashes = ["--"] if name.startswith("-") else []
    python = [interpreter, *interpreter_options, *dashes]
    if script or names_script(name):
        return [*python, name, *arguments]
    commands = os.path.dirname(interpreter)
    command = name if is_program(name) else os.path.join(commands, name)
    if os.path.isfile(command):
        _check_executable(command)
    elif os.path.isfile(name) or os.path.isfile(os.path.join(name, "__main__.py")):
        return [*python, name, *arguments]
    else:
        command = _on_path(name, commands, environ)
    if interpreter_options:
        raise UsageError(
            f"{' '.join(interpreter_options)} is for Python, but {name} is a command",
            hint=f"run it as a module: storectl run {' '.join(interpreter_options)} -m {name}",
        )
    return [command, *arguments]


def _on_path(name: str, commands: str, environ: Mapping[str, str]) -> str:
    found = [os.path.join(folder, name) for folder in environ.get("PATH", os.defpath).split(os.pathsep)]
    files = [path for path in found if os.path.isfile(path)]
    for path in files:
        if os.access(path, os.X_OK):
            return path
    if files:
        _check_executable(files[0])
    if os.path.isdir(name):
        raise TargetNotFoundError(
            f"{name} is a folder without __main__.py", hint="name a script in it, or a command or module of the project"
        )
    raise TargetNotFoundError(
        f"no such script or command: {name}",
        hint=_near(name, os.listdir(commands), "the environment has")
        or _near_script(name)
        or f"the commands of the environment are in {commands}; a module is run with -m {name}",
    )


def _near_script(name: str) -> str:
    """A hint with the files beside a missing script that have similar names; empty if there are none."""
    folder, base = os.path.split(name)
    if not folder and not base.endswith(SCRIPT_SUFFIXES):
        return ""
    try:
        return _near(base, os.listdir(folder or "."), "there is")
    except OSError:
        return ""


def _check_executable(path: str) -> None:
    if not os.access(path, os.X_OK):
        mode = stat.S_IMODE(os.stat(path).st_mode)
        raise TargetNotExecutableError(
            f"found, but not executable: {path}",
            hint=f"its mode is {mode:04o}; chmod +x, if it is meant to be a command",
        )


def _near(name: str, names: Iterable[str], lead: str) -> str:
    """A hint with the names that are similar to this one; empty if there are none."""
    import difflib  # noqa: PLC0415 - only an error pays for it

    near = difflib.get_close_matches(name, names, n=5, cutoff=0.6)
    return f"{lead} {', '.join(near)}" if near else ""
