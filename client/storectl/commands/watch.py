"""`storectl watch`: the projects whose lock files the daemon watches."""

import os

import click

from storectl.commands.env import state_json, state_text
from storectl.commands.output import print_json, print_lines, print_table
from storectl.commands.parameters import Group, as_json, folder
from storectl.daemon.answers import ProjectState
from storectl.daemon.start import ensure_daemon
from storectl.locks.remembered import KINDS
from storectl.options import Options
from storectl.project import locate_project
from storectl_shim.locations import state_folder


@click.group(cls=Group, no_args_is_help=True)
def watch() -> None:
    """The projects whose lock files the daemon watches."""


@watch.command()
@folder
def add(folder: str) -> None:
    """Watch a project. Its environment is made now, and again whenever its lock file changes."""
    project, _ = locate_project([folder], Options(), os.environ)
    daemon = ensure_daemon(os.environ)
    print_lines(f"watching {daemon.register(project).path}")


@watch.command("list")
@as_json
def list_projects(*, json: bool) -> None:
    """Print the watched projects and how their environments are."""
    daemon = ensure_daemon(os.environ)
    states = [state for state in daemon.projects() if not _is_own(state.path)]
    if json:
        print_json([state_json(state) for state in states])
    else:
        print_table(("project", "state"), [_row(state) for state in states])


@watch.command()
@folder
def remove(folder: str) -> None:
    """Watch a project no more. Its environments stay, and it runs as before."""
    daemon = ensure_daemon(os.environ)
    state = daemon.project_state(os.path.realpath(folder))
    # The daemon may know no project there if the folder is gone from the disk: then its path is the name.
    path = state.path if state is not None else os.path.realpath(folder)
    daemon.forget(path)
    print_lines(f"no longer watching {path}")


def _is_own(path: str) -> bool:
    """Whether this is a folder with a remembered lock: the user did not ask to watch it."""
    state = os.path.realpath(state_folder(os.environ))
    return path.startswith(tuple(os.path.join(state, kind, "") for kind in KINDS))


def _row(state: ProjectState) -> tuple[str, str]:
    return state.path, state_text(state) + ("" if state.watched else ", not watched")
