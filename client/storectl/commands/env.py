"""`storectl env`: the environments of the store, and the state of a project's own."""

import os
from typing import TYPE_CHECKING, Any

import click

import storectl_shim
from storectl.commands.output import print_ahead, print_json, print_lines, print_table
from storectl.commands.parameters import Group, as_json, folder
from storectl.daemon.answers import LinkState, ProjectState
from storectl.daemon.made_ahead import made_ahead
from storectl.daemon.progress import describe
from storectl.daemon.start import ensure_daemon
from storectl.errors import ClientError, NoLockFileError
from storectl.frozen import frozen_environment, is_frozen
from storectl.locks.named import known_named, named_project
from storectl.options import Options
from storectl.project import locate_member, locate_project
from storectl.run import environment_at
from storectl_shim.locations import store_folder
from storectl_shim.project_record import last_environment, read_notices, read_ready, read_rollback

if TYPE_CHECKING:
    from storectl.daemon.client import DaemonClient

_LAZY = {
    "pin": ("pin:pin", "Keep the environment that a project has now, whatever becomes of the project."),
    "unpin": ("pin:unpin", "Keep it no longer."),
    "pins": ("pin:pins", "Print every pin."),
    "create": ("named:create", "Make an environment that belongs to no project."),
    "add": ("named:add", "Add packages to a named environment."),
    "remove": ("named:remove", "Remove a named environment."),
    "default": ("named:default", "Choose the environment that counts outside of projects, or print its name."),
    "history": ("history:history", "Print the environments that a project had, and what changed between them."),
    "diff": ("history:diff", "Print what changed between two environments of a project."),
    "rollback": ("history:rollback", "Run programs in an earlier environment until an input changes."),
    "bisect": ("bisect:bisect", "Find the generation, and the wheel in it, that made a command fail."),
    "export": (
        "export:export",
        "Write the environment as a plain, writable one that needs no storectl.",
    ),
}


@click.group(cls=Group, lazy=_LAZY, invoke_without_command=True)
@click.pass_context
def env(context: click.Context) -> None:
    """The environments, and how that of a project is."""
    if context.invoked_subcommand is None:
        context.invoke(show)


@env.command()
@folder
@as_json
def show(folder: str, *, json: bool) -> None:
    """Print how the environment of a project is: ready, warming, or failed and why. Registers an unknown project."""
    daemon = ensure_daemon(os.environ)
    state = _state(folder, daemon)
    links, ahead = daemon.links(state.path), made_ahead(daemon, state.path)
    notices = read_notices(store_folder(os.environ), state.path, Options().key)
    if rollback := read_rollback(store_folder(os.environ), state.path, Options().key):
        notices.append(rollback)
    if json:
        shown = {"warnings": notices, "links": [link._asdict() for link in links]}
        print_json(state_json(state) | shown | {"ahead": ahead.to_json() if ahead else None})
        return
    print_lines(f"project: {state.path}", f"lock file: {state.lock_file or 'none'}", f"state: {state_text(state)}")
    if state.problem is not None and state.problem.hint:
        print_lines(f"hint: {state.problem.hint}")
    print_lines(*(f"warning: {notice}" for notice in notices))
    if state.environment is not None:
        environment = state.environment
        print_lines(
            f"environment: {environment.path}",
            f"python: {environment.version} ({environment.executable})",
            f"wheels: {environment.wheels}",
        )
    for link in links:
        print_lines(*_link_lines(link))
    print_ahead(ahead)


@env.command()
@folder
@click.option("-e", "--env", "name", metavar="NAME", help="Of this named environment.")
def path(folder: str, *, name: str | None) -> None:
    """Print the path of a project's environment. Fails if it is not ready."""
    if name is not None:
        print_lines(environment_at(*named_project(name, Options(), os.environ), os.environ))
        return
    print_lines(environment_of(folder)[1])


