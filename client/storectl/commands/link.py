"""`storectl link`: make `.venv` in the project's folder, for editors and type checkers that look there."""

import os
import secrets

import click

from storectl.commands.output import print_lines
from storectl.commands.parameters import folder
from storectl.daemon.start import ensure_daemon
from storectl.daemon.warming import warm
from storectl.errors import LinkRefusedError
from storectl.locks.freshness import with_fresh_lock_file
from storectl.options import Options
from storectl.project import locate_project
from storectl_shim.locations import store_folder

ASIDE = ".before-storectl"
"""`--force` adds this to the name of the file or folder that is in the way; it deletes nothing."""


@click.command()
@folder
@click.option(
    "--name", metavar="NAME", default=".venv", show_default=True, help="The link's name in the project's folder."
)
@click.option("--force", is_flag=True, help=f"Move what stands there aside, to NAME{ASIDE}.")
def link(folder: str, *, name: str, force: bool) -> None:
    """Make .venv a link to the project's environment. The daemon moves it when the lock file changes."""
    if name in ("", ".", "..") or "/" in name:
        raise LinkRefusedError(f"--name {name!r} is not the name of a file", hint="a name without a slash, like .venv")
    project, _ = locate_project([folder], Options(), os.environ)
    path = os.path.join(project, name)
    clear_way(path, store_folder(os.environ), force=force)
    options = Options()
    environment = with_fresh_lock_file(lambda: warm(project, options, os.environ), project, options, os.environ)
    point(path, environment.path)
    daemon = ensure_daemon(os.environ)
    daemon.register(project, link=name)
    print_lines(f"{path} -> {environment.path}")


def clear_way(path: str, store: str, *, force: bool) -> None:
    """Make sure that a link can be put at ``path``: nothing is there, or a link into the store.

    With ``force`` anything else is moved aside. LinkRefusedError without ``force``, or if something was moved aside
    before.
    """
    if not os.path.lexists(path) or _is_ours(path, store):
        return
    aside = path + ASIDE
    if not force:
        kind = "a link to somewhere else" if os.path.islink(path) else "not a link"
        raise LinkRefusedError(f"{path} is there and {kind}", hint=f"--force moves it to {aside}")
    if os.path.lexists(aside):
        raise LinkRefusedError(f"{path} would be moved to {aside}, which is there", hint="move one of them away")
    os.rename(path, aside)


def point(path: str, environment: str) -> None:
    """Make ``path`` a link to the environment. Other processes see the old link or the new one, never none."""
    temporary = f"{path}.{secrets.token_hex(4)}"
    try:
        os.symlink(environment, temporary)
        os.rename(temporary, path)
    except OSError as error:
        if os.path.islink(temporary):
            os.unlink(temporary)
        raise LinkRefusedError(f"cannot make the link {path}: {error.strerror}", hint="is the folder yours?") from None


def _is_ours(path: str, store: str) -> bool:
    """Whether this is a link into the store's environments; the environment itself may be gone."""
    if not os.path.islink(path):
        return False
    target = os.path.join(os.path.dirname(path), os.readlink(path))
    inside = os.path.join(os.path.realpath(store), "environments", "")
    return os.path.realpath(target).startswith(inside)
