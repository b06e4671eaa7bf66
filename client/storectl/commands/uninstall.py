"""`storectl uninstall`: remove all that storectl has made for this user. The program itself goes with its installer."""

import os
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import click

from storectl.commands.belongings import Belonging, belongings, store_of
from storectl.commands.output import print_lines, print_table, size_text
from storectl.daemon.service_files import service_manager
from storectl.daemon.start import ensure_daemon, stop_daemon
from storectl.errors import ClientError, UsageError, printable


@click.command()
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def uninstall(*, yes: bool) -> None:
    """Remove all that storectl has made, once it has listed it and asked.

    That is links, services, Jupyter kernels, the store, logs and settings. The daemon is ended. Projects keep their
    files, lock files and what others have put into a linked .venv.
    """
    links, found = _links(), list(belongings(os.environ))
    rows = [("link", "", path) for path in links]
    rows += [(each.what, size_text(each.size), str(each.path)) for each in found]
    if rows:
        print_table(("what", "size", "where"), rows)
        sys.stdout.flush()
        if not yes:
            _ask()
        _remove(links, found)
    print_lines(f"{'removed' if rows else 'there is nothing to remove'}; the program itself goes with: {_program()}")


def _links() -> list[str]:
    """What `storectl link` has made in the projects that the daemon knows."""
    if store_of(os.environ) is None:
        return []
    try:
        daemon = ensure_daemon(os.environ)
        return [link.path for project in daemon.projects() for link in daemon.links(project.path)]
    except ClientError as error:
        sys.stderr.write(f"storectl: warning: links are not known: {printable(error.message)}\n")
        return []


def _ask() -> None:
    if not sys.stdin.isatty():
        raise UsageError("there is nobody to ask whether to remove all this", hint="storectl uninstall --yes")
    if not click.confirm("Remove all this? What runs in these environments will fail", err=True):
        print_lines("nothing was removed")
        raise click.exceptions.Exit(1)


def _remove(links: list[str], found: list[Belonging]) -> None:
    """Remove what leads into the store, then what would start the daemon, the daemon, and all the rest."""
    for path in links:
        for left in ensure_daemon(os.environ).unlink(path):
            print_lines(f"left: {os.path.join(path, left)}")
    disable = service_manager().disable
    if any(each.what == "service" for each in found):
        with suppress(FileNotFoundError):  # the files may be there without the manager
            subprocess.run(disable, check=False, capture_output=True)
    stop_daemon(os.environ)
    for each in found:
        each.remove()
        if each.path.exists():
            print_lines(f"left: {each.path}, which is empty")


def _program() -> str:
    """The command that removes the program, by what installed it."""
    if Path(sys.prefix, "uv-receipt.toml").exists():
        return "uv tool uninstall storectl"
    if Path(sys.prefix, "pipx_metadata.json").exists():
        return "pipx uninstall storectl"
    with suppress(PackageNotFoundError):
        if (distribution("storectl").read_text("INSTALLER") or "").strip() == "uv":
            return f"uv pip uninstall --python {sys.executable} storectl"
    return f"{sys.executable} -m pip uninstall storectl"
