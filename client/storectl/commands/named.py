"""`storectl env create`, `add`, `remove` and `default`: environments that have a name and belong to no project."""

import os
from contextlib import suppress

import click

from storectl.commands.output import count_text, print_lines
from storectl.commands.parameters import offline, python
from storectl.daemon.answers import EnvironmentInfo
from storectl.daemon.start import ensure_daemon
from storectl.errors import DaemonProblemError, UsageError
from storectl.locks.named import DEFAULT, Named, default_named, named_path, read_named
from storectl.locks.named_locks import add_to_named, create_named, remove_named, set_default
from storectl.locks.requirement_words import absolute_requirements
from storectl.options import Options
from storectl.project import locate_project
from storectl.run_options import options_of_environment

_requirements = click.argument("requirements", metavar="[REQUIREMENT]...", nargs=-1)
_files = click.option(
    "-r", "--requirements", "files", metavar="FILE", multiple=True, help="What the file requires, too."
)
_name = click.argument("name", metavar="NAME")


@click.command()
@_name
@_requirements
@_files
@click.option("--lock", metavar="FILE", help="Follow this lock file, instead of requirements.")
@python
@click.option("--default", is_flag=True, help="Have it count outside of projects.")
@offline
def create(
    name: str,
    requirements: tuple[str, ...],
    *,
    files: tuple[str, ...],
    lock: str | None,
    python: str | None,
    default: bool,
    offline: bool,
) -> None:
    """Make an environment that belongs to no project. It is run with `storectl run -e NAME`."""
    if name == DEFAULT:
        raise UsageError("no environment can be named default", hint=f"storectl env create NAME --{DEFAULT}")
    wanted = _wanted(requirements, files)
    if lock and wanted:
        raise UsageError("--lock and requirements are both given", hint="give one of them")
    ambient = options_of_environment(os.environ)
    asked = Options(python=python or ambient.python, lock_file=lock)
    if lock:
        locate_project([], asked, os.environ)
    named = Named(
        named_path(name, os.environ),
        requirements=wanted,
        lock_file=asked.lock_file,
        python=asked.python,
    )
    _tell(named, create_named(named, os.environ, offline=offline or ambient.offline))
    if default:
        set_default(named, os.environ)


@click.command()
@_name
@_requirements
@_files
@click.option("--refresh", is_flag=True, help="Take the newest versions of all that is in it.")
@offline
def add(name: str, requirements: tuple[str, ...], *, files: tuple[str, ...], refresh: bool, offline: bool) -> None:
    """Add packages to a named environment. What is in it keeps its version if that fits."""
    named = read_named(name, os.environ)
    wanted = _wanted(requirements, files)
    offline = offline or options_of_environment(os.environ).offline
    _tell(named, add_to_named(named.name, wanted, os.environ, refresh=refresh, offline=offline))


@click.command()
@_name
def remove(name: str) -> None:
    """Remove a named environment. Its wheels stay in the store."""
    named = read_named(name, os.environ)
    remove_named(named, os.environ)
    with suppress(DaemonProblemError):  # it does not know the folder
        ensure_daemon(os.environ).forget(named.folder)
    print_lines(f"removed {named.name}")


@click.command()
@click.argument("name", metavar="[NAME]", required=False)
@click.option("--none", "clear", is_flag=True, help="Have none count.")
def default(name: str | None, *, clear: bool) -> None:
    """Choose the environment that counts outside of projects, or print its name."""
    if name is not None or clear:
        set_default(None if clear else read_named(name or "", os.environ), os.environ)
    named = default_named(os.environ)
    print_lines(named.name if named is not None else "none")


def _wanted(requirements: tuple[str, ...], files: tuple[str, ...]) -> tuple[str, ...]:
    wanted = absolute_requirements([*requirements, *(f"-r {file}" for file in files)])
    if odd := next((text for text in wanted if "\n" in text), None):
        raise UsageError(f"{odd!r} has several lines", hint="give each requirement by itself")
    return wanted


def _tell(named: Named, environment: EnvironmentInfo) -> None:
    wheels = count_text(environment.wheels, "wheel")
    print_lines(f"{named.name}: {wheels} for Python {environment.version} in {environment.path}")
