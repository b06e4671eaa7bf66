"""`storectl warm`: make the environment of a project, and wait until it is made."""

import os
from typing import Any

import click

from storectl.commands.output import print_json
from storectl.commands.parameters import as_json, folder, options_of, target
from storectl.daemon.warming import warm as warm_project
from storectl.locks.overlay import check_not_rolled_back, locked_alone, locked_overlay
from storectl.locks.remembered import locking_for
from storectl.locks.unlocked import locate_or_lock
from storectl.plain_warm import tell_ready, warmed
from storectl.sharing import check_place, share_store
from storectl_shim.locations import store_folder


@click.command()
@folder
@target
@click.option(
    "-w", "--with", "requirements", metavar="REQUIREMENT", multiple=True, help="On top of it, locked once to fit it."
)
@click.option("--no-project", is_flag=True, help="Without the project: only what --with names.")
@click.option("--keep", metavar="ENVIRONMENT", hidden=True, help="Versions of it stay if they fit.")
@click.option("--refresh", is_flag=True, help="Lock anew what was locked once.")
@click.option("--shared", is_flag=True, envvar="STORECTL_SHARED", help="Let every account of the machine run it.")
@as_json
def warm(
    folder: str,
    *,
    requirements: tuple[str, ...],
    no_project: bool,
    keep: str | None,
    refresh: bool,
    shared: bool,
    json: bool,
    **asked: Any,
) -> None:
    """Fetch, unpack and compile all that the project's lock file needs. Returns when all of that is done."""
    options = options_of(**asked)
    how = locking_for(options, refresh=refresh, keep=keep)
    if shared:
        check_place(store_folder(os.environ))
    if no_project:
        lock_file = locked_alone(requirements, options.python, os.environ, how)
        project, options = os.path.dirname(lock_file), options.alone()
    else:
        project, _, options = locate_or_lock(lambda: [folder], options, os.environ, how)
    if requirements and not no_project:
        below = warm_project(project, options, os.environ)
        check_not_rolled_back(project, options, os.environ)
        options = options.with_overlay(locked_overlay(requirements, below.path, project, os.environ, how))
    environment = warmed(project, options)
    if shared:
        share_store(store_folder(os.environ), environment.executable)
    if json:
        print_json(environment._asdict())
    else:
        tell_ready(environment)
