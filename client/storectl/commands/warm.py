"""`storectl warm`: make the environment of a project, and wait until it is made."""

import dataclasses
import os
from typing import Annotated

import typer

from storectl.commands.output import count_text, print_json, print_lines
from storectl.commands.parameters import (
    AllExtras,
    Extras,
    Folder,
    Groups,
    Json,
    LockFile,
    NoDefaultGroups,
    Offline,
    OnlyGroups,
    Python,
    options_of,
)
from storectl.daemon.warming import warm as warm_project
from storectl.project import locate_member
from storectl.sharing import check_place, share_store
from storectl_shim.locations import store_folder

Shared = Annotated[
    bool,
    typer.Option("--shared", envvar="STORECTL_SHARED", help="Let every account of the machine run what the store has."),
]


def warm(
    folder: Folder = ".",
    *,
    python: Python = None,
    extra: Extras = None,
    all_extras: AllExtras = False,
    group: Groups = None,
    only_group: OnlyGroups = None,
    no_default_groups: NoDefaultGroups = False,
    lock: LockFile = None,
    offline: Offline = False,
    shared: Shared = False,
    json: Json = False,
) -> None:
    """Fetch, unpack and compile all that the project's lock file needs. Returns when all of that is done."""
    options = options_of(
        python=python,
        extras=extra,
        all_extras=all_extras,
        groups=group,
        only_groups=only_group,
        no_default_groups=no_default_groups,
        lock=lock,
        offline=offline,
    )
    project, _, options = locate_member([folder], options, os.environ)
    if shared:
        check_place(store_folder(os.environ))
    environment = warm_project(project, options, os.environ, bytecode=True)
    if shared:
        share_store(store_folder(os.environ), environment.executable)
    if json:
        print_json(dataclasses.asdict(environment))
    else:
        wheels = count_text(environment.wheels, "wheel")
        print_lines(f"ready: {wheels} for Python {environment.version} in {environment.path}")
