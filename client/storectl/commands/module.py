"""`storectl module`: environments as modules of Lmod, for people who load their software with `module load`."""

import os
import re
import secrets
from pathlib import Path
from typing import Any

import click

from storectl.commands.output import print_lines
from storectl.commands.parameters import Group, folder, options_of, target
from storectl.daemon.start import ensure_daemon
from storectl.daemon.warming import warm
from storectl.errors import FileAccessError, UsageError
from storectl.project import locate_member

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*/[A-Za-z0-9][A-Za-z0-9._+-]*")

_TEXT = """\
-- Written by `storectl module write`. The environment never changes: a new lock file is a new version of the module.
whatis("Name: {name}")
whatis("Version: {version}")
whatis("Python {python}, from {lock_file}")
family("python")
setenv("VIRTUAL_ENV", {environment})
setenv("STORECTL_FROZEN", "1")
prepend_path("PATH", {bin})
"""


@click.group(cls=Group)
def module() -> None:
    """Environments as modules of Lmod."""


@module.command()
@folder
@click.option("--name", metavar="NAME/VERSION", required=True, help="What `module load` is to be told.")
@click.option("--to", metavar="DIR", default="modulefiles", help="The folder for `module use`; else ./modulefiles.")
@target
def write(folder: str, *, name: str, to: str, **asked: Any) -> None:
    """Write a module file for the environment that a project has now, and keep that environment (a pin)."""
    if _NAME.fullmatch(name) is None:
        raise UsageError(f"{name!r} is no name of a module", hint="--name numbers/1.0, as `module load` is to have it")
    root, lock_file, options = locate_member([folder], options_of(**asked), os.environ)
    environment = warm(root, options, os.environ, bytecode=True)
    pin = name.replace("/", "-").replace("+", "_")[:64]
    ensure_daemon(os.environ).pin(pin, environment.id, root)
    file = Path(to, f"{name}.lua").absolute()
    _replace(file, module_text(name, environment.path, environment.version, options.lock_file or lock_file))
    print_lines(f"written: {file}", f"pinned as {pin}: {environment.path}")


def module_text(name: str, environment: str, python: str, lock_file: str) -> str:
    """The module file of an environment, in Lua."""
    title, _, version = name.partition("/")
    return _TEXT.format(
        name=title,
        version=version,
        python=python,
        lock_file=quoted(lock_file)[1:-1],
        environment=quoted(environment),
        bin=quoted(f"{environment}/bin"),
    )


def quoted(text: str) -> str:
    """The text as a string of Lua."""
    escaped = (
        f"\\{byte:03d}" if byte < 0x20 or byte > 0x7E or byte in b'"\\' else chr(byte) for byte in os.fsencode(text)
    )
    return '"{}"'.format("".join(escaped))


def _replace(file: Path, text: str) -> None:
    stage = file.with_name(f".{file.name}-{secrets.token_hex(8)}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        stage.write_text(text)
        stage.replace(file)
    except OSError as error:
        stage.unlink(missing_ok=True)
        hint = "name a folder that you may write with --to"
        raise FileAccessError(f"cannot write {file}: {error.strerror}", hint=hint) from error
