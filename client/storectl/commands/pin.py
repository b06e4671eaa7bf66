"""`storectl env pin`, `unpin` and `pins`: environments that are kept whatever becomes of their project."""

import os
import re
import time

import click

from storectl.commands.env import environment_of
from storectl.commands.output import duration_text, print_json, print_lines, print_table
from storectl.commands.parameters import as_json, folder
from storectl.daemon.start import ensure_daemon
from storectl.errors import UsageError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@click.command()
@click.argument("name", metavar="NAME")
@folder
def pin(name: str, folder: str) -> None:
    """Keep the environment that a project has now, whatever becomes of the project."""
    if _NAME.fullmatch(name) is None:
        raise UsageError(f"{name!r} is no name for a pin", hint="letters, digits, '.', '_' and '-', at most 64")
    project, environment = environment_of(folder)
    ensure_daemon(os.environ).pin(name, os.path.basename(environment), project)
    print_lines(f"pinned as {name}: {environment}")


@click.command()
@click.argument("name", metavar="NAME")
def unpin(name: str) -> None:
    """Keep it no longer."""
    ensure_daemon(os.environ).unpin(name)
    print_lines(f"no longer pinned: {name}; the next collect may take it")


@click.command()
@as_json
def pins(*, json: bool) -> None:
    """Print every pin."""
    found = ensure_daemon(os.environ).pins()
    if json:
        print_json(found)
        return
    now = time.time()
    rows = [
        (
            each["name"],
            each["environment"],
            each["project"],
            duration_text(max(0.0, now - each["at"])),
            "there" if each["there"] else "gone",
        )
        for each in found
    ]
    print_table(("name", "environment", "project", "pinned", "state"), rows)
