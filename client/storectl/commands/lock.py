"""`storectl lock`: lock the project with the tool that it belongs to."""

import os
from pathlib import Path

import click

from storectl.locks.handover import hand_over
from storectl.locks.lock import locking_of


@click.command()
@click.argument("place", metavar="[DIR|SCRIPT]", default=".")
@click.argument("arguments", metavar="[-- ARGUMENTS]", nargs=-1)
@click.option("--with", "tool", metavar="TOOL", help="uv, poetry, pdm, pipenv or pip.")
def lock(place: str, arguments: tuple[str, ...], *, tool: str | None) -> None:
    """Lock a project with its own tool. That is uv, Poetry, PDM, Pipenv or pip; the exit code is the tool's."""
    locking = locking_of(Path(place), tool=tool, arguments=arguments, environ=os.environ)
    raise click.exceptions.Exit(hand_over(locking.command, locking.folder, locking.why, os.environ))
