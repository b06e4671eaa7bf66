"""`storectl shim`: names by which the launcher is a Python, such as `python` and `python3.12`."""

import os
import re
import shutil
import sys

import click

from storectl.commands.output import print_lines
from storectl.commands.parameters import Group
from storectl.errors import LinkRefusedError, UsageError

NAMES = ("python", "python3")
"""What is installed if no name is given."""

_NAME = re.compile(r"python(?:3(?:\.\d+)?)?")
_folder = click.option(
    "--dir", "folder", metavar="DIR", default="~/.local/bin", show_default=True, help="The folder, one of PATH."
)
_names = click.argument("names", metavar="[NAME]...", nargs=-1)


@click.group(cls=Group, no_args_is_help=True)
def shim() -> None:
    """`python` that is the project's own, in every folder."""


@shim.command()
@_names
@_folder
def install(names: tuple[str, ...], *, folder: str) -> None:
    """Make python and python3, or other NAMEs such as python3.12, names of storectl."""
    launcher = _launcher()
    folder = os.path.abspath(os.path.expanduser(folder))
    paths = [os.path.join(folder, _checked(name)) for name in names or NAMES]
    for path in paths:
        if os.path.lexists(path) and not _is_ours(path):
            raise LinkRefusedError(f"{path} is there and not storectl's", hint="choose another folder with --dir")
    os.makedirs(folder, exist_ok=True)
    for path in paths:
        if os.path.lexists(path):
            os.unlink(path)
        os.symlink(launcher, path)
        print_lines(f"{path} -> {launcher}")
    for path in paths:
        first = shutil.which(os.path.basename(path))
        if first != path:
            before = f"{first} comes before it" if first else "its folder is not there"
            print_lines(f"note: {os.path.basename(path)} on PATH is not {path}: {before}")


@shim.command()
@_names
@_folder
def uninstall(names: tuple[str, ...], *, folder: str) -> None:
    """Remove the names of storectl from the folder: all, or these."""
    folder = os.path.abspath(os.path.expanduser(folder))
    there = sorted(filter(_NAME.fullmatch, os.listdir(folder))) if os.path.isdir(folder) else []
    for path in (os.path.join(folder, name) for name in map(_checked, names or there)):
        if _is_ours(path):
            os.unlink(path)
            print_lines(f"removed {path}")
        elif names:
            raise LinkRefusedError(f"{path} is not storectl's", hint="storectl removes only what it has installed")


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name of a Python", hint="python, python3, or with a version: python3.12")
    return name


def _is_ours(path: str) -> bool:
    """Whether this is a link to the launcher of a storectl, which may be gone."""
    return os.path.islink(path) and os.path.basename(os.readlink(path)) == "storectl"


def _launcher() -> str:
    """The launcher beside this process's command, or beside its interpreter."""
    for beside in (sys.argv[0], sys.executable):
        path = os.path.join(os.path.dirname(os.path.abspath(beside)), "storectl")
        if os.path.isfile(path):
            return path
    raise LinkRefusedError("the launcher `storectl` is not beside its Python", hint="install storectl again")
