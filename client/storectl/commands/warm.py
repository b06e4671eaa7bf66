"""`storectl warm`: make the environment of a project, and wait until it is made."""

import dataclasses
import os
from typing import Any

import click

from storectl.commands.output import count_text, print_json, print_lines
from storectl.commands.parameters import as_json, folder, options_of, target
from storectl.daemon.warming import warm as warm_project
from storectl.locks.freshness import with_fresh_lock_file
from storectl.project import locate_member
from storectl.sharing import check_place, share_store
from storectl_shim.locations import store_folder


@click.command()
@folder
@target
@click.option("--shared", is_flag=True, envvar="STORECTL_SHARED", help="Let every account of the machine run it.")
@as_json
def warm(folder: str, *, shared: bool, json: bool, **asked: Any) -> None:
    """Fetch, unpack and compile all that the project's lock file needs. Returns when all of that is done."""
    options = options_of(**asked)
    project, _, options = locate_member([folder], options, os.environ)
    if shared:
        check_place(store_folder(os.environ))
    environment = with_fresh_lock_file(
        lambda: warm_project(project, options, os.environ, bytecode=True), project, options, os.environ
    )
    if shared:
        share_store(store_folder(os.environ), environment.executable)
    if json:
        print_json(dataclasses.asdict(environment))
    else:
        wheels = count_text(environment.wheels, "wheel")
        print_lines(f"ready: {wheels} for Python {environment.version} in {environment.path}")
