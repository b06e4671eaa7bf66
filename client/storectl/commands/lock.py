"""`storectl lock`: lock the project with the tool that it belongs to."""

import os
from pathlib import Path

import click

from storectl.commands.parameters import PASS_ON, directory, offline
from storectl.locks.handover import OFFLINE, hand_over
from storectl.locks.lock import locking_of


@click.command(context_settings=PASS_ON)
@click.argument("arguments", metavar="[DIR|SCRIPT] [ARGUMENTS]", nargs=-1, type=click.UNPROCESSED)
@click.option("--with", "tool", metavar="TOOL", help="uv, poetry, pdm, pipenv or pip.")
@click.option("--project", "--script", "place", metavar="PATH", help="The folder or script, as DIR or SCRIPT.")
@offline
@directory
def lock(arguments: tuple[str, ...], *, tool: str | None, place: str | None, offline: bool) -> None:
    """Lock a project with its own tool. That is uv, Poetry, PDM, Pipenv or pip; the exit code is the tool's.

    Options that are not listed here are the tool's own: storectl lock --upgrade.
    """
    if place is None and arguments and not arguments[0].startswith("-"):
        place, arguments = arguments[0], arguments[1:]
    passed = arguments[1:] if arguments[:1] == ("--",) else arguments
    locking = locking_of(Path(place or "."), tool=tool, arguments=passed, environ=os.environ)
    variables = {**os.environ, **(OFFLINE if offline else {})}
    raise click.exceptions.Exit(hand_over(locking.command, locking.folder, locking.why, variables))
