"""`storectl link` and `storectl unlink`: a virtual environment in the project's folder that follows its lock file."""

import os
import sys
from typing import Any

import click

from storectl.commands.output import count_text, print_lines
from storectl.commands.parameters import folder, options_of, target
from storectl.daemon.start import ensure_daemon
from storectl.daemon.warming import warm
from storectl.errors import LinkRefusedError, printable
from storectl.locks.freshness import with_fresh_lock_file
from storectl.locks.remembered import locking_for
from storectl.locks.unlocked import locate_or_lock

_MOST_LEFT = 10
name = click.option(
    "--name", metavar="NAME", default=".venv", show_default=True, help="The folder's name in the project's folder."
)


@click.command()
@folder
@target
@name
@click.option("--force", is_flag=True, help="Move what stands there aside, to NAME.before-storectl.")
def link(folder: str, *, name: str, force: bool, **parameters: Any) -> None:
    """Make .venv, a virtual environment of the project's own that follows its lock file."""
    asked = options_of(**parameters)
    project, lock_file, options = locate_or_lock(lambda: [folder], asked, os.environ, locking_for(asked))
    path = _path_of(project, name)
    environment = with_fresh_lock_file(lambda: warm(project, options, os.environ), project, options, os.environ)
    told = ensure_daemon(os.environ).link(path, options, environment.id, force=force)
    sys.stderr.writelines(f"storectl: {printable(line)}\n" for line in told)
    wheels = count_text(environment.wheels, "wheel")
    print_lines(f"{path}: {wheels}, Python {environment.version}; it follows {lock_file}")


@click.command()
@folder
@name
def unlink(folder: str, *, name: str) -> None:
    """Remove the .venv that `storectl link` made. What others have put into it is left, and named."""
    path = _path_of(os.path.realpath(folder), name)
    left = ensure_daemon(os.environ).unlink(path)
    for line in left[:_MOST_LEFT]:
        print_lines(f"left: {os.path.join(path, line)}")
    if len(left) > _MOST_LEFT:
        print_lines(f"left: {len(left) - _MOST_LEFT} more files below {path}")
    if not left:
        print_lines(f"removed {path}")


def _path_of(project: str, name: str) -> str:
    if name in ("", ".", "..") or "/" in name:
        raise LinkRefusedError(
            f"--name {name!r} is not the name of a folder", hint="a name without a slash, like .venv"
        )
    return os.path.join(project, name)
