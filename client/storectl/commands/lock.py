"""`storectl lock`: lock the project with the tool that it belongs to."""

import os
import subprocess
import sys
from pathlib import Path

import click

from storectl.locks.lock import locking_of


@click.command()
@click.argument("place", metavar="[DIR|SCRIPT]", default=".")
@click.argument("arguments", metavar="[-- ARGUMENTS]", nargs=-1)
@click.option("--with", "tool", metavar="TOOL", help="uv, poetry, pdm, pipenv or pip.")
def lock(place: str, arguments: tuple[str, ...], *, tool: str | None) -> None:
    """Lock a project with its own tool. That is uv, Poetry, PDM, Pipenv or pip; the exit code is the tool's."""
    locking = locking_of(Path(place), tool=tool, arguments=arguments, environ=os.environ)
    sys.stderr.write(f"storectl: {locking.shown} ({locking.why})\n")
    sys.stderr.flush()
    code = subprocess.run(locking.command, cwd=locking.folder, check=False).returncode
    raise click.exceptions.Exit(128 - code if code < 0 else code)