@env.command("list")
@as_json
def list_environments(*, json: bool) -> None:
    """Print every environment of the store, by its name or project. One that has neither any more has -."""
    environments = ensure_daemon(os.environ).environments()
    names = _names_by_environment()
    if json:
        print_json([environment._asdict() | {"name": names.get(environment.id)} for environment in environments])
    else:
        rows = [(e.id, e.version, str(e.wheels), names.get(e.id) or e.project or "-") for e in environments]
        made = {environment.id for environment in environments}
        rows += [("-", "-", "-", name) for id_, name in names.items() if id_ not in made]
        print_table(("environment", "python", "wheels", "project or name"), rows)


@env.command()
def api() -> None:
    """Print the path of the Python API, for an interpreter that does not have storectl: see docs/python-api.md."""
    print_lines(os.path.join(os.path.dirname(os.path.abspath(storectl_shim.__file__)), "notebook.py"))


def environment_of(folder: str) -> tuple[str, str]:
    """The project at or above this folder, and the path of its environment. ClientError if that is not ready."""
    project, _, options = locate_member([folder], Options(), os.environ)
    ready = read_ready(store_folder(os.environ), project, options.key)
    if ready is None and is_frozen(os.environ):
        ready = frozen_environment(project, options, os.environ).path
    return project, ready or _path_by_daemon(project)


def _names_by_environment() -> dict[str, str]:
    """The names of named environments by the id of what they last had; several names may have one."""
    names: dict[str, list[str]] = {}
    for named in known_named(os.environ):
        project, options = named.project(Options())
        environment = last_environment(store_folder(os.environ), project, options.key)
        names.setdefault(os.path.basename(environment) if environment else f"- {named.name}", []).append(named.name)
    return {environment: ", ".join(listed) for environment, listed in names.items()}


def _link_lines(link: LinkState) -> list[str]:
    """The link, and each project by which it differs from the lock file."""
    lines = [f"link: {link.path}"]
    for what in ("added", "removed", "changed"):
        lines += [f"  {what}: {text}" for text in getattr(link, what)]
    return lines


def state_json(state: ProjectState) -> dict[str, Any]:
    """The state for scripts: the fields of the API, and the progress with its percentage."""
    problem, progress = state.problem, state.progress
    return {
        "path": state.path,
        "lock_file": state.lock_file,
        "state": state.state,
        "environment": state.environment._asdict() if state.environment else None,
        "progress": progress._asdict() | {"percent": progress.percent} if progress else None,
        "problem": {"code": problem.code, "detail": problem.message, "hint": problem.hint} if problem else None,
        "watched": state.watched,
    }


def state_text(state: ProjectState) -> str:
    """The state in a few words, for people."""
    if state.state == "warming" and state.progress is not None:
        return f"warming: {describe(state.progress)}"
    if not os.path.isdir(state.path):
        return "gone: the folder is not there any more"
    if state.state == "failed" and state.problem is not None:
        kept = "; the last good environment stays in service" if state.environment is not None else ""
        return f"failed: {state.problem.code}: {state.problem.message}{kept}"
    return state.state


def _state(folder: str, daemon: "DaemonClient") -> ProjectState:
    """The state of the project that this folder is in.

    If the project has no lock file any more, this is the state that the daemon remembers.
    """
    start = os.path.realpath(folder)
    try:
        project, lock_file = locate_project([start], Options(), os.environ)
    except NoLockFileError:
        known = daemon.project_state(start)
        if known is None:
            raise
        return known
    state = daemon.project_state(project)
    if state is None or state.path != project or not _is_current(state):
        state = daemon.register(project)
    return state._replace(lock_file=state.lock_file or lock_file)


def _is_current(state: ProjectState) -> bool:
    """Whether a ready environment fits the files as they are now: the daemon may not have seen a change yet."""
    return state.state != "ready" or read_ready(store_folder(os.environ), state.path, Options().key) is not None


def _path_by_daemon(project: str) -> str:
    state = _state(project, ensure_daemon(os.environ))
    if state.state == "ready" and state.environment is not None:
        return state.environment.path
    if state.problem is not None:
        raise state.problem
    raise ClientError(
        f"the environment of {project} is not ready ({state_text(state)})",
        code="E_NOT_READY",
        hint="storectl warm makes it, and waits for it",
    )
